//! Existence is never revealed: what another account owns looks as if it were not there.

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::{Caller, TestApp};

/// A body that each writing operation takes; a new operation with a body is added here.
fn body_of(operation: &str) -> Option<Value> {
    match operation {
        "messages.create" => Some(json!({ "body": "x" })),
        "messages.sendTemplate" => Some(json!({ "name": "hello", "language": "en" })),
        "threads.update" => Some(json!({ "title": "x" })),
        "threads.read" => Some(json!({})),
        "users.put" => Some(json!({ "name": "x" })),
        "reservations.put" => Some(json!({})),
        "channels.put" => Some(json!({ "kind": "email", "email": { "from": "desk@acme.example" } })),
        _ => None,
    }
}

/// Every operation of the served document whose path has a parameter: method, path, name.
async fn operations_with_ids(app: &TestApp) -> Vec<(Method, String, String)> {
    let document = app.nobody().get("/openapi.json").expect(200).await.body;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|_| path.contains('{')) {
            let method = method.to_uppercase().parse().unwrap();
            found.push((method, path.clone(), operation["operationId"].as_str().unwrap().to_owned()));
        }
    }
    found
}

async fn answer(caller: &Caller, method: &Method, path: &str, operation: &str) -> (u16, Value) {
    let call = caller.call(method.clone(), path);
    let reply = match body_of(operation) {
        Some(body) => call.json(&body).send().await,
        None => call.send().await,
    };
    let mut body = reply.body;
    if let Some(object) = body.as_object_mut() {
        object.remove("requestId");
    }
    (reply.status, body)
}

#[tokio::test]
async fn s8_an_id_of_another_account_is_answered_like_a_random_one() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "threadId": "owned", "participantIds": ["anna"] })).await;
    app.agent("anna").post_message(&thread, json!({ "body": "secret", "messageId": "owned" })).await;
    app.reservation("owned", "+41790000001").await;
    app.service("ota").put("/chat/users/owned", json!({ "name": "Owned" })).expect(201).await;
    let channel = json!({ "kind": "email", "email": { "from": "secret@acme.example" } });
    app.admin("adam").put("/chat/channels/owned", channel).expect(201).await;
    let mut operations = operations_with_ids(&app).await;
    // What globex stores under the same ids is stored last.
    operations.sort_by_key(|(method, ..)| *method == Method::PUT);
    assert!(operations.len() >= 9, "{operations:?}");
    for (method, template, operation) in operations {
        for role in [Role::Agent, Role::Admin, Role::Service, Role::Guest] {
            let foreign = app.caller("globex", "anna", role);
            let filled = |id: &str| {
                let steps = template.split('/').map(|step| if step.starts_with('{') { id } else { step });
                steps.collect::<Vec<_>>().join("/")
            };
            let (status, body) = answer(&foreign, &method, &filled("owned"), &operation).await;
            if method == Method::PUT {
                // Keys are (account, id): an id of another account is simply free.
                let may = role == Role::Admin || (role == Role::Service && operation != "channels.put");
                let wanted = if may { [200, 201] } else { [403, 403] };
                assert!(wanted.contains(&status), "{operation} as {role:?}: {status} {body}");
                continue;
            }
            let random = answer(&foreign, &method, &filled("random"), &operation).await;
            assert_eq!((status, &body), (random.0, &random.1), "{operation} as {role:?} tells what exists");
            assert!(matches!(status, 403 | 404), "{operation} as {role:?}: {status} {body}");
            assert!(!body.to_string().contains("secret"), "{body}");
        }
    }
    let kept = app.agent("anna").get("/chat/reservations/owned").expect(200).await;
    assert_eq!(kept["guestPhone"], "+41790000001", "another account's PUT wrote its own");
    assert_eq!(app.agent("anna").get("/chat/users/owned").expect(200).await["name"], "Owned");
}

#[tokio::test]
async fn lists_cursors_and_references_stay_inside_the_account() {
    let app = TestApp::ingest_only().await;
    let (anna, foreign) = (app.agent("anna"), app.caller("globex", "anna", Role::Admin));
    for n in 0..3 {
        app.thread(json!({ "threadId": format!("t{n}") })).await;
    }
    let sent = anna.say("t0", "hello").await;
    let page = anna.get("/chat/threads?limit=1").expect(200).await;
    let cursor = page["nextCursor"].as_str().unwrap();
    let seen = foreign.get(&format!("/chat/threads?cursor={cursor}")).expect(200).await;
    assert!(seen.each("threads", "threadId").is_empty());
    foreign.post("/chat/threads", json!({ "threadId": "t0" })).expect(201).await;
    assert_eq!(foreign.thread("t0").await["seq"], 0, "the same id, another thread");
    let reference = sent["messageId"].as_str().unwrap();
    let path = format!("/chat/threads/t0/messages?upperRef={reference}");
    foreign.get(&path).refused(400, "invalid_ref").await;
}
