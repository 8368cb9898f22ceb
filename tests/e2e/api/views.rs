//! Lists of threads: recent, unread and important, answered from MongoDB, so that they are right at once.

use serde_json::{Value, json};
use tests::app::{Caller, TestApp};

async fn list(caller: &Caller, query: &str) -> Vec<Value> {
    caller.get(&format!("/chat/threads{query}")).expect(200).await.each("threads", "threadId")
}

async fn threads(app: &TestApp, ids: &[&str]) {
    for id in ids {
        app.thread(json!({ "threadId": id })).await;
    }
}

#[tokio::test]
async fn recent_shows_the_latest_message_first_at_once() {
    let app = TestApp::ingest_only().await;
    threads(&app, &["t1", "t2", "t3"]).await;
    let anna = app.agent("anna");
    for id in ["t2", "t3", "t1", "t2"] {
        anna.say(id, "hello").await;
        assert_eq!(list(&anna, "").await[0], json!(id));
    }
    assert_eq!(list(&anna, "?view=recent").await, [json!("t2"), json!("t1"), json!("t3")]);
}

#[tokio::test]
async fn pages_by_cursor_meet_every_thread_once_even_at_the_same_time() {
    let app = TestApp::ingest_only().await;
    let ids: Vec<String> = (0..11).map(|n| format!("t{n:02}")).collect();
    threads(&app, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // One time for all: the order among equals must be firm.
    let all = app.store().raw().collection::<mongodb::bson::Document>("threads");
    let at = mongodb::bson::DateTime::from_millis(1_780_000_000_000);
    all.update_many(mongodb::bson::doc! {}, mongodb::bson::doc! { "$set": { "updatedAt": at } })
        .await
        .unwrap();
    let anna = app.agent("anna");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = anna.get(&format!("/chat/threads?limit=3{cursor}")).expect(200).await;
        seen.extend(page.each("threads", "threadId"));
        assert_eq!(page["hasMore"] == true, page["nextCursor"].is_string(), "{}", page.text);
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<Value> = ids.iter().rev().map(|id| json!(id)).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn unread_shows_what_waits_for_the_caller() {
    let app = TestApp::ingest_only().await;
    app.thread(json!({ "threadId": "t1", "participantIds": ["anna", "ben"] })).await;
    app.thread(json!({ "threadId": "t2", "participantIds": ["gina"], "assignedAgentIds": ["ben"] })).await;
    app.agent("anna").say("t1", "hello").await;
    app.guest("gina").say("t2", "hello").await;
    assert_eq!(list(&app.agent("ben"), "?view=unread").await, [json!("t2"), json!("t1")]);
    assert!(list(&app.agent("anna"), "?view=unread").await.is_empty(), "not by one's own message");
    assert!(list(&app.guest("gina"), "?view=unread").await.is_empty());
    app.agent("ben").say("t2", "hi").await;
    assert_eq!(list(&app.agent("ben"), "?view=unread").await, [json!("t1")], "answering reads");
    assert_eq!(list(&app.guest("gina"), "?view=unread").await, [json!("t2")]);
}

#[tokio::test]
async fn an_unassigned_support_room_that_nobody_answered_is_unread_for_all_staff() {
    let app = TestApp::ingest_only().await;
    app.thread(json!({ "threadId": "room", "kind": "support", "participantIds": ["cust"] })).await;
    app.guest("cust").say("room", "help").await;
    for caller in [app.agent("anna"), app.agent("ben"), app.admin("adam")] {
        assert_eq!(list(&caller, "?view=unread").await, [json!("room")]);
    }
    app.agent("anna").say("room", "hello").await;
    for caller in [app.agent("anna"), app.agent("ben"), app.admin("adam")] {
        assert!(list(&caller, "?view=unread").await.is_empty(), "{}", caller.uid());
    }
}

#[tokio::test]
async fn important_shows_the_flag_to_staff_and_nothing_to_guests() {
    let app = TestApp::ingest_only().await;
    app.thread(json!({ "threadId": "t1", "participantIds": ["gina"], "important": true })).await;
    app.thread(json!({ "threadId": "t2", "participantIds": ["gina"] })).await;
    let anna = app.agent("anna");
    assert_eq!(list(&anna, "?view=important").await, [json!("t1")]);
    anna.patch("/chat/threads/t2", json!({ "important": true })).expect(200).await;
    anna.patch("/chat/threads/t1", json!({ "important": false })).expect(200).await;
    assert_eq!(list(&anna, "?view=important").await, [json!("t2")]);
    assert!(list(&app.guest("gina"), "?view=important").await.is_empty());
}

#[tokio::test]
async fn guests_see_their_own_threads() {
    let app = TestApp::ingest_only().await;
    app.thread(json!({ "threadId": "t1", "participantIds": ["gina", "gert"] })).await;
    app.thread(json!({ "threadId": "t2", "participantIds": ["gert"] })).await;
    assert_eq!(list(&app.guest("gina"), "").await, [json!("t1")]);
    assert_eq!(list(&app.guest("gert"), "").await.len(), 2);
}

#[tokio::test]
async fn filters_are_combined() {
    let app = TestApp::ingest_only().await;
    app.thread(json!({ "threadId": "a", "kind": "guest", "source": "airbnb", "important": true })).await;
    app.thread(json!({ "threadId": "b", "kind": "team" })).await;
    app.thread(json!({ "threadId": "c", "kind": "guest" })).await;
    let anna = app.agent("anna");
    anna.patch("/chat/threads/c", json!({ "status": "resolved" })).expect(200).await;
    for (query, expected) in [
        ("?kind=guest", vec!["c", "a"]),
        ("?kind=team", vec!["b"]),
        ("?source=airbnb", vec!["a"]),
        ("?status=resolved", vec!["c"]),
        ("?status=open&kind=guest", vec!["a"]),
        ("?view=important&source=airbnb&status=open", vec!["a"]),
        ("?source=booking", vec![]),
    ] {
        let expected: Vec<Value> = expected.into_iter().map(|id| json!(id)).collect();
        assert_eq!(list(&anna, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn s27_a_forged_cursor_is_a_400() {
    let app = TestApp::ingest_only().await;
    let encode = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    let long = "A".repeat(257);
    for forged in
        ["x", "AAAA", &encode("no-time"), &encode("1.a/b"), &encode("99999999999999999999.t"), &long]
    {
        let path = format!("/chat/threads?cursor={forged}");
        app.agent("anna").get(&path).refused(400, "invalid_request").await;
    }
}
