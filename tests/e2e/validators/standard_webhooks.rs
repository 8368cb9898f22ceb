//! Standard Webhooks: our forwards before the reference library, and its signatures before our verifier.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::providers::standard_webhooks::{SignedHeaders, sign, verify};
use tests::app::{SOON, TestApp};
use tests::simulator::{Accepted, Action, DEV_GUEST_SECRET, FaultRule, Provider, signature};
use tests::validators::Validators;

/// Texts that a careless encoder would send otherwise than it signs them.
const ODD: [&str; 6] = [
    "plain",
    " spaces around ",
    "line\nbreak\r\nand\ttab",
    "\"quotes\" \\ and / slashes",
    "Grüße, 你好, 🎉 \u{200f}",
    "dots.in.it and %2B+&=;",
];

fn question(sent: &Accepted, body: &[u8], id: &str) -> Value {
    let headers = json!({
        "webhook-id": id,
        "webhook-timestamp": sent.headers["webhook-timestamp"],
        "webhook-signature": sent.headers["webhook-signature"],
    });
    let body = STANDARD.encode(body);
    json!({ "op": "standard.verify", "secret": DEV_GUEST_SECRET, "headers": headers, "body": body })
}

async fn forwards(app: &TestApp) -> Vec<Arc<Accepted>> {
    let thread = app.thread(json!({ "source": "hububb-guest" })).await;
    for text in ODD {
        app.agent("anna").say(&thread, text).await;
    }
    app.simulator.wait_for(|all| all.len() == ODD.len(), SOON).await.expect("they are forwarded")
}

#[tokio::test]
async fn what_we_forward_is_accepted_and_refused_once_a_byte_is_changed() {
    let app = TestApp::without_search().await;
    let mut validators = Validators::start();
    for sent in forwards(&app).await {
        let id = sent.headers["webhook-id"].as_str();
        assert!(!id.contains('.') && Some(id) == sent.key.as_deref());
        assert!(validators.accepts(&question(&sent, &sent.raw, id)).await, "{sent:?}");
        let mut changed = sent.raw.to_vec();
        *changed.last_mut().expect("a body") = b' ';
        assert!(!validators.accepts(&question(&sent, &changed, id)).await, "another body");
        assert!(!validators.accepts(&question(&sent, &sent.raw, "01OTHER")).await, "another id");
        let mut later = question(&sent, &sent.raw, id);
        let stamp: i64 = sent.headers["webhook-timestamp"].parse().expect("a timestamp");
        later["headers"]["webhook-timestamp"] = json!((stamp + 1).to_string());
        assert!(!validators.accepts(&later).await, "another time");
        let mut stranger = question(&sent, &sent.raw, id);
        stranger["secret"] = json!("whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCBvZiAzMiBieXRlcw==");
        assert!(!validators.accepts(&stranger).await, "another secret");
    }
}

#[tokio::test]
async fn a_forward_that_is_tried_again_is_accepted_with_the_same_id() {
    let app = TestApp::without_search().await;
    let mut validators = Validators::start();
    app.simulator.fault(FaultRule::on(Provider::Guest, Action::AcceptReset).times(1));
    let thread = app.thread(json!({ "source": "hububb-guest" })).await;
    app.agent("anna").say(&thread, "once more").await;
    let sent = app.simulator.wait_for(|all| all.len() == 2, SOON).await.expect("it is tried again");
    assert_eq!(sent[0].key, sent[1].key);
    assert!(sent[1].duplicate);
    for sent in sent {
        let id = sent.headers["webhook-id"].as_str();
        assert!(validators.accepts(&question(&sent, &sent.raw, id)).await);
    }
}

#[tokio::test]
async fn what_the_reference_library_signs_our_verifier_accepts() {
    let mut validators = Validators::start();
    let now = Utc::now();
    for (n, text) in ODD.iter().enumerate() {
        let id = format!("msg_{n}");
        let body = json!({ "type": "message.created", "data": { "body": text } }).to_string();
        let question = json!({
            "op": "standard.sign", "secret": DEV_GUEST_SECRET, "id": id, "timestamp": now.timestamp(), "body": body,
        });
        let theirs = validators.sign(&question).await;
        assert_eq!(sign(DEV_GUEST_SECRET, &id, now.timestamp(), body.as_bytes()).as_ref(), Ok(&theirs));
        let simulators = signature::standard(DEV_GUEST_SECRET, &id, now.timestamp(), body.as_bytes());
        assert_eq!(simulators.as_ref(), Some(&theirs), "the simulator signs as they do");
        let stamp = now.timestamp().to_string();
        let fits = |signature: &str, body: &[u8], at: DateTime<Utc>| {
            verify(DEV_GUEST_SECRET, &SignedHeaders { id: &id, timestamp: &stamp, signature }, body, at)
        };
        assert!(fits(&theirs, body.as_bytes(), now));
        assert!(fits(&format!("v1,AAAA {theirs}"), body.as_bytes(), now), "of a rotation");
        assert!(!fits(&theirs, format!("{body} ").as_bytes(), now));
        assert!(!fits(&theirs, body.as_bytes(), now + TimeDelta::seconds(301)));
    }
}

#[tokio::test]
async fn both_keep_the_same_tolerance() {
    let mut validators = Validators::start();
    let body = b"{}";
    // Far enough from the edge that the seconds of the test do not matter.
    for (offset, within) in [(-280, true), (280, true), (-320, false), (320, false)] {
        let stamp = Utc::now().timestamp() + offset;
        let signed = sign(DEV_GUEST_SECRET, "msg_1", stamp, body).expect("a secret");
        let headers = SignedHeaders { id: "msg_1", timestamp: &stamp.to_string(), signature: &signed };
        assert_eq!(verify(DEV_GUEST_SECRET, &headers, body, Utc::now()), within, "ours at {offset}");
        let headers = json!({
            "webhook-id": "msg_1", "webhook-timestamp": stamp.to_string(), "webhook-signature": signed,
        });
        let question = json!({
            "op": "standard.verify", "secret": DEV_GUEST_SECRET, "headers": headers, "body": STANDARD.encode(body),
        });
        assert_eq!(validators.accepts(&question).await, within, "theirs at {offset}");
    }
    assert_eq!(shared::providers::standard_webhooks::TOLERANCE, Duration::from_secs(300));
}

#[tokio::test]
async fn the_vector_of_the_specification_is_what_all_three_sign() {
    let (secret, id) = ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk");
    let body = r#"{"email":"test@example.com","username":"test_user"}"#;
    let wanted = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
    let question = json!({ "op": "standard.sign", "secret": secret, "id": id, "timestamp": 1_649_367_553, "body": body });
    assert_eq!(Validators::start().sign(&question).await, wanted);
    assert_eq!(sign(secret, id, 1_649_367_553, body.as_bytes()).as_deref(), Ok(wanted));
    assert_eq!(signature::standard(secret, id, 1_649_367_553, body.as_bytes()).as_deref(), Some(wanted));
}
