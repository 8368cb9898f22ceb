//! Sessions: bound to their device, prolonged by use, at an end when they expire.

use mongodb::bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use shared::store::Outcome;
use tests::app::{TestApp, Widget};

/// The stored session of the one widget there is.
async fn stored(app: &TestApp) -> Document {
    let sessions = app.store().raw().collection::<Document>("supportSessions");
    sessions.find_one(doc! {}).await.unwrap().unwrap()
}

/// Moves the stored times of the one session by so many seconds into the past.
async fn age(app: &TestApp, secs: i64) {
    let session = stored(app).await;
    let earlier = |field: &str| {
        DateTime::from_millis(session.get_datetime(field).unwrap().timestamp_millis() - secs * 1000)
    };
    let set = doc! { "renewedAt": earlier("renewedAt"), "expiresAt": earlier("expiresAt") };
    let sessions = app.store().raw().collection::<Document>("supportSessions");
    sessions.update_one(doc! { "_id": session.get_str("_id").unwrap() }, doc! { "$set": set }).await.unwrap();
}

fn end(session: &Document) -> DateTime {
    *session.get_datetime("expiresAt").unwrap()
}

/// The request that renews a widget's session.
fn renewal(widget: &Widget) -> Value {
    json!({ "support_token": widget.token, "device_id": widget.device, "support_session": widget.session })
}

#[tokio::test]
async fn a_session_is_stored_without_its_secrets() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-one-1").await;
    let session = stored(&app).await.to_string();
    for secret in [&widget.session, &widget.token, &widget.device] {
        assert!(!session.contains(secret.as_str()), "{session}");
    }
    let tokens = app.store().raw().collection::<Document>("supportTokens");
    assert!(!tokens.find_one(doc! {}).await.unwrap().unwrap().to_string().contains(&widget.token));
    let days =
        (end(&stored(&app).await).timestamp_millis() - DateTime::now().timestamp_millis()) / 86_400_000;
    assert!((29..=30).contains(&days), "{days}");
}

#[tokio::test]
async fn another_device_is_401_and_written_down() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let stolen = widget.changed(|w| w.device = "device-2".into());
    let session = stored(&app).await.get_str("sessionId").unwrap().to_owned();
    let text = json!({ "type": "text", "content": "x" });
    let calls = [stolen.page(""), stolen.message(text), app.open_session(renewal(&stolen))];
    for (n, call) in calls.into_iter().enumerate() {
        let id = format!("stolen-{n}");
        let call = call.header("x-request-id", &id).header("user-agent", "Thief/1.0");
        call.desk_refused(401, "unauthenticated").await;
        let rows = app.audit_of_request(&id).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let row = &rows[0];
        assert_eq!((row.action.as_str(), row.outcome), ("session.use", Outcome::Failure));
        assert_eq!(
            (row.target_id.as_str(), row.subject.actor_id.as_str()),
            (session.as_str(), widget.conversation.as_str())
        );
        assert_eq!(row.subject.origin.user_agent.as_deref(), Some("Thief/1.0"));
    }
    widget.page("").expect(200).await;
}

#[tokio::test]
async fn an_expired_session_is_401_everywhere() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    age(&app, 31 * 86_400).await;
    widget.page("").desk_refused(401, "unauthenticated").await;
    app.open_session(renewal(&widget)).desk_refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn use_prolongs_a_session_once_a_day() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let first = stored(&app).await;
    widget.page("").expect(200).await;
    assert_eq!(stored(&app).await, first, "nothing is written within the day");
    age(&app, 2 * 86_400).await;
    widget.page("").expect(200).await;
    let later = stored(&app).await;
    assert!(end(&later) >= end(&first), "{later}");
    widget.page("").expect(200).await;
    assert_eq!(stored(&app).await, later);
}

#[tokio::test]
async fn a_visitor_renews_by_its_session_and_keeps_its_conversation() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    age(&app, 100).await;
    let before = end(&stored(&app).await);
    let renewed = app.open_session(renewal(&widget)).expect(201).await;
    let session = &renewed["session"];
    assert_eq!(
        (&session["conversation_id"], &session["room_id"]),
        (&json!(widget.conversation), &json!(widget.room))
    );
    assert_eq!(session["support_session"], json!(widget.session));
    assert!(end(&stored(&app).await) > before);
    let wrong = widget.changed(|w| w.session = "ss_unknown".into());
    app.open_session(renewal(&wrong)).desk_refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn token_and_device_alone_start_a_new_conversation() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let first = app.widget_with(&issued, "device-1", json!({})).await;
    let second = app.widget_with(&issued, "device-1", json!({})).await;
    assert_ne!(first.conversation, second.conversation);
    assert_ne!(first.room, second.room);
    assert_ne!(first.session, second.session);
    first.say("mine").await;
    assert!(second.page("").expect(200).await.each("messages", "_id").is_empty());
    second.changed(|w| w.room.clone_from(&first.room)).page("").desk_refused(404, "not_found").await;
    // The room and conversation are there for the staff at once.
    let room = app.agent("anna").thread(&second.room).await;
    assert_eq!((&room["kind"], &room["participantIds"]), (&json!("support"), &json!([second.conversation])));
}

#[tokio::test]
async fn the_header_may_be_written_with_a_hyphen() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let call =
        app.nobody().get(&format!("/api/conversation-v2/support/user/message?room_id={}", widget.room));
    let call = call.header("support-token", &widget.token).header("support-session", &widget.session);
    call.header("device-id", &widget.device).expect(200).await;
}

#[tokio::test]
async fn a_request_for_a_session_is_checked() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let token = issued["supportToken"].clone();
    for body in [
        json!({ "device_id": "d" }),
        json!({ "support_token": token }),
        json!({ "support_token": token, "device_id": "" }),
        json!({ "support_token": token, "device_id": "a b" }),
        json!({ "support_token": token, "device_id": "d".repeat(257) }),
        json!({ "support_token": token, "device_id": 7 }),
        json!({ "support_token": token, "device_id": "d", "more": 1 }),
        json!({ "support_token": token, "device_id": "d", "identity": { "id": "u" } }),
    ] {
        app.open_session(body).desk_refused(400, "invalid_request").await;
    }
    let empty =
        json!({ "support_token": token, "device_id": "d", "identity": { "id": "", "signature": "" } });
    app.open_session(empty).desk_refused(422, "unprocessable").await;
}

#[tokio::test]
async fn a_customers_requests_are_counted_by_its_session() {
    let app = TestApp::with("BELLHOP_HTTP__RATE_LIMIT", "1/h").with("BELLHOP_HTTP__RATE_BURST", "8");
    let app = app.ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let first = app.widget_with(&issued, "device-1", json!({})).await;
    let second = app.widget_with(&issued, "device-2", json!({})).await;
    // The first request of a session is still counted by the address, which both share.
    for widget in [&first, &second] {
        widget.page("").expect(200).await;
    }
    for _ in 0..8 {
        first.page("").expect(200).await;
    }
    let refused = first.page("").desk_refused(429, "rate_limited").await;
    assert!(!refused.header("retry-after").is_empty());
    second.page("").expect(200).await;
}
