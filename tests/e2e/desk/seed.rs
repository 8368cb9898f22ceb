//! The test list of the document that describes the support desk, by name and with its own bodies.

use serde_json::{Value, json};
use tests::app::{DESK, SocketClients, TestApp};

/// Checks that `message` is the projection of the contract with this content and type.
fn check_projection(message: &Value, room: &str, conversation: &str, content: &str, kind: &str) {
    assert_eq!(message["room_id"], room);
    assert_eq!(message["conversation_id"], conversation);
    assert_eq!((&message["content"], &message["type"]), (&json!(content), &json!(kind)));
    assert!(message["_id"].as_str().is_some_and(|id| id.len() == 24), "{message}");
    for time in ["created_at", "updated_at"] {
        let text = message[time].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{text}");
    }
}

#[tokio::test]
async fn should_send_text_message_to_customer() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let mut clients = SocketClients::start().await;
    clients.connect("customer", app.url(), widget.auth()).await;
    clients.hears("customer", "connect").await;
    let body = json!({
        "room_id": widget.room,
        "message": { "type": "text", "content": "Hello! How can I assist you today?" },
        "new_room": false,
        "integration_app": null
    });
    let sent = app.agent("anna").post(&format!("{DESK}/message"), body).expect(200).await;
    assert_eq!(sent["success"], true);
    let message = &sent["messages"]["message"];
    check_projection(message, &widget.room, "anna", "Hello! How can I assist you today?", "text");
    let page = widget.page("").expect(200).await;
    assert_eq!(page["messages"][0]["_id"], message["_id"]);
    assert_eq!(page["messages"][0]["is_mine"], false);
    let heard = clients.hears("customer", "newMessage").await;
    assert_eq!((&heard["type"], &heard["message"]["_id"]), (&json!("team"), &message["_id"]));
}

#[tokio::test]
async fn should_not_broadcast_notes_to_customer() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let mut clients = SocketClients::start().await;
    clients.connect("customer", app.url(), widget.auth()).await;
    clients.hears("customer", "connect").await;
    clients.join("ben", app.url(), &app.agent("ben")).await;
    let note = json!({ "type": "note", "content": "Customer seems frustrated. Offer discount if needed." });
    let sent = app.agent("anna").desk_send(&widget.room, note).await;
    assert_eq!(sent["type"], "note");
    let page = widget.page("").expect(200).await;
    assert_eq!((&page["messages"], &page["hasMore"]), (&json!([]), &json!(false)));
    let read = widget.call(reqwest::Method::POST, "/message/read").json(&json!({ "room_id": widget.room }));
    assert_eq!(read.expect(200).await["unread_count"], 0);
    let heard = clients.hears("ben", "newMessage").await;
    assert_eq!((&heard["type"], &heard["message"]["type"]), (&json!("team"), &json!("note")));
    let after = app.agent("anna").reply(&widget.room, "What a pity. Here is a discount.").await;
    assert_eq!(
        clients.hears("customer", "newMessage").await["message"]["_id"],
        after["_id"],
        "and no note before"
    );
    assert!(!clients.all_heard("customer").contains("frustrated"));
}

#[tokio::test]
async fn should_send_message_from_widget() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    let message = widget.say("I need help with my account").await;
    check_projection(&message, &widget.room, &widget.conversation, "I need help with my account", "text");
    assert_eq!(message["seq"], 1);
    let rooms = app.agent("anna").get(&format!("{DESK}/rooms")).expect(200).await;
    assert_eq!(rooms["rooms"][0]["unread_count"], 1, "raises what is unread for agents");
    let heard = clients.hears("anna", "newMessage").await;
    assert_eq!((&heard["type"], &heard["message"]["_id"]), (&json!("support"), &message["_id"]));
}

#[tokio::test]
async fn should_validate_session() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let text = json!({ "type": "text", "content": "x" });
    widget.message(text.clone()).expect(200).await;
    for wrong in [
        widget.changed(|w| w.session = "ss_wrong".into()),
        widget.changed(|w| w.session = String::new()),
        widget.changed(|w| w.session.truncate(45)),
        widget.changed(|w| w.token = "st_wrong".into()),
        widget.changed(|w| w.token = String::new()),
        widget.changed(|w| w.device = "device-2".into()),
        widget.changed(|w| w.device = String::new()),
    ] {
        wrong.message(text.clone()).desk_refused(401, "unauthenticated").await;
        wrong.page("").desk_refused(401, "unauthenticated").await;
    }
}

#[tokio::test]
async fn should_show_all_messages_to_agents() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let anna = app.agent("anna");
    let asked = widget.say("I need help with my account").await;
    let answered = anna.reply(&widget.room, "Hello! How can I assist you today?").await;
    let noted = anna.desk_send(&widget.room, json!({ "type": "note", "content": "psst" })).await;
    let page = anna.desk_page(&widget.room, "").expect(200).await;
    assert_eq!((&page["success"], &page["hasMore"]), (&json!(true), &json!(false)));
    assert_eq!(page.each("messages", "_id"), [&noted, &answered, &asked].map(|m| m["_id"].clone()));
    assert_eq!(page.each("messages", "type"), ["note", "text", "text"].map(|kind| json!(kind)));
    assert_eq!(
        page.each("messages", "sender_type"),
        ["agent", "agent", "customer"].map(|sender| json!(sender))
    );
    assert_eq!(
        page.each("messages", "conversation_id"),
        ["anna", "anna", &widget.conversation].map(|id| json!(id))
    );
    assert_eq!(page.each("messages", "seq"), [3, 2, 1].map(|seq| json!(seq)));
}

#[tokio::test]
async fn should_hide_notes_from_customers() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let anna = app.agent("anna");
    anna.desk_send(&widget.room, json!({ "type": "note", "content": "psst" })).await;
    let asked = widget.say("I need help with my account").await;
    anna.desk_send(&widget.room, json!({ "type": "note", "content": "psst" })).await;
    let answered = anna.reply(&widget.room, "Hello! How can I assist you today?").await;
    let page = widget.page("&sort=asc").expect(200).await;
    assert_eq!(page.each("messages", "_id"), [&asked, &answered].map(|m| m["_id"].clone()));
    assert_eq!(page.each("messages", "is_mine"), [json!(true), json!(false)]);
    assert_eq!(page.each("messages", "type"), [json!("text"), json!("text")]);
    assert_eq!(page.each("messages", "seq"), [json!(1), json!(2)], "no hole where a note is");
    assert_eq!(page["hasMore"], false);
}
