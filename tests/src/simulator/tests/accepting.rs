//! What each provider accepts and refuses, and what the record holds of it.

use serde_json::{Value, json};

use super::rig::{FROM, Rig, SOON, answer, event, now, text};
use crate::simulator::{Outcome, Provider, Settings, Simulator, SimulatorConfig};

#[tokio::test]
async fn whatsapp_accepts_and_records() {
    let rig = Rig::start();
    let (status, body) = answer(rig.whatsapp("+31612345678", "hello", "01JOB.2").await.unwrap()).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["contacts"][0], json!({"input": "+31612345678", "wa_id": "31612345678"}));
    let accepted = rig.simulator.wait_for(|all| all.len() == 1, SOON).await.unwrap();
    let sent = &accepted[0];
    assert_eq!(body["messages"][0]["id"], sent.provider_id.as_str());
    assert!(sent.provider_id.starts_with("wamid.") && sent.provider_id.len() <= 128);
    assert_eq!((sent.n, sent.provider, sent.to.as_str()), (1, Provider::Whatsapp, "+31612345678"));
    assert_eq!((sent.job.as_deref(), sent.attempt, sent.body.as_str()), (Some("01JOB"), Some(2), "hello"));
    assert!(!format!("{sent:?}").contains("hello"));
    let seen = &rig.simulator.requests()[0];
    assert_eq!((seen.outcome, seen.status, seen.accepted), (Outcome::Accepted, Some(200), Some(1)));
}

#[tokio::test]
async fn whatsapp_refuses_as_meta_does() {
    let rig = Rig::start();
    let refused = async |payload: Value| {
        let (status, body) = answer(rig.whatsapp_raw(&payload).await.unwrap()).await;
        (status, body["error"]["code"].as_u64().unwrap())
    };
    let changed = |name: &str, value: Value| {
        let mut payload = text("31612345678", "hello", "k");
        payload[name] = value;
        payload
    };
    assert_eq!(refused(json!({})).await, (400, 100));
    assert_eq!(refused(changed("to", json!("call me"))).await, (400, 131_009));
    assert_eq!(refused(changed("to", json!("15550783881"))).await, (400, 131_021));
    assert_eq!(refused(changed("text", json!({"body": "x".repeat(4097)}))).await, (400, 100));
    assert_eq!(refused(changed("biz_opaque_callback_data", json!("k".repeat(513)))).await, (400, 100));
    let url = format!("{}/100000000000001/messages", rig.simulator.whatsapp_base_url());
    let bad = rig.client.post(url).bearer_auth("wrong").json(&text("31612345678", "x", "k"));
    let (status, body) = answer(bad.send().await.unwrap()).await;
    assert_eq!(
        (status, &body["error"]["code"], &body["error"]["type"]),
        (401, &json!(190), &json!("OAuthException"))
    );
    let mark = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"});
    assert_eq!(answer(rig.whatsapp_raw(&mark).await.unwrap()).await, (200, json!({"success": true})));
    assert_eq!(rig.simulator.accepted_count(), 0);
    assert_eq!(rig.simulator.requests().iter().filter(|seen| seen.outcome == Outcome::Refused).count(), 6);
}

#[tokio::test]
async fn a_job_sent_twice_is_a_duplicate() {
    let rig = Rig::start();
    rig.whatsapp("31612345678", "hello", "01JOB.1").await.unwrap();
    rig.whatsapp("31612345678", "hello", "01JOB.2").await.unwrap();
    rig.whatsapp("31612345678", "other", "01OTHER.1").await.unwrap();
    let repeated = rig.simulator.duplicates();
    assert_eq!(
        (repeated.len(), repeated[0].job.as_str(), &repeated[0].numbers[..]),
        (1, "01JOB", &[1, 2][..])
    );
    assert_eq!(rig.simulator.accepted_of(Provider::Whatsapp, "01JOB").len(), 2);
}

#[tokio::test]
async fn twilio_accepts_lists_and_fetches() {
    let rig = Rig::start();
    let callback = "http://127.0.0.1:1/webhooks/twilio/status?job=01JOB&a=1";
    let fields = [("To", "+31612345678"), ("Body", "hi & bye"), ("StatusCallback", callback)];
    let (status, body) = answer(rig.twilio(&fields).await.unwrap()).await;
    assert_eq!(
        (status, &body["status"], &body["num_segments"]),
        (201, &json!("queued"), &json!("1")),
        "{body}"
    );
    let sid = body["sid"].as_str().unwrap();
    assert_eq!((sid.len(), &sid[..2]), (34, "SM"));
    assert_eq!(rig.simulator.accepted()[0].key.as_deref(), Some("01JOB.1"));

    let (status, fetched) = rig.twilio_get(&format!("Messages/{sid}.json")).await;
    assert_eq!((status, &fetched["body"], &fetched["from"]), (200, &json!("hi & bye"), &json!(FROM)));
    let day = chrono::Utc::now().format("%Y-%m-%d");
    let (_, found) = rig.twilio_get(&format!("Messages.json?To=%2B31612345678&DateSent%3E={day}")).await;
    assert_eq!(found["messages"][0]["sid"], sid);
    let (_, other) = rig.twilio_get("Messages.json?To=%2B31600000000").await;
    assert_eq!(other["messages"], json!([]));
    let (_, later) = rig.twilio_get("Messages.json?To=%2B31612345678&DateSent%3E=2100-01-01").await;
    assert_eq!(later["messages"], json!([]));
    assert_eq!(rig.twilio_get("Messages/SM00.json").await.0, 404);
}

#[tokio::test]
async fn twilio_refuses_in_its_error_shape() {
    let rig = Rig::start();
    let refused = async |fields: &[(&str, &str)]| answer(rig.twilio(fields).await.unwrap()).await;
    let (status, body) = refused(&[("To", "12"), ("Body", "x")]).await;
    assert_eq!((status, &body["code"], &body["status"]), (400, &json!(21_211), &json!(400)));
    assert_eq!(refused(&[("Body", "x")]).await.1["code"], 21_604);
    assert_eq!(refused(&[("To", "+31612345678")]).await.1["code"], 21_602);
    let long = "é".repeat(1601);
    assert_eq!(refused(&[("To", "+31612345678"), ("Body", &long)]).await.1["code"], 21_617);
    assert_eq!(refused(&[("To", "+15005550004"), ("Body", "x")]).await.1["code"], 21_610);
    let request = rig.client.post(rig.twilio_url("Messages.json")).basic_auth("AC", Some("wrong"));
    let (status, body) = answer(request.form(&[("To", "+31612345678")]).send().await.unwrap()).await;
    assert_eq!((status, &body["code"]), (401, &json!(20_003)));
    assert_eq!(rig.simulator.accepted_count(), 0);
}

#[tokio::test]
async fn the_guest_platform_is_idempotent_by_webhook_id() {
    let rig = Rig::start();
    let (status, first) = rig.guest("01JOB", &event("hello"), now()).await;
    assert_eq!((status, &first["duplicate"]), (200, &json!(false)));
    assert_eq!(rig.guest("01JOB", &event("hello"), now()).await.1["duplicate"], true);
    assert_eq!(rig.guest("01JOB", &event("other"), now()).await.0, 409);
    assert_eq!(rig.guest("01NEW", &event("hello"), now() - 301).await.0, 401);
    assert_eq!(rig.guest("01NEW", &json!({"type": "x"}), now()).await.0, 400);
    let accepted = rig.simulator.accepted();
    assert_eq!(accepted.iter().map(|sent| sent.duplicate).collect::<Vec<_>>(), [false, true]);
    assert_eq!((accepted[0].to.as_str(), accepted[0].body.as_str()), ("t1", "hello"));
}

#[tokio::test]
async fn limits_are_enforced_when_switched_on() {
    let rig = Rig::start();
    rig.simulator.configure(|settings| settings.limits.enabled = true);
    for n in 0..45 {
        let response = rig.whatsapp("31612345678", "hello", &format!("{n}.1")).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let (status, body) = answer(rig.whatsapp("31612345678", "hello", "x.1").await.unwrap()).await;
    assert_eq!((status, &body["error"]["code"]), (429, &json!(131_056)));
    assert_eq!(rig.whatsapp("31612345679", "hello", "y.1").await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_record_file_has_one_line_per_accepted_send() {
    let file = std::env::temp_dir().join(format!("simulator-record-{:x}.jsonl", rand::random::<u64>()));
    let config = SimulatorConfig { record: Some(file.clone()), ..SimulatorConfig::default() };
    let rig = Rig { simulator: Simulator::start(config), ..Rig::start() };
    rig.whatsapp("31612345678", "one", "a.1").await.unwrap();
    rig.whatsapp("31612345678", "two", "b.1").await.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let keys: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone()).collect();
    assert_eq!(keys, [json!("a.1"), json!("b.1")]);
}

#[tokio::test]
async fn two_simulators_and_a_restart_on_the_same_port() {
    let (one, two) = (Rig::start(), Rig::start());
    one.whatsapp("31612345678", "hello", "a.1").await.unwrap();
    assert_eq!((one.simulator.accepted_count(), two.simulator.accepted_count()), (1, 0));
    let listen = one.simulator.address();
    one.simulator.stop().await;
    assert!(one.client.get(format!("http://{listen}/_sim/healthz")).send().await.is_err());
    let settings = Settings::default();
    let again = Simulator::start(SimulatorConfig { listen, settings, ..SimulatorConfig::default() });
    assert_eq!(one.client.get(format!("{}/_sim/healthz", again.url())).send().await.unwrap().status(), 200);
}
