//! A room is a thread: each API reads what was written through the other.

use serde_json::json;
use tests::app::TestApp;

#[tokio::test]
async fn what_the_desk_sends_is_a_message_of_the_thread() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let anna = app.agent("anna");
    let file = json!({ "url": "https://cdn.example.com/a.pdf", "type": "application/pdf" });
    let asked = widget.say("hi").await;
    let sent = anna
        .desk_send(&widget.room, json!({ "type": "file", "content": "see", "attachments": [file] }))
        .await;
    let note = anna.desk_send(&widget.room, json!({ "type": "note", "content": "psst" })).await;
    let page = anna.messages(&widget.room, "?sort=asc").await;
    assert_eq!(page.each("messages", "messageId"), [&asked, &sent, &note].map(|m| m["_id"].clone()));
    assert_eq!(page.each("messages", "type"), ["message", "message", "note"].map(|kind| json!(kind)));
    assert_eq!(
        page.each("messages", "authorId"),
        [&widget.conversation, "anna", "anna"].map(|uid| json!(uid))
    );
    assert_eq!(page["messages"][1]["attachments"], json!(["https://cdn.example.com/a.pdf"]));
    assert_eq!(page["messages"][1]["source"], "hububb");
    let thread = anna.thread(&widget.room).await;
    assert_eq!((&thread["kind"], &thread["seq"]), (&json!("support"), &json!(3)));
    assert_eq!(thread["assignedAgentIds"], json!(["anna"]));
    assert_eq!(thread["lastPublicMessage"]["messageId"], sent["_id"]);
}

#[tokio::test]
async fn what_the_thread_is_sent_shows_in_the_desk() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let anna = app.agent("anna");
    for body in [
        json!({ "body": "plain" }),
        json!({ "body": "", "attachments": ["https://x.example/a.png"] }),
        json!({ "body": "see", "attachments": ["https://x.example/a.pdf", "https://x.example/b"] }),
        json!({ "body": "psst", "type": "note" }),
    ] {
        anna.post_message(&widget.room, body).await;
    }
    let page = anna.desk_page(&widget.room, "&sort=asc").expect(200).await;
    assert_eq!(page.each("messages", "type"), ["text", "image", "file", "note"].map(|kind| json!(kind)));
    assert_eq!(page.each("messages", "content"), ["plain", "", "see", "psst"].map(|text| json!(text)));
    assert_eq!(
        page["messages"][1]["attachments"],
        json!([{ "url": "https://x.example/a.png", "type": "image/png" }])
    );
    assert_eq!(page["messages"][2]["attachments"][1]["type"], "application/octet-stream");
    let seen = widget.page("&sort=asc").expect(200).await;
    assert_eq!(seen.each("messages", "content"), ["plain", "", "see"].map(|text| json!(text)));
    // A guest's token of the same uid is the same participant.
    let guest = app.guest(&widget.conversation);
    guest.say(&widget.room, "by the other door").await;
    let last = widget.page("&limit=1").expect(200).await;
    assert_eq!((&last["messages"][0]["is_mine"], &last["messages"][0]["seq"]), (&json!(true), &json!(4)));
    let last = anna.desk_page(&widget.room, "&limit=1").expect(200).await;
    assert_eq!(
        (&last["messages"][0]["sender_type"], &last["messages"][0]["seq"]),
        (&json!("customer"), &json!(5))
    );
}

#[tokio::test]
async fn a_support_thread_of_the_other_api_is_a_room_without_a_customer() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "kind": "support", "participantIds": ["gina"] })).await;
    app.guest("gina").say(&thread, "hi").await;
    let sent = app.agent("anna").reply(&thread, "hello").await;
    assert_eq!((&sent["room_id"], &sent["seq"]), (&json!(thread), &json!(2)));
    let rooms = app.agent("anna").get("/api/conversation-v2/support/rooms").expect(200).await;
    assert_eq!((&rooms["rooms"][0]["_id"], rooms["rooms"][0].get("conversation_id")), (&json!(thread), None));
    assert_eq!(app.guest("gina").thread(&thread).await["lastMessage"]["messageId"], sent["_id"]);
}

#[tokio::test]
async fn the_search_of_a_room_folds_and_hides_notes() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let anna = app.agent("anna");
    widget.say("Die Größe stimmt nicht").await;
    anna.reply(&widget.room, "Welche GRÖSSE brauchen Sie?").await;
    anna.desk_send(&widget.room, json!({ "type": "note", "content": "grosse Rechnung offen" })).await;
    let found = anna.desk_page(&widget.room, "&search=grosse&limit=2").expect(200).await;
    assert_eq!((found.each("messages", "seq"), &found["hasMore"]), (vec![json!(3), json!(2)], &json!(true)));
    let found = widget.page("&search=grosse&limit=2").expect(200).await;
    assert_eq!((found.each("messages", "seq"), &found["hasMore"]), (vec![json!(2), json!(1)], &json!(false)));
    let nothing = widget.page("&search=rechnung").expect(200).await;
    assert!(nothing.each("messages", "_id").is_empty());
}
