//! Threads: made, changed by hand, read.

use reqwest::Method;
use serde_json::{Value, json};
use tests::app::TestApp;

#[tokio::test]
async fn a_new_thread_has_its_defaults() {
    let app = TestApp::ingest_only().await;
    let made = app.agent("anna").post("/chat/threads", json!({})).expect(201).await;
    let expected = json!({
        "threadId": made["threadId"], "kind": "guest", "source": "hububb", "title": "", "status": "open",
        "important": false, "participantIds": [], "assignedAgentIds": [], "needsAttention": [],
        "needsAttentionMap": {}, "canReplyFreeform": true, "seq": 0,
        "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
    });
    assert_eq!(made.body, expected);
    assert_eq!(app.agent("ben").thread(made["threadId"].as_str().unwrap()).await, expected);
}

#[tokio::test]
async fn every_field_of_a_new_thread_is_stored() {
    let app = TestApp::ingest_only().await;
    let content = json!({
        "threadId": "my-thread_1", "kind": "support", "source": "hububb-guest", "title": "Stay in Zürich",
        "participantIds": ["gina", "gina", "a.b@c"], "reservationId": "r1", "assignedAgentIds": ["anna"],
        "important": true,
    });
    let made = app.agent("anna").post("/chat/threads", content.clone()).expect(201).await;
    for (field, value) in content.as_object().unwrap().iter().filter(|(field, _)| *field != "participantIds")
    {
        assert_eq!(&made[field], value, "{field}");
    }
    assert_eq!(made["participantIds"], json!(["gina", "a.b@c"]), "nobody twice");
}

#[tokio::test]
async fn a_thread_that_is_malformed_or_past_a_limit_is_refused() {
    let app = TestApp::ingest_only().await;
    let anna = app.agent("anna");
    for malformed in [
        json!({ "kind": "room" }),
        json!({ "title": 7 }),
        json!({ "participantIds": "gina" }),
        json!({ "participantIds": ["a b"] }),
        json!({ "threadId": "a/b" }),
        json!({ "status": "open" }),
        json!({ "seq": 5 }),
        json!([]),
    ] {
        anna.post("/chat/threads", malformed).refused(400, "invalid_request").await;
    }
    let people: Vec<String> = (0..201).map(|n| format!("u{n}")).collect();
    for past in [json!({ "title": "x".repeat(257) }), json!({ "participantIds": people })] {
        anna.post("/chat/threads", past).refused(422, "unprocessable").await;
    }
    anna.post("/chat/threads", json!({ "title": "ü".repeat(256) })).expect(201).await;
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "title": "old", "reservationId": "r1", "important": true })).await;
    let path = format!("/chat/threads/{thread}");
    let anna = app.agent("anna");
    let mut expected = anna.thread(&thread).await;
    for change in [
        json!({ "title": "new" }),
        json!({ "important": false }),
        json!({ "status": "snoozed" }),
        json!({ "status": "resolved", "title": "" }),
        json!({ "assignedAgentIds": ["ben", "ben", "cara"] }),
        json!({ "reservationId": null }),
        json!({}),
    ] {
        let patched = anna.patch(&path, change.clone()).expect(200).await;
        expected.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        if change.get("assignedAgentIds").is_some() {
            expected["assignedAgentIds"] = json!(["ben", "cara"]);
        }
        if change.get("reservationId") == Some(&Value::Null) {
            expected.as_object_mut().unwrap().remove("reservationId");
        }
        assert_eq!(patched.body, expected, "{change}");
        assert_eq!(anna.thread(&thread).await, expected, "{change}");
    }
    for malformed in [json!({ "status": "done" }), json!({ "kind": "team" }), json!({ "participantIds": [] })]
    {
        anna.patch(&path, malformed).refused(400, "invalid_request").await;
    }
    anna.patch(&path, json!({ "title": "x".repeat(257) })).refused(422, "unprocessable").await;
}

#[tokio::test]
async fn a_patch_and_posts_at_once_lose_nothing_of_each_other() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let (anna, path) = (app.agent("anna"), format!("/chat/threads/{thread}"));
    let posts = futures::future::join_all((0..20).map(|n| anna.say(&thread, &format!("{n}"))));
    let patches = async {
        for n in 0..10 {
            anna.patch(&path, json!({ "title": format!("title {n}"), "important": true })).expect(200).await;
        }
    };
    tokio::join!(posts, patches);
    let stored = anna.thread(&thread).await;
    assert_eq!(
        (&stored["seq"], &stored["title"], &stored["important"]),
        (&json!(20), &json!("title 9"), &json!(true))
    );
}

#[tokio::test]
async fn reading_clears_the_callers_attention_and_a_get_does_not() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["anna", "ben", "gina"] })).await;
    let first = app.agent("anna").say(&thread, "one").await;
    let second = app.agent("anna").say(&thread, "two").await;
    let (ben, read) = (app.agent("ben"), format!("/chat/threads/{thread}/read"));
    ben.messages(&thread, "").await;
    let waits = async || app.agent("anna").thread(&thread).await["needsAttention"].clone();
    assert_eq!(waits().await, json!(["ben", "gina"]), "a GET never clears it");
    let half = ben.post(&read, json!({ "upTo": first["messageId"] })).expect(200).await;
    assert_eq!(half.body, json!({ "threadId": thread, "unreadCount": 1 }));
    assert_eq!(waits().await, json!(["ben", "gina"]), "the message that raised it is not read yet");
    let all = ben.post(&read, json!({ "upTo": second["messageId"] })).expect(200).await;
    assert_eq!(all["unreadCount"], 0);
    assert_eq!(waits().await, json!(["gina"]));
    let back = ben.post(&read, json!({ "upTo": first["messageId"] })).expect(200).await;
    assert_eq!(back["unreadCount"], 0, "a mark never goes back");
    app.guest("gina").call(Method::POST, &read).expect(200).await; // no body: all of it
    assert_eq!(waits().await, json!([]));
    for unknown in [json!({ "upTo": "absent" })] {
        ben.post(&read, unknown).refused(400, "invalid_ref").await;
    }
    ben.post(&read, json!({ "upTo": 7 })).refused(400, "invalid_request").await;
}

#[tokio::test]
async fn one_message_shows_its_attempts_to_staff_only() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let sent = app.agent("anna").say(&thread, "hello").await;
    let path = format!("/chat/threads/{thread}/messages/{}", sent["messageId"].as_str().unwrap());
    assert_eq!(app.agent("ben").get(&path).expect(200).await["attempts"], json!([]));
    assert_eq!(app.guest("gina").get(&path).expect(200).await.body.get("attempts"), None);
    let elsewhere = app.thread(json!({})).await;
    let path = path.replace(&thread, &elsewhere);
    app.agent("ben").get(&path).refused(404, "not_found").await;
}
