//! A note never reaches a guest by a socket: not as an event, not by counters, not by the moment of another event.

use serde_json::json;
use tests::app::{SocketClients, TestApp};

const CANARY: &str = "note-canary-51ce";

#[tokio::test]
async fn guests_hear_nothing_when_a_note_is_written() {
    let app = TestApp::ingest_only().await;
    app.must_not_be_logged(CANARY);
    for kind in ["guest", "support"] {
        let guest = format!("gina-{kind}");
        let thread = app.thread(json!({ "kind": kind, "participantIds": [guest] })).await;
        let mut clients = SocketClients::start().await;
        clients.join("anna", app.url(), &app.agent("anna")).await;
        clients.join("adam", app.url(), &app.admin("adam")).await;
        clients.join("gina", app.url(), &app.guest(&guest)).await;
        let anna = app.agent("anna");
        let note = json!({ "body": CANARY, "type": "note" });
        anna.say(&thread, "first").await;
        clients.hears("gina", "threadUpdated").await;
        for _ in 0..3 {
            anna.post_message(&thread, note.clone()).await;
        }
        let path = format!("/chat/threads/{thread}");
        app.admin("adam").post(&format!("{path}/read"), json!({})).expect(200).await;
        clients.hears_where("anna", "newMessage", |data| data["message"]["seq"] == 4).await;
        clients.hears_where("anna", "threadUpdated", |data| data["thread"]["seq"] == 4).await;
        clients.hears("adam", "unreadChanged").await;
        anna.say(&thread, "last").await;
        let last = clients.hears_where("gina", "newMessage", |data| data["message"]["seq"] == 2).await;
        assert!(last.to_string().contains("last"), "{last}");
        clients.hears_where("gina", "threadUpdated", |data| data["thread"]["seq"] == 2).await;
        assert_eq!(clients.heard("gina", "newMessage").len(), 2);
        assert_eq!(clients.heard("gina", "threadUpdated").len(), 2, "one for each message that is no note");
        let caught_up = clients.ask("gina", "resume", json!({ "threadId": thread, "afterSeq": 0 })).await;
        assert_eq!(caught_up["messages"].as_array().unwrap().len(), 2);
        assert!(!clients.all_heard("gina").contains(CANARY) && !caught_up.to_string().contains(CANARY));
    }
}
