//! Each row of the error table, in the desk's own form, and the failure rows that refusals leave.

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::actor::Role;
use shared::store::Outcome;
use tests::app::{Call, DESK, TestApp, Widget};

fn text() -> Value {
    json!({ "type": "text", "content": "canary-6131" })
}

#[tokio::test]
async fn an_invalid_token_or_session_is_401() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let forged = app.agent("anna").with_token("e30.e30.e30");
    for caller in [app.nobody(), forged] {
        caller.desk_message(&widget.room, text()).desk_refused(401, "unauthenticated").await;
        caller.desk_page(&widget.room, "").desk_refused(401, "unauthenticated").await;
        caller.get(&format!("{DESK}/rooms")).desk_refused(401, "unauthenticated").await;
    }
    // One side's credentials are nothing on the other.
    let anna = app.agent("anna");
    let body = json!({ "room_id": widget.room, "message": text() });
    anna.post(&format!("{DESK}/user/message"), body).desk_refused(401, "unauthenticated").await;
    let call = app.nobody().get(&format!("{DESK}/message?room_id={}", widget.room));
    let call = call.header("support-token", &widget.token).header("support_session", &widget.session);
    call.header("device-id", &widget.device).desk_refused(401, "unauthenticated").await;
    let body = json!({ "support_token": "st_unknown", "device_id": "d" });
    app.open_session(body).desk_refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn who_is_not_assigned_gets_403() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    app.agent("anna").reply(&widget.room, "hello").await;
    let ben = app.agent("ben");
    ben.desk_message(&widget.room, text()).desk_refused(403, "not_assigned").await;
    let note = json!({ "type": "note", "content": "x" });
    ben.desk_message(&widget.room, note).desk_refused(403, "not_assigned").await;
    ben.desk_page(&widget.room, "").desk_refused(403, "not_assigned").await;
    ben.desk_page(&widget.room, "&search=hello").desk_refused(403, "not_assigned").await;
    let read = json!({ "room_id": widget.room });
    ben.post(&format!("{DESK}/message/read"), read).desk_refused(403, "not_assigned").await;
    let rooms = ben.get(&format!("{DESK}/rooms")).expect(200).await;
    assert!(rooms.each("rooms", "_id").is_empty(), "the list gives the same answer");
    for caller in [app.admin("adam"), app.service("ota"), app.agent("anna")] {
        caller.reply(&widget.room, "x").await;
        caller.desk_page(&widget.room, "").expect(200).await;
    }
}

#[tokio::test]
async fn roles_that_have_no_part_in_the_desk_get_403() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    // Even a token that names the customer itself is none of the staff's.
    let callers = [app.guest(&widget.conversation), app.caller("acme", "olga", Role::Operator)];
    for caller in callers {
        caller.desk_message(&widget.room, text()).desk_refused(403, "forbidden").await;
        caller.desk_page(&widget.room, "").desk_refused(403, "forbidden").await;
        caller.get(&format!("{DESK}/rooms")).desk_refused(403, "forbidden").await;
    }
}

/// Requests of agents and of a customer about `room`.
fn about(app: &TestApp, widget: &Widget, room: &str) -> Vec<Call> {
    let (anna, widget) = (app.agent("anna"), widget.changed(|w| w.room = room.to_owned()));
    let read = json!({ "room_id": room });
    vec![
        anna.desk_message(room, text()),
        anna.desk_page(room, ""),
        anna.post(&format!("{DESK}/message/read"), read.clone()),
        widget.message(text()),
        widget.page(""),
        widget.call(Method::POST, "/message/read").json(&read),
    ]
}

#[tokio::test]
async fn a_room_that_is_not_there_is_404_whatever_its_id_looks_like() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let guests = app.thread(json!({ "participantIds": [widget.conversation] })).await;
    let long = "x".repeat(200);
    for room in ["507f1f77bcf86cd799439011", "a.b", "$ne", long.as_str(), "", guests.as_str()] {
        for call in about(&app, &widget, room) {
            let reply = call.desk_refused(404, "not_found").await;
            assert_eq!(reply["error"]["message"], "no such room", "{room}");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_no_request_is_400_and_names_the_field() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let path = format!("{DESK}/message");
    let anna = app.agent("anna");
    for (body, named) in [
        (json!({ "message": text() }), "/room_id"),
        (json!({ "room_id": null, "message": text() }), "/room_id"),
        (json!({ "room_id": 7, "message": text() }), "/room_id"),
        (json!({ "room_id": widget.room }), "/message"),
        (json!({ "room_id": widget.room, "message": { "content": "x" } }), "/message/type"),
        (json!({ "room_id": widget.room, "message": { "type": "text" } }), "/message/content"),
        (json!({ "room_id": widget.room, "message": { "type": "video", "content": "x" } }), "/message/type"),
        (json!({ "room_id": widget.room, "message": text(), "more": 1 }), "/more"),
        (json!({ "room_id": widget.room, "message": text(), "new_room": "yes" }), "/new_room"),
        (
            json!({ "room_id": widget.room, "message": text(), "support_conversation_id": "a b" }),
            "/support_conversation_id",
        ),
    ] {
        let reply = anna.post(&path, body).desk_refused(400, "invalid_request").await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{named} ")), "{message}");
    }
    let more = json!({ "room_id": widget.room, "message": text(), "new_room": true });
    widget.call(Method::POST, "/message").json(&more).desk_refused(400, "invalid_request").await;
    let no_file = json!({ "type": "file", "content": "", "attachments": [{ "url": "https://x.example/a" }] });
    let reply = anna.desk_message(&widget.room, no_file).desk_refused(400, "invalid_request").await;
    assert_eq!(reply["error"]["message"], "/message/attachments/0/type is missing");
    for query in ["&limit=0", "&limit=101", "&limit=x", "&sort=up", "&upperRef=a.b", "&search="] {
        anna.desk_page(&widget.room, query).desk_refused(400, "invalid_request").await;
        widget.page(query).desk_refused(400, "invalid_request").await;
    }
    anna.get(&path).desk_refused(400, "invalid_request").await;
    anna.get(&format!("{DESK}/rooms?cursor=x")).desk_refused(400, "invalid_request").await;
}

#[tokio::test]
async fn every_refused_write_has_one_failure_row() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    app.agent("anna").reply(&widget.room, "hello").await;
    let customer = widget.conversation.as_str();
    let note = json!({ "type": "note", "content": "canary-6131" });
    let elsewhere = widget.changed(|w| w.room = "elsewhere".into());
    let read = json!({ "room_id": "elsewhere" });
    let long = json!({ "type": "text", "content": "x", "attachments": [
        { "url": "https://x.example/a", "type": "image/png", "name": "n".repeat(257) },
    ] });
    let create = "message.create";
    let cases = [
        (app.agent("ben").desk_message(&widget.room, text()), 403, "not_assigned", create, "ben"),
        (app.agent("anna").desk_message("elsewhere", text()), 404, "not_found", create, "anna"),
        (app.guest("gina").desk_message(&widget.room, text()), 403, "forbidden", create, "gina"),
        (widget.message(note), 422, "unprocessable", create, customer),
        (widget.message(long), 422, "unprocessable", create, customer),
        (elsewhere.message(text()), 404, "not_found", create, customer),
        (
            app.agent("anna").post(&format!("{DESK}/message/read"), read),
            404,
            "not_found",
            "thread.read",
            "anna",
        ),
    ];
    for (n, (call, status, code, action, actor)) in cases.into_iter().enumerate() {
        let id = format!("desk-refused-{n}");
        call.header("x-request-id", &id).desk_refused(status, code).await;
        let rows = app.audit_of_request(&id).await;
        assert_eq!(rows.len(), 1, "{n}: {rows:?}");
        assert_eq!((rows[0].outcome, rows[0].error.as_deref()), (Outcome::Failure, Some(code)), "{n}");
        assert_eq!((rows[0].action.as_str(), rows[0].subject.actor_id.as_str()), (action, actor), "{n}");
        assert!(!format!("{:?}", rows[0]).contains("canary"), "no message text in the trail");
    }
}
