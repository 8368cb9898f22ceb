//! What customers send, as the product gets it: signed, in the providers' form, repeated and shuffled on demand.

use std::collections::BTreeSet;

use base64::Engine as _;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::rig::{Received, Receiver, Rig, answer, now};
use crate::simulator::{
    Content, DEV_ACCOUNT_SID, DEV_APP_SECRET, DEV_AUTH_TOKEN, DEV_GUEST_SECRET, DEV_PHONE_NUMBER_ID,
    DEV_SMS_NUMBER, GuestReply, Identity, Media, Way, signature,
};

const EVA: &str = "+31612345678";

async fn rig() -> (Rig, Receiver) {
    let (rig, receiver) = (Rig::start(), Receiver::start(&[]).await);
    rig.simulator.set_webhook_base(&receiver.url);
    (rig, receiver)
}

fn value(got: &Received) -> Value {
    got.json()["entry"][0]["changes"][0]["value"].clone()
}

fn form(got: &Received) -> Vec<(String, String)> {
    form_urlencoded::parse(&got.body).into_owned().collect()
}

fn field(got: &Received, name: &str) -> String {
    let found = form(got).into_iter().find(|(given, _)| given == name);
    found.map(|(_, value)| value).unwrap_or_default()
}

#[tokio::test]
async fn a_text_comes_by_whatsapp_signed_and_opens_the_window() {
    let (rig, receiver) = rig().await;
    let eva = rig.simulator.customer(EVA);
    assert!(eva.window().is_none());
    let id = eva.replying_to("wamid.ours").writes("hello");
    let got = receiver.wait_for(1).await.remove(0);
    assert_eq!(got.target, "/webhooks/whatsapp");
    assert_eq!(got.headers["x-hub-signature-256"], signature::whatsapp(DEV_APP_SECRET, &got.body));
    let value = value(&got);
    assert_eq!(value["metadata"]["phone_number_id"], DEV_PHONE_NUMBER_ID);
    let message = &value["messages"][0];
    assert_eq!((&message["id"], &message["from"]), (&json!(id), &json!("31612345678")));
    assert_eq!((&message["type"], &message["text"]["body"]), (&json!("text"), &json!("hello")));
    assert_eq!(message["context"]["id"], "wamid.ours");
    assert_eq!(value["contacts"][0]["wa_id"], "31612345678");
    assert!(eva.window().is_some());
    eva.lets_the_window_close();
    assert!(eva.window().is_none());
    eva.earlier(TimeDelta::hours(25)).writes("yesterday");
    assert!(eva.window().is_none());
}

#[tokio::test]
async fn every_kind_of_content_has_its_object() {
    let (rig, receiver) = rig().await;
    let eva = rig.simulator.customer(EVA);
    let sent: [(&str, &dyn Fn() -> String); 11] = [
        ("image", &|| eva.sends(Media::picture().with_caption("view"))),
        ("document", &|| {
            eva.sends(Media::new("document", "application/pdf", b"%PDF".to_vec()).called("a.pdf"))
        }),
        ("location", &|| eva.shares_location(47.3, 8.5, Some("Zurich"))),
        ("contacts", &|| eva.shares_contact("Bob", "+41790000002")),
        ("reaction", &|| eva.reacts("wamid.ours", "👍")),
        ("interactive", &|| eva.taps("yes", "Yes")),
        ("interactive", &|| eva.picks("room-1", "Room 1")),
        ("button", &|| eva.says(Content::TemplateButton { payload: "p".into(), text: "Yes".into() })),
        ("text", &|| eva.writes_after_an_ad("is it free?")),
        ("unsupported", &|| eva.says(Content::Unsupported)),
        ("hologram", &|| eva.sends_unknown("hologram", json!({"depth": 3}))),
    ];
    for (n, (kind, send)) in sent.into_iter().enumerate() {
        let id = send();
        let got = receiver.wait_for(n + 1).await;
        let message = value(&got[n])["messages"][0].clone();
        assert_eq!((&message["id"], &message["type"]), (&json!(id), &json!(kind)));
        assert!(kind == "unsupported" || !message[kind].is_null(), "{message}");
    }
    let got = receiver.wait_for(11).await;
    let message = |n: usize| value(&got[n])["messages"][0].clone();
    assert_eq!(message(0)["image"]["caption"], "view");
    assert_eq!(message(1)["document"]["filename"], "a.pdf");
    assert_eq!(message(5)["interactive"]["button_reply"], json!({"id": "yes", "title": "Yes"}));
    assert_eq!(message(8)["referral"]["source_type"], "ad");
    assert_eq!(message(9)["errors"][0]["code"], 131_051);
}

#[tokio::test]
async fn a_user_without_a_phone_is_named_by_id_alone() {
    let (rig, receiver) = rig().await;
    let eva = rig.simulator.customer(EVA);
    let user_id = Some("US.1349".to_owned());
    eva.is_known_as(Identity { user_id: user_id.clone(), hides_phone: true, ..Identity::default() });
    eva.writes("hello");
    let told = value(&receiver.wait_for(1).await[0]);
    assert_eq!(told["messages"][0]["from_user_id"], "US.1349");
    assert_eq!((told["messages"][0].get("from"), told["contacts"][0].get("wa_id")), (None, None));
    eva.is_known_as(Identity { user_id, wa_id: Some("31600".to_owned()), ..Identity::default() });
    let to_her = json!({"messaging_product": "whatsapp", "recipient": "US.1349", "type": "text", "text": {"body": "hi"}});
    let (_, body) = answer(rig.whatsapp_raw(&to_her).await.unwrap()).await;
    assert_eq!(body["contacts"][0]["user_id"], "US.1349");
    assert_eq!(rig.simulator.accepted()[0].to, EVA);
    let (_, body) = answer(rig.whatsapp(EVA, "hi", "01JOB.1").await.unwrap()).await;
    assert_eq!(body["contacts"][0]["wa_id"], "31600", "another than was written to");
    let told = receiver.wait_for(5).await;
    assert!(told.iter().any(|got| got.status()["recipient_id"] == "31600"));
}

#[tokio::test]
async fn copies_shuffle_and_batches_by_seed() {
    let (rig, receiver) = rig().await;
    rig.simulator.configure(|settings| {
        settings.inbound.copies = 2;
        settings.inbound.shuffle_seed = Some(5);
        settings.inbound.batch = 4;
    });
    let eva = rig.simulator.customer(EVA);
    let sent: Vec<String> = (0..10).map(|n| eva.writes(format!("{n}"))).collect();
    let arrived = rig.simulator.wait_for_webhooks(|all| all.len() == 20, super::rig::SOON).await.unwrap();
    let together: BTreeSet<u32> = arrived.iter().map(|one| one.together).collect();
    assert!(together.iter().all(|count| *count <= 4) && together.iter().any(|count| *count > 1));
    let ids: Vec<&String> = arrived.iter().map(|one| &one.provider_id).collect();
    for id in &sent {
        assert_eq!(ids.iter().filter(|arrived| **arrived == id).count(), 2);
    }
    assert_ne!(ids[..10].iter().map(|id| (*id).clone()).collect::<Vec<_>>(), sent);
    let got = receiver.wait_for(5).await;
    assert!(got.iter().any(|got| value(got)["messages"].as_array().unwrap().len() > 1));
}

#[tokio::test]
async fn an_sms_is_signed_for_the_public_url_and_stop_is_heard() {
    let (rig, receiver) = rig().await;
    rig.simulator.configure(|settings| {
        settings.public_url = Some("https://chat.example.com/".to_owned());
        settings.rewrite_callbacks = true;
        settings.fidelity.opt_outs = true;
    });
    let eva = rig.simulator.customer(EVA).by_sms();
    let id = eva.writes("STOP");
    let got = receiver.wait_for(1).await.remove(0);
    assert_eq!(got.target, "/webhooks/twilio/sms");
    let url = "https://chat.example.com/webhooks/twilio/sms";
    assert_eq!(got.headers["x-twilio-signature"], signature::twilio(DEV_AUTH_TOKEN, url, &form(&got)));
    assert_eq!((field(&got, "MessageSid"), field(&got, "OptOutType")), (id, "STOP".to_owned()));
    assert_eq!((field(&got, "From"), field(&got, "To")), (EVA.to_owned(), DEV_SMS_NUMBER.to_owned()));
    assert!(eva.has_stopped());
    let (status, body) = answer(rig.twilio(&[("To", EVA), ("Body", "hi")]).await.unwrap()).await;
    assert_eq!((status, &body["code"]), (400, &json!(21_610)));
    eva.writes("START");
    let (status, _) = answer(rig.twilio(&[("To", EVA), ("Body", "hi")]).await.unwrap()).await;
    assert_eq!(status, 201);
}

#[tokio::test]
async fn the_files_of_an_mms_lie_behind_credentials_and_a_redirect() {
    let (rig, receiver) = rig().await;
    let media = vec![Media::picture(), Media::new("audio", "audio/mpeg", b"mp3".to_vec())];
    rig.simulator.customer(EVA).by_sms().says(Content::Album { body: "two".into(), media });
    let got = receiver.wait_for(1).await.remove(0);
    assert_eq!(
        (field(&got, "NumMedia"), field(&got, "MediaContentType1")),
        ("2".into(), "audio/mpeg".into())
    );
    let url = field(&got, "MediaUrl1");
    let bare = rig.client.get(&url).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    let redirect =
        rig.client.get(&url).basic_auth(DEV_ACCOUNT_SID, Some(DEV_AUTH_TOKEN)).send().await.unwrap();
    assert_eq!(redirect.status(), 307);
    let place = redirect.headers()["location"].to_str().unwrap().to_owned();
    let content = rig.client.get(&place).send().await.unwrap();
    assert_eq!(
        (content.status().as_u16(), &content.headers()["content-type"]),
        (200, &"audio/mpeg".parse().unwrap())
    );
    assert_eq!(content.bytes().await.unwrap(), "mp3");
    rig.simulator.expire_media_addresses();
    assert_eq!(rig.client.get(&place).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_guest_platform_signs_its_replies() {
    let (rig, receiver) = rig().await;
    let id = rig.simulator.guest_replies(GuestReply::new("t1", "ext-1", "see you"));
    let got = receiver.wait_for(1).await.remove(0);
    assert_eq!((got.target.as_str(), &got.headers["webhook-id"]), ("/webhooks/guest", &id));
    let headers =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| Some(got.headers[name].as_str()));
    assert_eq!(signature::verify_standard(DEV_GUEST_SECRET, headers, &got.body, now()), Ok(()));
    let data = &got.json()["data"];
    assert_eq!((&data["threadId"], &data["externalMessageId"]), (&json!("t1"), &json!("ext-1")));
}

#[tokio::test]
async fn customers_act_by_http_too() {
    let (rig, receiver) = rig().await;
    let order = json!({"content": {"type": "text", "body": "hello"}});
    let path = "customers/%2B31612345678/messages";
    let (status, body) = rig.control(Method::POST, path, Some(order)).await;
    assert_eq!((status, body["id"].is_string()), (200, true), "{body}");
    let order = json!({"via": "sms", "to": "+15005550006", "content": {"type": "media", "kind": "image", "mimeType": "image/png"}});
    rig.control(Method::POST, path, Some(order)).await;
    let got = receiver.wait_for(2).await;
    assert_eq!(got.iter().filter(|got| got.target == "/webhooks/twilio/sms").count(), 1);
    let (_, shown) = rig.control(Method::GET, "customers", None).await;
    assert_eq!(shown["windows"][0]["customer"], EVA);
    rig.control(Method::POST, "customers/31612345678/window", Some(json!({"on": false}))).await;
    assert!(rig.simulator.customer(EVA).window().is_none());
    let name = json!({"name": "Eva", "userId": "US.1"});
    assert_eq!(rig.control(Method::PUT, "customers/31612345678", Some(name)).await.0, 200);
    let reply = json!({"threadId": "t1", "externalMessageId": "e1", "body": "hi", "author": null});
    assert_eq!(rig.control(Method::POST, "guest/replies", Some(reply)).await.0, 200);
    let content = base64::engine::general_purpose::STANDARD.encode(b"x");
    let media: Media =
        serde_json::from_value(json!({"kind": "image", "mimeType": "image/png", "content": content}))
            .unwrap();
    assert_eq!((media.content, Way::default()), (b"x".to_vec(), Way::Whatsapp));
    let root = rig.client.get(rig.simulator.url()).send().await.unwrap();
    assert_eq!(answer(root).await.1["customers"]["identities"][EVA]["name"], "Eva");
}
