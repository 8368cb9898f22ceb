//! Messages of other systems: one `externalMessageId` per account and source is one message.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::TestApp;

fn from(source: &str, id: &str) -> Value {
    json!({ "body": "hello", "source": source, "externalMessageId": id })
}

#[tokio::test]
async fn a_message_of_an_ota_posted_twice_is_stored_once() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let ota = app.service("ota");
    let first = ota.message(&thread, from("airbnb", "x1")).expect(201).await;
    let again = ota.message(&thread, from("airbnb", "x1")).expect(200).await;
    assert_eq!((again.is_replay(), &again.body), (true, &first.body));
    assert_eq!(ota.thread(&thread).await["seq"], 1);
}

#[tokio::test]
async fn in_the_same_thread_the_stored_one_is_answered_and_in_another_it_is_a_conflict() {
    let app = TestApp::ingest_only().await;
    let (thread, other_thread) = (app.thread(json!({})).await, app.thread(json!({})).await);
    let ota = app.service("ota");
    let first = ota.message(&thread, from("airbnb", "x1")).expect(201).await;
    let mut edited = from("airbnb", "x1");
    edited["body"] = json!("edited later");
    let again = ota.message(&thread, edited).expect(200).await;
    assert_eq!(again.body, first.body);
    ota.message(&other_thread, from("airbnb", "x1")).refused(409, "conflict").await;
}

#[tokio::test]
async fn another_source_or_account_has_ids_of_its_own() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    app.service("ota").message(&thread, from("airbnb", "x1")).expect(201).await;
    app.service("ota").message(&thread, from("booking", "x1")).expect(201).await;
    let foreign = app.caller("globex", "ota", Role::Service);
    let made = foreign.post("/chat/threads", json!({})).expect(201).await;
    foreign.message(made["threadId"].as_str().unwrap(), from("airbnb", "x1")).expect(201).await;
}

#[tokio::test]
async fn twenty_deliveries_of_one_message_at_once_are_one() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let ota = app.service("ota");
    let posts = (0..20).map(|_| ota.message(&thread, from("airbnb", "x1")).send());
    let replies = join_all(posts).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for reply in &replies {
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
        assert_eq!(reply["messageId"], replies[0]["messageId"]);
    }
    assert_eq!(ota.thread(&thread).await["seq"], 1);
}
