//! What is heard, by whom, in which shape.

use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::{SocketClients, TestApp};

#[tokio::test]
async fn a_new_message_has_the_shape_that_rest_answers() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let mut clients = SocketClients::start().await;
    for caller in [app.agent("anna"), app.guest("gina")] {
        clients.join(caller.uid(), app.url(), &caller).await;
    }
    let hello = app.agent("anna").say(&thread, "hello").await;
    let hi = app.guest("gina").say(&thread, "hi").await;
    for id in ["anna", "gina"] {
        let first = clients.hears(id, "newMessage").await;
        assert_eq!(
            first,
            json!({ "message": hello, "type": "team" }),
            "the sender's own sockets hear it, too"
        );
        let second = clients.hears_where(id, "newMessage", |data| data["message"]["body"] == "hi").await;
        assert_eq!(second, json!({ "message": hi, "type": "support" }));
    }
}

#[tokio::test]
async fn in_a_support_room_a_message_is_the_desks_projection() {
    let app = TestApp::ingest_only().await;
    let room = app.thread(json!({ "kind": "support", "participantIds": ["cust"] })).await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    clients.join("cust", app.url(), &app.guest("cust")).await;
    let asked = app.guest("cust").say(&room, "help").await;
    let photo = json!({ "body": "", "attachments": ["https://cdn.example.com/a.png?x=1"] });
    app.agent("anna").post_message(&room, photo).await;
    let support = clients.hears_where("anna", "newMessage", |data| data["type"] == "support").await;
    // A guest of a room that the other API made; it is not the room's customer.
    let wanted = json!({
        "_id": asked["messageId"], "room_id": room, "conversation_id": "cust", "content": "help", "type": "text",
        "seq": 1, "sender_type": "agent", "created_at": asked["createdAt"], "updated_at": asked["updatedAt"],
    });
    assert_eq!(support["message"], wanted);
    for (id, mine) in [("anna", Value::Null), ("cust", json!(false))] {
        let team = clients.hears_where(id, "newMessage", |data| data["type"] == "team").await;
        assert_eq!(team["message"]["type"], "image");
        assert_eq!(team["message"]["is_mine"], mine);
        let file = json!({ "url": "https://cdn.example.com/a.png?x=1", "type": "image/png" });
        assert_eq!(team["message"]["attachments"], json!([file]));
    }
}

#[tokio::test]
async fn nobody_hears_a_thread_that_is_not_theirs() {
    let app = TestApp::ingest_only().await;
    let assigned = json!({ "kind": "support", "assignedAgentIds": ["anna"], "participantIds": ["cust"] });
    let room = app.thread(assigned).await;
    let mut clients = SocketClients::start().await;
    let strangers = [
        ("ben", app.agent("ben")),
        ("gina", app.guest("gina")),
        ("namesake", app.caller("globex", "anna", Role::Agent)),
        ("namesake-cust", app.caller("globex", "cust", Role::Guest)),
    ];
    for (id, caller) in &strangers {
        clients.join(id, app.url(), caller).await;
    }
    for caller in [app.agent("anna"), app.admin("adam"), app.guest("cust")] {
        clients.join(caller.uid(), app.url(), &caller).await;
    }
    app.guest("cust").say(&room, "canary").await;
    for id in ["anna", "adam", "cust"] {
        clients.hears(id, "newMessage").await;
        clients.hears(id, "threadUpdated").await;
    }
    // From now on the room is ben's, who hears of it at once; anna hears no more.
    let patch = json!({ "assignedAgentIds": ["ben"] });
    app.admin("adam").patch(&format!("/chat/threads/{room}"), patch).expect(200).await;
    clients.hears("ben", "threadUpdated").await;
    app.guest("cust").say(&room, "later").await;
    clients.hears_where("ben", "newMessage", |data| data["message"]["content"] == "later").await;
    clients.hears_where("cust", "newMessage", |data| data["message"]["content"] == "later").await;
    assert!(!clients.all_heard("anna").contains("later"));
    assert!(!clients.all_heard("ben").contains("\"content\":\"canary\""));
    for id in ["gina", "namesake", "namesake-cust"] {
        assert!(
            clients.heard(id, "newMessage").is_empty() && clients.heard(id, "threadUpdated").is_empty(),
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_delivery_is_heard_as_far_as_it_gets() {
    let app = TestApp::without_search().await;
    let thread = app.whatsapp_thread("+41790000201").await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    let sent = json!({ "body": "hello", "type": "whatsapp-message" });
    let sent = app.agent("anna").post_message(&thread, sent).await;
    let delivered = |data: &Value| data["message"]["delivery"]["state"] == "delivered";
    let event = clients.hears_where("anna", "messageUpdated", delivered).await;
    assert_eq!((&event["threadId"], &event["message"]["messageId"]), (&json!(thread), &sent["messageId"]));
    let states: Vec<Value> = clients
        .heard("anna", "messageUpdated")
        .iter()
        .map(|e| e["message"]["delivery"]["state"].clone())
        .collect();
    assert!(!states.contains(&json!("queued")), "{states:?}");
    app.delivery_of(&sent, "delivered").await;
}

#[tokio::test]
async fn threads_that_are_made_or_changed_are_heard() {
    let app = TestApp::ingest_only().await;
    let mut clients = SocketClients::start().await;
    for caller in [app.agent("anna"), app.guest("gina")] {
        clients.join(caller.uid(), app.url(), &caller).await;
    }
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    for id in ["anna", "gina"] {
        assert_eq!(clients.hears(id, "threadUpdated").await["thread"]["threadId"], json!(thread));
    }
    let path = format!("/chat/threads/{thread}");
    app.agent("anna").patch(&path, json!({ "important": true })).expect(200).await;
    clients.hears_where("anna", "threadUpdated", |data| data["thread"]["important"] == true).await;
    let patched = app.agent("anna").patch(&path, json!({ "title": "Room 7" })).expect(200).await;
    let titled = |data: &Value| data["thread"]["title"] == "Room 7";
    assert_eq!(clients.hears_where("anna", "threadUpdated", titled).await["thread"], patched.body);
    clients.hears_where("gina", "threadUpdated", titled).await;
    assert_eq!(
        clients.heard("gina", "threadUpdated").len(),
        2,
        "the flag is not for guests, not even its moment"
    );
    assert!(!clients.all_heard("gina").contains("important"));
}

#[tokio::test]
async fn what_is_left_unread_is_told_to_the_readers_own_sockets() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let mut clients = SocketClients::start().await;
    clients.join("phone", app.url(), &app.agent("anna")).await;
    clients.join("ben", app.url(), &app.agent("ben")).await;
    clients.join("gina", app.url(), &app.guest("gina")).await;
    let first = app.guest("gina").say(&thread, "one").await;
    app.guest("gina").say(&thread, "two").await;
    let path = format!("/chat/threads/{thread}/read");
    app.agent("anna").post(&path, json!({ "upTo": first["messageId"] })).expect(200).await;
    let event = clients.hears("phone", "unreadChanged").await;
    assert_eq!(event, json!({ "threadId": thread, "unreadCount": 1 }));
    app.agent("anna").say(&thread, "three").await;
    app.guest("gina").post(&path, json!({})).expect(200).await;
    assert_eq!(clients.hears("gina", "unreadChanged").await["unreadCount"], 0);
    assert!(clients.heard("ben", "unreadChanged").is_empty());
    assert_eq!(clients.heard("phone", "unreadChanged").len(), 1);
}

#[tokio::test]
async fn who_is_typing_is_shown_to_the_others() {
    let app = TestApp::ingest_only().await;
    let room = app.thread(json!({ "kind": "support", "participantIds": ["cust"] })).await;
    let mut clients = SocketClients::start().await;
    for caller in [app.agent("anna"), app.agent("ben"), app.guest("cust"), app.guest("gina")] {
        clients.join(caller.uid(), app.url(), &caller).await;
    }
    let typing = json!({ "threadId": room, "typing": true });
    assert_eq!(clients.ask("cust", "typing", typing.clone()).await, json!({}));
    for id in ["anna", "ben"] {
        let wanted = json!({ "threadId": room, "typing": true, "from": "cust" });
        assert_eq!(clients.hears(id, "typing").await, wanted);
    }
    let note = json!({ "threadId": room, "typing": true, "type": "note" });
    assert_eq!(clients.ask("cust", "typing", note.clone()).await["error"]["code"], "forbidden");
    clients.ask("anna", "typing", note).await;
    clients.hears_where("ben", "typing", |data| data["from"] == "anna").await;
    clients.ask("anna", "typing", json!({ "threadId": room, "typing": false })).await;
    let heard = clients.hears("cust", "typing").await;
    assert_eq!(
        heard,
        json!({ "threadId": room, "typing": false, "from": "anna" }),
        "and nothing of the note"
    );
    assert_eq!(clients.ask("gina", "typing", typing).await["error"]["code"], "not_participant");
    assert!(clients.heard("gina", "typing").is_empty());
    assert_eq!(clients.heard("anna", "typing").len(), 1, "not one's own");
}
