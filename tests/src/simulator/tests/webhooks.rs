//! The status webhooks: signed, in order or shuffled, repeated until they are taken.

use serde_json::json;
use url::form_urlencoded;

use super::rig::{Received, Receiver, Rig, SOON};
use crate::simulator::{Action, DEV_APP_SECRET, DEV_AUTH_TOKEN, FaultRule, Provider, StatusOrder, signature};

async fn rig_with(receiver: &Receiver) -> Rig {
    let rig = Rig::start();
    rig.simulator.set_webhook_base(format!("{}/", receiver.url));
    rig
}

fn order(message: &str, status: &str) -> StatusOrder {
    StatusOrder { message: message.to_owned(), status: status.to_owned(), code: None, copies: None }
}

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|got| got.status()["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn whatsapp_statuses_are_signed_and_echo_the_opaque_data() {
    let receiver = Receiver::start(&[]).await;
    let rig = rig_with(&receiver).await;
    rig.whatsapp("31612345678", "hello", "01JOB.1").await.unwrap();
    let received = receiver.wait_for(2).await;
    let mut arrived = names(&received);
    arrived.sort();
    assert_eq!(arrived, ["delivered", "sent"]);
    let first = &received[0];
    assert_eq!(first.target, "/webhooks/whatsapp");
    assert_eq!(first.headers["x-hub-signature-256"], signature::whatsapp(DEV_APP_SECRET, &first.body));
    let status = first.status();
    assert_eq!(status["biz_opaque_callback_data"], "01JOB.1");
    assert_eq!(status["id"], rig.simulator.accepted()[0].provider_id.as_str());
    assert_eq!(status["recipient_id"], "31612345678");
}

#[tokio::test]
async fn twilio_callbacks_are_signed_over_the_url_as_given() {
    let receiver = Receiver::start(&[]).await;
    let rig = Rig::start();
    let callback = format!("{}/webhooks/twilio/status?job=01JOB&a=1", receiver.url);
    let fields = [("To", "+31612345678"), ("Body", "hi"), ("StatusCallback", callback.as_str())];
    rig.twilio(&fields).await.unwrap();
    let received = receiver.wait_for(3).await;
    let mut arrived = Vec::new();
    for got in received {
        assert_eq!(got.target, "/webhooks/twilio/status?job=01JOB&a=1");
        let fields: Vec<(String, String)> = form_urlencoded::parse(&got.body).into_owned().collect();
        assert_eq!(got.headers["x-twilio-signature"], signature::twilio(DEV_AUTH_TOKEN, &callback, &fields));
        arrived
            .extend(fields.into_iter().find(|(name, _)| name == "MessageStatus").map(|(_, status)| status));
    }
    arrived.sort();
    assert_eq!(arrived, ["delivered", "queued", "sent"]);
}

#[tokio::test]
async fn a_rewritten_callback_is_signed_for_the_url_as_given() {
    let receiver = Receiver::start(&[]).await;
    let rig = rig_with(&receiver).await;
    rig.simulator.configure(|settings| settings.rewrite_callbacks = true);
    let callback = "https://chat.example.com/webhooks/twilio/status?job=01JOB&a=1";
    rig.twilio(&[("To", "+31612345678"), ("Body", "hi"), ("StatusCallback", callback)]).await.unwrap();
    let got = receiver.wait_for(1).await.remove(0);
    assert_eq!(got.target, "/webhooks/twilio/status?job=01JOB&a=1");
    let fields: Vec<(String, String)> = form_urlencoded::parse(&got.body).into_owned().collect();
    assert_eq!(got.headers["x-twilio-signature"], signature::twilio(DEV_AUTH_TOKEN, callback, &fields));
}

#[tokio::test]
async fn a_webhook_is_repeated_until_it_is_taken() {
    let receiver = Receiver::start(&[500, 503, 200, 401]).await;
    let rig = rig_with(&receiver).await;
    rig.simulator.configure(|settings| settings.statuses.enabled = false);
    rig.whatsapp("31612345678", "hello", "01JOB.1").await.unwrap();
    rig.simulator.send_status(&order("01JOB", "sent")).unwrap();
    rig.simulator.wait_for_webhooks(|tries| tries.len() == 3, SOON).await.unwrap();
    rig.simulator.send_status(&order("01JOB", "delivered")).unwrap();
    let tries = rig.simulator.wait_for_webhooks(|tries| tries.len() == 4, SOON).await.unwrap();
    let told: Vec<_> = tries.iter().map(|one| (one.status.as_str(), one.attempt, one.answer)).collect();
    let expected =
        [("sent", 1, Some(500)), ("sent", 2, Some(503)), ("sent", 3, Some(200)), ("delivered", 1, Some(401))];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_webhook_waits_for_a_product_that_is_away() {
    let rig = Rig::start();
    rig.simulator.set_webhook_base("http://127.0.0.1:1");
    rig.whatsapp("31612345678", "hello", "01JOB.1").await.unwrap();
    rig.simulator
        .wait_for_webhooks(|tries| tries.iter().any(|one| one.error == Some("connect")), SOON)
        .await
        .unwrap();
    let receiver = Receiver::start(&[]).await;
    rig.simulator.set_webhook_base(&receiver.url);
    receiver.wait_for(2).await;
}

#[tokio::test]
async fn copies_and_a_shuffle_by_seed() {
    let receiver = Receiver::start(&[]).await;
    let rig = rig_with(&receiver).await;
    rig.simulator.configure(|settings| {
        settings.statuses.copies = 2;
        settings.statuses.read = true;
        settings.statuses.sent_ms = 10;
        settings.statuses.delivered_ms = 200;
        settings.statuses.read_ms = 400;
        settings.statuses.shuffle_seed = Some(1);
    });
    rig.whatsapp("31612345678", "hello", "01JOB.1").await.unwrap();
    let arrived = names(&receiver.wait_for(6).await);
    assert_eq!(arrived.iter().filter(|name| *name == "read").count(), 2);
    assert_ne!(arrived, ["sent", "sent", "delivered", "delivered", "read", "read"]);
}

#[tokio::test]
async fn a_failure_and_a_late_status_by_hand() {
    let receiver = Receiver::start(&[]).await;
    let rig = rig_with(&receiver).await;
    rig.simulator
        .fault(FaultRule::on(Provider::Whatsapp, Action::FailStatus { code: 131_026, status: None }));
    rig.whatsapp("31612345678", "hello", "01JOB.1").await.unwrap();
    let failed = receiver.wait_for(1).await[0].status();
    assert_eq!((&failed["status"], &failed["errors"][0]["code"]), (&json!("failed"), &json!(131_026)));
    assert!(rig.simulator.send_status(&order("01NONE", "delivered")).is_err());
    for message in ["01JOB", "01JOB.1", &rig.simulator.accepted()[0].provider_id] {
        rig.simulator.send_status(&order(message, "delivered")).unwrap();
    }
    assert_eq!(names(&receiver.wait_for(4).await), ["failed", "delivered", "delivered", "delivered"]);
}

#[tokio::test]
async fn the_subscription_handshake() {
    let receiver = Receiver::start(&[200, 403]).await;
    let rig = rig_with(&receiver).await;
    rig.simulator.verify_webhook().await.unwrap();
    assert!(rig.simulator.verify_webhook().await.is_err());
    let target = &receiver.wait_for(1).await[0].target;
    assert!(target.contains("hub.mode=subscribe") && target.contains("hub.verify_token=dev-verify-token"));
}
