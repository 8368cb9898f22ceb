//! What is judged as strictly as the providers do, where the settings ask for it.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::rig::{Received, Receiver, Rig, answer};
use crate::simulator::{
    Action, Answer, DEV_ACCESS_TOKEN, DEV_PHONE_NUMBER_ID, FaultRule, Fidelity, Media, Operation, Provider,
    Template, WindowRule,
};

const EVA: &str = "+31612345678";
const WABA: &str = "102290129340398";

fn strict() -> Rig {
    let rig = Rig::start();
    rig.simulator.configure(|settings| settings.fidelity = Fidelity::full());
    rig
}

fn payload(kind: &str, object: Value) -> Value {
    json!({"messaging_product": "whatsapp", "to": EVA, "type": kind, kind: object})
}

/// The status and the error code of a send.
async fn send(rig: &Rig, kind: &str, object: Value) -> (u16, Option<u64>) {
    let (status, body) = answer(rig.whatsapp_raw(&payload(kind, object)).await.unwrap()).await;
    (status, body["error"]["code"].as_u64())
}

#[tokio::test]
async fn a_free_text_needs_an_open_window_and_a_template_does_not() {
    let rig = strict();
    let text = || json!({"body": "hello"});
    let template = || json!({"name": "hello_world", "language": {"code": "en_US"}});
    assert_eq!(send(&rig, "text", text()).await, (400, Some(131_047)));
    assert_eq!(send(&rig, "template", template()).await, (200, None));
    let eva = rig.simulator.customer(EVA);
    eva.writes("hello");
    assert_eq!(send(&rig, "text", text()).await, (200, None));
    eva.lets_the_window_close();
    eva.earlier(TimeDelta::hours(23)).writes_after_an_ad("free?");
    assert_eq!(send(&rig, "text", text()).await, (200, None));
    assert!(eva.window().unwrap() > chrono::Utc::now() + TimeDelta::hours(71), "the free entry of an ad");
    eva.lets_the_window_close();
    let receiver = Receiver::start(&[]).await;
    rig.simulator.set_webhook_base(&receiver.url);
    rig.simulator.configure(|settings| settings.fidelity.windows = WindowRule::Fail);
    assert_eq!(send(&rig, "text", text()).await, (200, None));
    // What was accepted before is still reported.
    let refused = |got: &[Received]| got.iter().any(|one| one.status()["errors"][0]["code"] == 131_047);
    receiver.wait_until(refused).await;
}

#[tokio::test]
async fn the_catalogue_is_listed_page_by_page() {
    let rig = strict();
    let url = format!("{}/{WABA}/message_templates?limit=5", rig.simulator.whatsapp_base_url());
    let (mut next, mut names, mut pages) = (Some(url), Vec::new(), 0);
    while let Some(url) = next {
        let (status, page) =
            answer(rig.client.get(url).bearer_auth(DEV_ACCESS_TOKEN).send().await.unwrap()).await;
        assert_eq!(status, 200, "{page}");
        let data = page["data"].as_array().unwrap();
        names.extend(data.iter().map(|one| (one["name"].clone(), one["language"].clone())));
        next = page["paging"]["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    let all = Template::of_development();
    assert_eq!((names.len(), pages), (all.len(), all.len().div_ceil(5)));
    let other = format!("{}/1/message_templates", rig.simulator.whatsapp_base_url());
    let refused = rig.client.get(&other).bearer_auth(DEV_ACCESS_TOKEN).send().await.unwrap();
    assert_eq!(answer(refused).await.1["error"]["code"], 100);
    assert_eq!(rig.client.get(&other).bearer_auth("wrong").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn templates_are_held_against_the_catalogue_and_its_changes_are_told() {
    let rig = strict();
    let receiver = Receiver::start(&[]).await;
    rig.simulator.set_webhook_base(&receiver.url);
    rig.simulator.configure(|settings| settings.statuses.enabled = false);
    let hello = || json!({"name": "hello_world", "language": {"code": "en_US"}});
    let unknown = json!({"name": "nothing", "language": {"code": "en"}});
    assert_eq!(send(&rig, "template", unknown).await, (404, Some(132_001)));
    rig.simulator.template_becomes("hello_world", "en_US", "PAUSED").unwrap();
    let told = receiver.wait_for(1).await[0].json()["entry"][0]["changes"][0].clone();
    assert_eq!(
        (&told["field"], &told["value"]["event"]),
        (&json!("message_template_status_update"), &json!("PAUSED"))
    );
    assert_eq!(send(&rig, "template", hello()).await, (400, Some(132_015)));
    rig.simulator.change_templates(Vec::clear);
    assert_eq!(send(&rig, "template", hello()).await, (404, Some(132_001)));
    assert!(rig.simulator.template_becomes("hello_world", "en_US", "APPROVED").is_err());
}

#[tokio::test]
async fn marketing_is_not_for_those_who_stopped_it() {
    let rig = strict();
    let receiver = Receiver::start(&[]).await;
    rig.simulator.set_webhook_base(&receiver.url);
    let body = json!([{"type": "body", "parameters": [{"type": "text", "text": "Eva"}]}]);
    let offer = || json!({"name": "summer_offer", "language": {"code": "en"}, "components": body});
    rig.simulator.customer(EVA).stops_marketing(true);
    assert_eq!(send(&rig, "template", offer()).await, (200, None));
    assert_eq!(receiver.wait_for(1).await[0].status()["errors"][0]["code"], 131_050);
    rig.simulator.customer(EVA).stops_marketing(false);
    assert_eq!(send(&rig, "template", offer()).await, (200, None));
    let told = receiver.wait_for(3).await;
    assert!(told[1..].iter().all(|got| got.status()["pricing"]["category"] == "marketing"));
}

async fn upload(rig: &Rig, mime_type: &str, bytes: Vec<u8>) -> (u16, Value) {
    let part = |name: &str, more: &str| {
        format!("--cut\r\ncontent-disposition: form-data; name=\"{name}\"{more}\r\n\r\n")
    };
    let mut body = format!("{}whatsapp\r\n", part("messaging_product", "")).into_bytes();
    body.extend(format!("{}{mime_type}\r\n", part("type", "")).into_bytes());
    body.extend(part("file", &format!("; filename=\"f\"\r\ncontent-type: {mime_type}")).into_bytes());
    body.extend(bytes);
    body.extend(b"\r\n--cut--\r\n");
    let url = format!("{}/{DEV_PHONE_NUMBER_ID}/media", rig.simulator.whatsapp_base_url());
    let request = rig.client.post(url).bearer_auth(DEV_ACCESS_TOKEN);
    let request = request.header("content-type", "multipart/form-data; boundary=cut").body(body);
    answer(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_medium_is_uploaded_sent_and_fetched() {
    let rig = strict();
    rig.simulator.customer(EVA).writes("hello");
    let (status, body) = upload(&rig, "image/png", b"picture".to_vec()).await;
    assert_eq!(status, 200, "{body}");
    let id = body["id"].as_str().unwrap().to_owned();
    assert_eq!(send(&rig, "image", json!({"id": id})).await, (200, None));
    assert_eq!(send(&rig, "video", json!({"id": id})).await, (400, Some(131_053)));
    assert_eq!(send(&rig, "image", json!({"id": "1"})).await, (400, Some(131_053)));
    let url = format!("{}/{id}", rig.simulator.whatsapp_base_url());
    let (_, about) = answer(rig.client.get(&url).bearer_auth(DEV_ACCESS_TOKEN).send().await.unwrap()).await;
    assert_eq!((&about["mime_type"], &about["file_size"]), (&json!("image/png"), &json!(7)));
    let place = about["url"].as_str().unwrap();
    assert_eq!(rig.client.get(place).send().await.unwrap().status(), 401);
    let content = rig.client.get(place).bearer_auth(DEV_ACCESS_TOKEN).send().await.unwrap();
    assert_eq!(content.bytes().await.unwrap(), "picture");
    rig.simulator.expire_media_addresses();
    let late = rig.client.get(place).bearer_auth(DEV_ACCESS_TOKEN).send().await.unwrap();
    assert_eq!(late.status(), 404);
    rig.simulator.forget_medium(&id);
    assert_eq!(send(&rig, "image", json!({"id": id})).await, (400, Some(131_053)));
}

#[tokio::test]
async fn uploads_have_their_types_and_sizes() {
    let rig = strict();
    let code = async |mime_type: &str, size: usize| {
        upload(&rig, mime_type, vec![7; size]).await.1["error"]["code"].clone()
    };
    assert_eq!(code("application/x-msdownload", 10).await, 100);
    assert_eq!(code("image/png", 5 * 1024 * 1024).await, Value::Null);
    assert_eq!(code("image/png", 5 * 1024 * 1024 + 1).await, 131_053);
    assert_eq!(code("image/webp", 500 * 1024 + 1).await, 131_053);
    let fault = FaultRule::on(Provider::Whatsapp, Action::Answer(Answer::code(131_053)));
    rig.simulator.fault(fault.of(Operation::Upload).times(1));
    assert_eq!(code("image/png", 10).await, 131_053);
    assert_eq!(code("image/png", 10).await, Value::Null);
}

#[tokio::test]
async fn what_a_customer_sent_is_looked_up_by_its_id() {
    let rig = strict();
    let receiver = Receiver::start(&[]).await;
    rig.simulator.set_webhook_base(&receiver.url);
    rig.simulator.customer(EVA).sends(Media::new("image", "image/jpeg", b"jpeg".to_vec()));
    let told = receiver.wait_for(1).await[0].json();
    let image = told["entry"][0]["changes"][0]["value"]["messages"][0]["image"].clone();
    let url = format!("{}/{}", rig.simulator.whatsapp_base_url(), image["id"].as_str().unwrap());
    let (_, about) = answer(rig.client.get(&url).bearer_auth(DEV_ACCESS_TOKEN).send().await.unwrap()).await;
    assert_eq!(about["sha256"], image["sha256"]);
}
