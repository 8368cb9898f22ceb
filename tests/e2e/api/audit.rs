//! The audit trail: a success once however often its job runs, and every refusal of a write.

use serde_json::{Value, json};
use shared::domain::actor::Role;
use shared::store::Outcome;
use tests::app::{Call, TestApp};

#[tokio::test]
async fn a_posted_message_has_one_success_row() {
    let mut app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let body = json!({ "body": "hello", "messageId": "m1", "attachments": ["f1", "f2"], "type": "note" });
    let call = app.agent("anna").message(&thread, body.clone());
    let call = call.header("x-request-id", "req-4711").header("user-agent", "Tester/1.0");
    call.expect(201).await;
    app.agent("anna").message(&thread, body).expect(200).await;
    app.start_workers();
    app.settled().await;
    let rows = app.audit_rows("message.create", "m1").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (row.outcome, row.target_type.as_str(), row.error.as_deref()),
        (Outcome::Success, "message", None)
    );
    assert_eq!(row.subject.actor_id, "anna");
    assert_eq!(row.subject.origin.user_agent.as_deref(), Some("Tester/1.0"));
    assert_eq!(row.subject.origin.ip_address.as_deref(), Some("127.0.0.1"));
    assert_eq!(row.request_id.as_deref(), Some("req-4711"));
    let metadata = &row.metadata;
    assert_eq!(metadata.get_str("threadId").unwrap(), thread);
    assert_eq!((metadata.get_str("type").unwrap(), metadata.get_str("source").unwrap()), ("note", "hububb"));
    assert_eq!(metadata.get_i64("attachmentCount").unwrap(), 2);
    let text = format!("{metadata}");
    assert!(!text.contains("hello"), "no message text in the trail: {text}");
}

#[tokio::test]
async fn the_actor_is_the_caller_even_where_a_service_names_the_author() {
    let mut app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let body = json!({ "body": "x", "messageId": "m1", "authorId": "gina" });
    app.service("ota").post_message(&thread, body).await;
    app.start_workers();
    app.settled().await;
    assert_eq!(app.audit_rows("message.create", "m1").await[0].subject.actor_id, "ota");
}

/// Makes one refused write and checks that it left exactly one failure row under its request id.
async fn leaves_a_row(app: &TestApp, n: usize, call: Call, status: u16, code: &str, action: &str) {
    let id = format!("refused-{n}");
    call.header("x-request-id", &id).refused(status, code).await;
    let rows = app.audit_of_request(&id).await;
    assert_eq!(rows.len(), 1, "{action} {code}: {rows:?}");
    assert_eq!((rows[0].outcome, rows[0].error.as_deref()), (Outcome::Failure, Some(code)), "{action}");
    assert_eq!(rows[0].action, action);
    assert_eq!(rows[0].subject.origin.ip_address.as_deref(), Some("127.0.0.1"));
    assert!(!format!("{:?}", rows[0]).contains("canary"), "no message text in the trail");
}

#[tokio::test]
async fn every_refused_write_has_one_failure_row_with_its_request_id() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "threadId": "t1", "participantIds": ["gina"] })).await;
    app.thread(json!({ "threadId": "room", "kind": "support", "assignedAgentIds": ["cara"] })).await;
    app.agent("anna").post_message(&thread, json!({ "body": "x", "messageId": "m1" })).await;
    let keyed =
        |text: &str| app.agent("anna").message("t1", json!({ "body": text })).header("idempotency-key", "k");
    keyed("x").expect(201).await;
    let (anna, gina, gert) = (app.agent("anna"), app.guest("gina"), app.guest("gert"));
    let text = |fields: Value| {
        let mut body = json!({ "body": "canary" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let create = "message.create";
    let cases = [
        (anna.message("absent", text(json!({}))), 404, "not_found", create),
        (gert.message("t1", text(json!({}))), 403, "not_participant", create),
        (gina.message("t1", text(json!({ "type": "note" }))), 403, "forbidden", create),
        (anna.message("room", text(json!({}))), 403, "not_assigned", create),
        (anna.message("t1", text(json!({ "authorId": "gina" }))), 403, "forbidden", create),
        (anna.message("t1", text(json!({ "messageId": "m1" }))), 409, "conflict", create),
        (keyed("canary"), 409, "idempotency_conflict", create),
        (anna.message("t1", json!({ "body": "" })), 422, "unprocessable", create),
        (gina.post("/chat/threads", json!({})), 403, "forbidden", "thread.create"),
        (anna.post("/chat/threads", json!({ "threadId": "t1" })), 409, "conflict", "thread.create"),
        (anna.patch("/chat/threads/absent", json!({})), 404, "not_found", "thread.update"),
        (gina.patch("/chat/threads/t1", json!({})), 403, "forbidden", "thread.update"),
        (anna.post("/chat/threads/absent/read", json!({})), 404, "not_found", "thread.read"),
        (gert.post("/chat/threads/t1/read", json!({})), 403, "not_participant", "thread.read"),
        (anna.put("/chat/users/u1", json!({ "name": "x" })), 403, "forbidden", "user.put"),
        (anna.put("/chat/reservations/r1", json!({})), 403, "forbidden", "reservation.put"),
    ];
    for (n, (call, status, code, action)) in cases.into_iter().enumerate() {
        leaves_a_row(&app, n, call, status, code, action).await;
    }
}

#[tokio::test]
async fn a_write_that_is_refused_before_its_handler_runs_has_a_row_too() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let operator = app.caller("acme", "olga", Role::Operator);
    let body = json!({ "body": "canary" });
    leaves_a_row(&app, 100, operator.message(&thread, body), 403, "forbidden", "message.create").await;
    let long = json!({ "name": "x".repeat(257) });
    let put = app.service("ota").put("/chat/users/u1", long);
    leaves_a_row(&app, 101, put, 422, "unprocessable", "user.put").await;
}

#[tokio::test]
async fn reads_and_requests_of_nobody_leave_no_row() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let calls = [
        app.agent("anna").get("/chat/threads/absent"),
        app.guest("gert").get(&format!("/chat/threads/{thread}")),
        app.nobody().message(&thread, json!({ "body": "x" })),
        app.agent("anna").message(&thread, json!({ "body": 7 })),
    ];
    for (n, call) in calls.into_iter().enumerate() {
        let id = format!("silent-{n}");
        call.header("x-request-id", &id).send().await;
        assert!(app.audit_of_request(&id).await.is_empty(), "{n}");
    }
}
