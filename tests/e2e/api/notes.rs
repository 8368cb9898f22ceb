//! A note never reaches a guest: not by list, single read, last message, counters, order or time.

use serde_json::{Value, json};
use tests::app::{Caller, TestApp};

const CANARY: &str = "note-canary-91c2";

/// Everything a guest can ask about a thread, as one text.
async fn all_that_is_answered(guest: &Caller, thread: &str, messages: &[Value]) -> String {
    let mut seen = String::new();
    let mut paths = vec![
        "/chat/threads".to_owned(),
        "/chat/threads?view=unread".to_owned(),
        "/chat/threads?view=important".to_owned(),
        format!("/chat/threads/{thread}"),
        format!("/chat/threads/{thread}/messages"),
        format!("/chat/threads/{thread}/messages?sort=asc&limit=1"),
        format!("/chat/threads/{thread}/messages?search=canary"),
        format!("/chat/threads/{thread}/messages?search=note-canary-91c2"),
    ];
    for message in messages {
        let id = message["messageId"].as_str().unwrap();
        paths.push(format!("/chat/threads/{thread}/messages/{id}"));
        paths.push(format!("/chat/threads/{thread}/messages?upperRef={id}"));
        paths.push(format!("/chat/threads/{thread}/messages?lowerRef={id}"));
    }
    for path in paths {
        seen += &guest.get(&path).send().await.text;
    }
    seen + &guest.post(&format!("/chat/threads/{thread}/read"), json!({})).send().await.text
}

#[tokio::test]
async fn s11_no_answer_to_a_guest_holds_a_note() {
    let app = TestApp::ingest_only().await;
    app.must_not_be_logged(CANARY);
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let anna = app.agent("anna");
    let mut posted = vec![anna.say(&thread, "hello").await];
    for _ in 0..2 {
        posted.push(anna.post_message(&thread, json!({ "body": CANARY, "type": "note" })).await);
    }
    posted.push(app.guest("gina").say(&thread, "hi").await);
    posted.push(anna.post_message(&thread, json!({ "body": CANARY, "type": "note" })).await);
    let seen = all_that_is_answered(&app.guest("gina"), &thread, &posted).await;
    assert!(!seen.contains(CANARY), "{seen}");
    let staff = all_that_is_answered(&anna, &thread, &posted).await;
    assert!(staff.contains(CANARY), "staff sees it");
}

#[tokio::test]
async fn a_guests_numbers_have_no_hole_where_a_note_is() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let anna = app.agent("anna");
    for n in 0..9 {
        let kind = if n % 3 == 1 { "note" } else { "message" };
        anna.post_message(&thread, json!({ "body": format!("{kind} {n}"), "type": kind })).await;
    }
    let page = app.guest("gina").messages(&thread, "?sort=asc").await;
    assert_eq!(page.each("messages", "seq"), [1, 2, 3, 4, 5, 6].map(|n| json!(n)));
    assert_eq!(page["hasMore"], false);
    let staff = anna.messages(&thread, "?sort=asc").await;
    assert_eq!(staff.each("messages", "seq"), [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|n| json!(n)));
    let by_two = app.guest("gina").messages(&thread, "?limit=5").await;
    assert_eq!(by_two["hasMore"], true, "counted after visibility");
}

#[tokio::test]
async fn a_note_changes_nothing_that_a_guest_sees_of_the_thread() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let later = app.thread(json!({ "participantIds": ["gina"] })).await;
    app.agent("anna").say(&thread, "hello").await;
    app.agent("anna").say(&later, "hello").await;
    let gina = app.guest("gina");
    let (before, list_before) =
        (gina.thread(&thread).await, gina.get("/chat/threads").expect(200).await.body);
    app.agent("ben").post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    let (after, list_after) = (gina.thread(&thread).await, gina.get("/chat/threads").expect(200).await.body);
    assert_eq!(after, before, "last message, seq, times and participants stay");
    assert_eq!(list_after, list_before, "the order stays");
    let order = app.agent("anna").get("/chat/threads").expect(200).await.each("threads", "threadId");
    assert_eq!(order[0], json!(thread), "for staff it is the newest");
}

#[tokio::test]
async fn a_guests_thread_has_no_fields_of_the_staff() {
    let app = TestApp::ingest_only().await;
    let content = json!({ "participantIds": ["gina"], "assignedAgentIds": ["cara"], "important": true });
    let thread = app.thread(content).await;
    app.agent("anna").say(&thread, "hello").await;
    app.agent("ben").post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    let seen = app.guest("gina").thread(&thread).await;
    for field in ["needsAttention", "needsAttentionMap", "assignedAgentIds", "important"] {
        assert_eq!(seen.get(field), None, "{field}");
    }
    assert_eq!(
        seen["participantIds"],
        json!(["gina", "anna"]),
        "named at creation or author of a public message"
    );
}

#[tokio::test]
async fn a_notes_id_is_no_id_for_a_guest() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let note = app.agent("anna").post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    let id = note["messageId"].as_str().unwrap();
    let gina = app.guest("gina");
    let path = format!("/chat/threads/{thread}/messages");
    let one = gina.get(&format!("{path}/{id}")).refused(404, "not_found").await;
    let random = gina.get(&format!("{path}/random")).refused(404, "not_found").await;
    assert_eq!(one["detail"], random["detail"]);
    for query in ["upperRef", "lowerRef"] {
        gina.get(&format!("{path}?{query}={id}")).refused(400, "invalid_ref").await;
    }
    let mark = json!({ "upTo": id });
    gina.post(&format!("/chat/threads/{thread}/read"), mark).refused(400, "invalid_ref").await;
    // An id that is taken by a note is a conflict, as by any message of another author.
    let body = json!({ "body": "x", "messageId": id });
    gina.message(&thread, body).refused(409, "conflict").await;
}

#[tokio::test]
async fn a_note_does_not_count_as_unread_for_a_guest() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina", "ben"] })).await;
    app.introduce_agent("ben").await;
    let first = app.agent("anna").say(&thread, "hello").await;
    let mark = json!({ "upTo": first["messageId"] });
    app.agent("anna").post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    let path = format!("/chat/threads/{thread}/read");
    assert_eq!(app.guest("gina").post(&path, mark.clone()).expect(200).await["unreadCount"], 0);
    assert_eq!(app.agent("ben").post(&path, mark).expect(200).await["unreadCount"], 1);
    let unread = app.guest("gina").get("/chat/threads?view=unread").expect(200).await;
    assert!(unread.each("threads", "threadId").is_empty());
}
