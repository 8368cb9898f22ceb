//! Every operation of the served document, asked with the ids of another account and with random ones, wherever an
//! id may stand: in the path, the query or the body. The answers are the same, so that none tells what exists.

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::{Call, Caller, TestApp, Widget};

/// Parameters and fields that name something that is there, and what a foreign one is answered.
const NAMES: [(&str, u16); 5] =
    [("room_id", 404), ("upperRef", 400), ("lowerRef", 400), ("upTo", 400), ("up_to", 400)];

/// Those that name something new, or anything at all. A new field that looks like an id is added here or above.
const FREE: [&str; 11] = [
    "messageId",
    "externalMessageId",
    "authorId",
    "threadId",
    "participantIds",
    "assignedAgentIds",
    "reservationId",
    "guestUid",
    "device_id",
    "support_conversation_id",
    "id",
];

/// Where an id stands in a request.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// The n-th parameter of the path.
    Path(usize),
    Query(String),
    Body(String),
}

/// An operation of the document.
#[derive(Debug)]
struct Operation {
    method: Method,
    path: String,
    name: String,
    for_customers: bool,
    places: Vec<Place>,
}

/// The other account: its admin with a room of its own, and a customer.
struct Foreign {
    admin: Caller,
    widget: Widget,
}

fn looks_like_an_id(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["id", "ids", "ref", "upto", "up_to"].iter().any(|end| name.ends_with(end))
}

/// Collects the names of a schema's fields, at every depth.
fn fields(document: &Value, schema: &Value, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        fields(document, document.pointer(name.trim_start_matches('#')).unwrap(), found);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        found.push(name.clone());
        fields(document, property, found);
    }
    for part in schema["allOf"].as_array().into_iter().flatten().chain(schema.get("items")) {
        fields(document, part, found);
    }
}

/// The places of an operation at which something is named that must be there.
fn places(document: &Value, path: &str, operation: &Value) -> Vec<Place> {
    let mut places: Vec<Place> = (0..path.matches('{').count()).map(Place::Path).collect();
    let listed = |name: &str| NAMES.iter().any(|(known, _)| *known == name);
    let mut named = Vec::new();
    if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
        fields(document, schema, &mut named);
    }
    places.extend(named.iter().filter(|name| listed(name)).cloned().map(Place::Body));
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let queries: Vec<String> = parameters
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect();
    places.extend(queries.iter().filter(|name| listed(name)).cloned().map(Place::Query));
    for name in named.iter().chain(&queries).filter(|name| looks_like_an_id(name)) {
        assert!(listed(name) || FREE.contains(&name.as_str()), "{path}: what does {name} name?");
    }
    places
}

async fn operations(app: &TestApp) -> Vec<Operation> {
    let document = app.nobody().get("/openapi.json").expect(200).await.body;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        // Keys of what is PUT are (account, id): an id of another account is simply free.
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "put") {
            let places = places(&document, path, operation);
            if !places.is_empty() {
                let method = method.to_uppercase().parse().unwrap();
                let name = operation["operationId"].as_str().unwrap().to_owned();
                let for_customers = operation["security"][0].get("supportToken").is_some();
                found.push(Operation { method, path: path.clone(), name, for_customers, places });
            }
        }
    }
    found
}

/// A body that an operation takes, about `room`; a new operation with a body is added here.
fn body_of(operation: &str, room: &str) -> Option<Value> {
    let message = json!({ "type": "text", "content": "x" });
    match operation {
        "messages.create" => Some(json!({ "body": "x" })),
        "messages.sendTemplate" => Some(json!({ "name": "hello", "language": "en" })),
        "threads.update" => Some(json!({ "title": "x" })),
        "threads.read" | "supportTokens.rotate" => Some(json!({})),
        "desk.sendMessage" | "desk.sendUserMessage" => Some(json!({ "room_id": room, "message": message })),
        "desk.read" | "desk.readAsUser" => Some(json!({ "room_id": room })),
        _ => None,
    }
}

impl Operation {
    /// The request of another account with `id` at `place`; what stands before it is that account's own.
    fn call(&self, foreign: &Foreign, place: &Place, id: &str) -> Call {
        let room = foreign.widget.room.as_str();
        let mut n = 0;
        let steps = self.path.split('/').map(|step| match step.starts_with('{') {
            false => step,
            true => {
                n += 1;
                if matches!(place, Place::Path(at) if *at < n) { id } else { room }
            }
        });
        let mut path = steps.collect::<Vec<_>>().join("/");
        let needs_room = self.path.contains("/support/") && self.method == Method::GET;
        let about = match place {
            Place::Query(name) if name == "room_id" => Some(format!("room_id={id}")),
            Place::Query(name) if needs_room => Some(format!("room_id={room}&{name}={id}")),
            Place::Query(name) => Some(format!("{name}={id}")),
            _ => needs_room.then(|| format!("room_id={room}")),
        };
        if let Some(query) = about {
            path += &format!("?{query}");
        }
        let call = match self.for_customers {
            true => foreign.widget.call(self.method.clone(), path.split("/support/user").nth(1).unwrap()),
            false => foreign.admin.call(self.method.clone(), &path),
        };
        let Some(mut body) = body_of(&self.name, room) else { return call };
        if let Place::Body(name) = place {
            body[name] = json!(id);
        }
        call.json(&body)
    }
}

async fn answer(call: Call) -> (u16, Value) {
    let reply = call.send().await;
    let mut body = reply.body;
    if let Some(object) = body.as_object_mut() {
        object.remove("requestId");
    }
    (reply.status, body)
}

/// Fills the account with things that all have one id, as far as clients choose it.
async fn fill(app: &TestApp) -> String {
    app.thread(json!({ "threadId": "owned", "kind": "support", "participantIds": ["owned"] })).await;
    app.admin("adam").post_message("owned", json!({ "body": "secret", "messageId": "owned" })).await;
    app.reservation("owned", "+41790000001").await;
    app.service("ota").put("/chat/users/owned", json!({ "name": "Owned" })).expect(201).await;
    let channel = json!({ "kind": "email", "email": { "from": "secret@acme.example" } });
    app.admin("adam").put("/chat/channels/owned", channel).expect(201).await;
    let issued = app.support_token(json!({})).await;
    issued["tokenId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_id_of_another_account_is_answered_like_a_random_one_wherever_it_stands() {
    let app = TestApp::ingest_only().await;
    let token_id = fill(&app).await;
    let issued = app.support_token_of("globex", json!({})).await;
    let widget = app.widget_with(&issued, "device-1", json!({})).await;
    let foreign = Foreign { admin: app.caller("globex", "adam", Role::Admin), widget };
    let operations = operations(&app).await;
    let count: usize = operations.iter().map(|operation| operation.places.len()).sum();
    assert!(count >= 20, "{operations:#?}");
    for operation in operations {
        for place in &operation.places {
            let own = if operation.name.starts_with("supportTokens.") { &token_id } else { "owned" };
            let (status, body) = answer(operation.call(&foreign, place, own)).await;
            let random = answer(operation.call(&foreign, place, "random")).await;
            let shown = format!("{} at {place:?}: {status} {body}", operation.name);
            assert_eq!((status, &body), (random.0, &random.1), "{shown}");
            let wanted = match place {
                Place::Path(_) => 404,
                Place::Query(name) | Place::Body(name) => {
                    NAMES.iter().find(|(known, _)| known == name).unwrap().1
                }
            };
            assert!(status == wanted && !body.to_string().contains("secret"), "{shown}");
        }
    }
    let kept = app.admin("adam").messages("owned", "").await;
    assert_eq!(kept.each("messages", "body"), [json!("secret")]);
    let tokens = app.admin("adam").get("/chat/support-tokens").expect(200).await;
    assert_eq!(tokens.each("supportTokens", "tokenId"), [json!(token_id)]);
}
