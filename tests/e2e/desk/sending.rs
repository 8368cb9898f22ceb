//! What may be sent: types and attachments, bots, first replies, repeated requests.

use reqwest::Method;
use serde_json::{Value, json};
use tests::app::{DESK, TestApp, room_of};

fn picture() -> Value {
    json!({ "url": "https://cdn.example.com/images/screenshot.png", "type": "image/png", "size": 245678 })
}

#[tokio::test]
async fn pictures_and_files_are_answered_as_they_were_sent() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let anna = app.agent("anna");
    let named = json!({ "url": "https://cdn.example.com/a.pdf", "type": "application/pdf", "name": "a.pdf", "size": 0 });
    for (message, files) in [
        (
            json!({ "type": "image", "content": "Screenshot attached", "attachments": [picture()] }),
            json!([picture()]),
        ),
        (
            json!({ "type": "file", "content": "", "attachments": [picture(), named] }),
            json!([picture(), named]),
        ),
        (json!({ "type": "text", "content": "see", "attachments": [named] }), json!([named])),
    ] {
        let sent = anna.desk_send(&widget.room, message.clone()).await;
        assert_eq!((&sent["type"], &sent["attachments"]), (&message["type"], &files));
        let by_customer = widget.message(message.clone()).expect(200).await["messages"]["message"].clone();
        assert_eq!((&by_customer["type"], &by_customer["attachments"]), (&message["type"], &files));
        let page = widget.page("&limit=2").expect(200).await;
        assert_eq!(page.each("messages", "attachments"), [files.clone(), files]);
    }
    let plain = anna.reply(&widget.room, "hi").await;
    assert_eq!(plain.get("attachments"), None);
}

#[tokio::test]
async fn what_makes_no_sense_is_422() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let file = |url: &str| json!({ "url": url, "type": "text/plain" });
    let many: Vec<Value> = (0..16).map(|n| file(&format!("https://x.example/{n}"))).collect();
    for message in [
        json!({ "type": "text", "content": "" }),
        json!({ "type": "text", "content": "", "attachments": [picture()] }),
        json!({ "type": "image", "content": "no picture" }),
        json!({ "type": "file", "content": "no file", "attachments": [] }),
        json!({ "type": "file", "content": "", "attachments": [file("javascript:alert(1)")] }),
        json!({ "type": "file", "content": "", "attachments": [file("file-17")] }),
        json!({ "type": "file", "content": "", "attachments": [file("")] }),
        json!({ "type": "file", "content": "", "attachments": many }),
        json!({ "type": "text", "content": "x".repeat(32 * 1024 + 1) }),
        json!({ "type": "file", "content": "", "attachments": [{ "url": "https://x.example", "type": "a/b", "size": -1 }] }),
    ] {
        app.agent("anna")
            .desk_message(&widget.room, message.clone())
            .desk_refused(422, "unprocessable")
            .await;
        widget.message(message).desk_refused(422, "unprocessable").await;
    }
    let note = json!({ "type": "note", "content": "" });
    app.agent("anna").desk_message(&widget.room, note).desk_refused(422, "unprocessable").await;
}

#[tokio::test]
async fn a_customer_writes_no_notes_and_is_no_bot() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let note = json!({ "type": "note", "content": "x" });
    widget.message(note).desk_refused(422, "unprocessable").await;
    let mut body = room_of(&widget.room, json!({ "type": "text", "content": "x" }));
    body["integration_app"] = json!("bot");
    widget.call(Method::POST, "/message").json(&body).desk_refused(422, "unprocessable").await;
    body["integration_app"] = json!(null);
    widget.call(Method::POST, "/message").json(&body).expect(200).await;
}

#[tokio::test]
async fn a_bots_name_is_kept() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let mut body = room_of(&widget.room, json!({ "type": "text", "content": "beep" }));
    body["integration_app"] = json!("faq-bot");
    let sent = app.service("bot").post(&format!("{DESK}/message"), body).expect(200).await;
    assert_eq!(sent["messages"]["message"]["integration_app"], "faq-bot");
    let page = app.agent("anna").desk_page(&widget.room, "").expect(200).await;
    assert_eq!(page["messages"][0]["integration_app"], "faq-bot");
}

#[tokio::test]
async fn the_first_reply_that_is_no_note_assigns_its_sender() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let assigned = async || {
        let rooms = app.admin("adam").get(&format!("{DESK}/rooms")).expect(200).await;
        rooms["rooms"][0]["assigned_agents"].clone()
    };
    widget.say("anybody?").await;
    app.agent("ben").desk_send(&widget.room, json!({ "type": "note", "content": "mine?" })).await;
    app.admin("adam").reply(&widget.room, "one moment").await;
    app.service("bot").reply(&widget.room, "beep").await;
    assert_eq!(assigned().await, json!([]));
    app.agent("anna").reply(&widget.room, "hello").await;
    assert_eq!(assigned().await, json!(["anna"]));
    app.agent("ben").desk_page(&widget.room, "").desk_refused(403, "not_assigned").await;
    widget.say("thanks").await;
}

#[tokio::test]
async fn an_agents_conversation_comes_from_its_token() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let request = ingest::auth::TokenRequest {
        account: shared::domain::AccountId::parse("acme").unwrap(),
        uid: shared::domain::Uid::parse("anna").unwrap(),
        role: shared::domain::Role::Agent,
        conversation: Some(shared::domain::Uid::parse("507f1f77bcf86cd799439012").unwrap()),
        name: None,
        ttl: std::time::Duration::from_secs(60),
    };
    let anna = app.agent("anna").with_token(ingest::auth::issue(&app.config().auth, &request).unwrap());
    let sent = anna.reply(&widget.room, "hello").await;
    assert_eq!(sent["conversation_id"], "507f1f77bcf86cd799439012");
    let page = anna.desk_page(&widget.room, "").expect(200).await;
    assert_eq!(page["messages"][0]["conversation_id"], "507f1f77bcf86cd799439012");
}

#[tokio::test]
async fn a_repeated_request_is_answered_once_and_other_content_is_409() {
    let app = TestApp::ingest_only().await;
    let (widget, other) = (app.widget("device-1").await, app.widget("device-2").await);
    let text = |text: &str| json!({ "type": "text", "content": text });
    let anna = app.agent("anna");
    let keyed =
        |room: &str, content: &str| anna.desk_message(room, text(content)).header("idempotency-key", "key-1");
    let first = keyed(&widget.room, "hello").expect(200).await;
    let again = keyed(&widget.room, "hello").expect(200).await;
    assert!(!first.is_replay() && again.is_replay());
    assert_eq!(first.body, again.body);
    keyed(&widget.room, "other").desk_refused(409, "idempotency_conflict").await;
    keyed(&other.room, "hello").desk_refused(409, "idempotency_conflict").await;
    let by_widget = |content: &str| widget.message(text(content)).header("idempotency-key", "key-1");
    let mine = by_widget("hello").expect(200).await;
    assert!(!mine.is_replay(), "another caller's key is another key");
    assert!(by_widget("hello").expect(200).await.is_replay());
    by_widget("other").desk_refused(409, "idempotency_conflict").await;
    assert_eq!(widget.page("").expect(200).await.each("messages", "_id").len(), 2);
    for bad in ["a b", "", &"k".repeat(129)] {
        let call = widget.message(text("x")).header("idempotency-key", bad);
        call.desk_refused(400, "invalid_request").await;
    }
}

#[tokio::test]
async fn many_at_once_with_one_key_make_one_message() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let calls = (0..12).map(|_| {
        let message = json!({ "type": "text", "content": "once" });
        widget.message(message).header("idempotency-key", "key-1").expect(200)
    });
    let replies = futures::future::join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| !reply.is_replay()).count(), 1);
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    assert_eq!(widget.page("").expect(200).await.each("messages", "_id").len(), 1);
}
