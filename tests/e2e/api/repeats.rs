//! The same request again: recognised by the client's own id, or by an `Idempotency-Key`.

use futures::future::join_all;
use mongodb::bson::doc;
use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::{Call, Reply, TestApp};

async fn at_once(calls: impl IntoIterator<Item = Call>) -> Vec<Reply> {
    join_all(calls.into_iter().map(Call::send)).await
}

async fn stored(app: &TestApp, thread: &str) -> usize {
    app.admin("reader").messages(thread, "?limit=100").await["messages"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_message_id_with_the_same_content_writes_nothing() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let body = json!({ "body": "hello", "messageId": "m1", "type": "whatsapp-message" });
    let first = anna.message(&thread, body.clone()).expect(201).await;
    let jobs = app.jobs_where(doc! {}).await.len();
    // Defaults that are spelled out, and another order of the fields, are the same content.
    let spelled = json!({ "source": "hububb", "contentType": "text", "type": "whatsapp-message", "messageId": "m1",
        "attachments": [], "body": "hello" });
    for again in [body, spelled] {
        let reply = anna.message(&thread, again).expect(200).await;
        assert!(reply.is_replay());
        assert_eq!(reply.body, first.body);
    }
    assert_eq!(app.jobs_where(doc! {}).await.len(), jobs, "no job is made");
    assert_eq!(anna.thread(&thread).await["seq"], 1);
}

#[tokio::test]
async fn the_same_message_id_with_anything_else_is_a_conflict() {
    let app = TestApp::ingest_only().await;
    let (thread, other_thread) = (app.thread(json!({})).await, app.thread(json!({})).await);
    let anna = app.agent("anna");
    let body = json!({ "body": "hello", "messageId": "m1" });
    anna.message(&thread, body.clone()).expect(201).await;
    for other in [
        json!({ "body": "other", "messageId": "m1" }),
        json!({ "body": "hello", "messageId": "m1", "type": "note" }),
        json!({ "body": "hello", "messageId": "m1", "attachments": ["a"] }),
        json!({ "body": "hello", "messageId": "m1", "source": "operations" }),
    ] {
        anna.message(&thread, other).refused(409, "conflict").await;
    }
    app.agent("ben").message(&thread, body.clone()).refused(409, "conflict").await;
    anna.message(&other_thread, body.clone()).refused(409, "conflict").await;
    assert_eq!((stored(&app, &thread).await, stored(&app, &other_thread).await), (1, 0));
    let foreign = app.caller("globex", "anna", Role::Agent);
    let made = foreign.post("/chat/threads", json!({})).expect(201).await;
    foreign.message(made["threadId"].as_str().unwrap(), body).expect(201).await;
}

#[tokio::test]
async fn s31_one_message_id_posted_fifty_times_at_once_is_stored_once() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let body = json!({ "body": "hello", "messageId": "m1" });
    let replies = at_once((0..50).map(|_| anna.message(&thread, body.clone()))).await;
    let new = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(new, 1);
    for reply in &replies {
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
        assert_eq!(reply.is_replay(), reply.status == 200);
        assert_eq!(reply.body, replies[0].body);
    }
    assert_eq!(stored(&app, &thread).await, 1);
    assert_eq!(app.jobs_where(doc! { "name": "audit_message" }).await.len(), 1);
}

#[tokio::test]
async fn s31_two_contents_under_one_message_id_at_once_leave_one_of_them() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let bodies = ["left", "right"].map(|text| json!({ "body": text, "messageId": "m1" }));
    let replies = at_once((0..30).map(|n| anna.message(&thread, bodies[n % 2].clone()))).await;
    let winner = replies.iter().find(|reply| reply.status == 201).expect("one is stored")["body"].clone();
    for (n, reply) in replies.iter().enumerate() {
        let same = bodies[n % 2]["body"] == winner;
        assert_eq!(matches!(reply.status, 200 | 201), same, "{}", reply.text);
        assert_eq!(reply.status == 409, !same, "{}", reply.text);
    }
    assert_eq!(stored(&app, &thread).await, 1);
}

#[tokio::test]
async fn the_same_idempotency_key_is_answered_as_before() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let post =
        |key: &str, text: &str| anna.message(&thread, json!({ "body": text })).header("idempotency-key", key);
    let first = post("k1", "hello").expect(201).await;
    assert!(!first.is_replay());
    let again = post("k1", "hello").expect(201).await;
    assert!(again.is_replay(), "the status of the first answer, and the mark");
    assert_eq!(again.body, first.body);
    post("k1", "other").refused(409, "idempotency_conflict").await;
    post("k2", "hello").expect(201).await;
    assert_eq!(stored(&app, &thread).await, 2);
    for malformed in ["", "a b", "a/b", "ä", &"k".repeat(129)] {
        post(malformed, "hello").refused(400, "invalid_request").await;
    }
}

#[tokio::test]
async fn a_replay_is_rendered_anew_from_what_is_stored() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let body = json!({ "body": "hi", "type": "whatsapp-message" });
    let first = anna.message(&thread, body.clone()).header("idempotency-key", "k1").expect(201).await;
    let sent = doc! { "$set": { "delivery.state": "sent" } };
    let messages = app.store().raw().collection::<mongodb::bson::Document>("messages");
    let key = format!("acme/{}", first["messageId"].as_str().unwrap());
    messages.update_one(doc! { "_id": key }, sent).await.unwrap();
    let again = anna.message(&thread, body).header("idempotency-key", "k1").expect(201).await;
    assert_eq!(again["delivery"]["state"], "sent");
}

#[tokio::test]
async fn s34_a_key_belongs_to_its_account_caller_and_route() {
    let app = TestApp::ingest_only().await;
    let (thread, other_thread) = (app.thread(json!({})).await, app.thread(json!({})).await);
    let body = json!({ "body": "hello" });
    let first =
        app.agent("anna").message(&thread, body.clone()).header("idempotency-key", "k1").expect(201).await;
    let elsewhere = [
        app.agent("ben").message(&thread, body.clone()),
        app.agent("anna").message(&other_thread, body.clone()),
        app.agent("anna").post("/chat/threads", json!({})),
    ];
    for call in elsewhere {
        let reply = call.header("idempotency-key", "k1").expect(201).await;
        assert!(!reply.is_replay());
        assert_ne!(reply["messageId"], first["messageId"]);
    }
    let foreign = app.caller("globex", "anna", Role::Agent);
    foreign.message(&thread, body).header("idempotency-key", "k1").refused(404, "not_found").await;
}

#[tokio::test]
async fn s31_one_key_posted_fifty_times_at_once_is_stored_once() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let body = json!({ "body": "hello" });
    let calls = (0..50).map(|_| anna.message(&thread, body.clone()).header("idempotency-key", "k1"));
    let replies = at_once(calls).await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.body), (201, &replies[0].body), "{}", reply.text);
    }
    assert_eq!(replies.iter().filter(|reply| !reply.is_replay()).count(), 1);
    assert_eq!(stored(&app, &thread).await, 1);
}

#[tokio::test]
async fn the_key_decides_before_the_message_id() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let post = |key: &str, body: Value| anna.message(&thread, body).header("idempotency-key", key);
    let body = json!({ "body": "hello", "messageId": "m1" });
    post("k1", body.clone()).expect(201).await;
    assert!(post("k1", body.clone()).expect(201).await.is_replay(), "the key decides");
    assert!(
        post("k2", body).expect(200).await.is_replay(),
        "a new key with a known id follows the id's rule"
    );
    post("k3", json!({ "body": "other", "messageId": "m1" })).refused(409, "conflict").await;
    let other_id = json!({ "body": "hello", "messageId": "m2" });
    post("k1", other_id).refused(409, "idempotency_conflict").await;
}

#[tokio::test]
async fn a_thread_is_created_once_by_its_id_or_by_a_key() {
    let app = TestApp::ingest_only().await;
    let anna = app.agent("anna");
    let body = json!({ "threadId": "t1", "title": "Stay", "participantIds": ["gina"] });
    let first = anna.post("/chat/threads", body.clone()).expect(201).await;
    assert!(!first.is_replay());
    let again = anna.post("/chat/threads", body).expect(200).await;
    assert_eq!((again.is_replay(), &again.body), (true, &first.body));
    let other = json!({ "threadId": "t1", "title": "Other" });
    anna.post("/chat/threads", other).refused(409, "conflict").await;
    let keyed =
        |title: &str| anna.post("/chat/threads", json!({ "title": title })).header("idempotency-key", "k1");
    let first = keyed("a").expect(201).await;
    let again = keyed("a").expect(201).await;
    assert_eq!((again.is_replay(), &again["threadId"]), (true, &first["threadId"]));
    keyed("b").refused(409, "idempotency_conflict").await;
    let replies = at_once(
        (0..20)
            .map(|_| anna.post("/chat/threads", json!({ "title": "race" })).header("idempotency-key", "k2")),
    );
    let replies = replies.await;
    assert!(replies.iter().all(|r| r.status == 201 && r["threadId"] == replies[0]["threadId"]));
}
