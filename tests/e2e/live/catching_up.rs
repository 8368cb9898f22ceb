//! `resume`: the gapless rest of a thread, and the same refusals as over REST.

use serde_json::{Value, json};
use tests::app::{SocketClients, TestApp};

fn seqs(answer: &Value) -> Vec<i64> {
    answer["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn resume_answers_what_follows_in_the_readers_own_counter() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let anna = app.agent("anna");
    for n in 1..=120 {
        let kind = if n % 4 == 0 { "note" } else { "message" };
        anna.post_message(&thread, json!({ "body": format!("text {n}"), "type": kind })).await;
    }
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &anna).await;
    clients.join("gina", app.url(), &app.guest("gina")).await;
    let first = clients.ask("anna", "resume", json!({ "threadId": thread, "afterSeq": 0 })).await;
    assert_eq!(seqs(&first), (1..=100).collect::<Vec<_>>());
    assert_eq!(first["hasMore"], true);
    let rest = clients.ask("anna", "resume", json!({ "threadId": thread, "afterSeq": 100 })).await;
    assert_eq!(seqs(&rest), (101..=120).collect::<Vec<_>>());
    assert_eq!(rest["hasMore"], false);
    let listed = anna.messages(&thread, "?sort=asc&limit=100").await;
    let mut shown = listed["messages"][0].clone();
    shown.as_object_mut().unwrap().remove("author");
    assert_eq!(first["messages"][20], shown, "the newest hundred begin there");
    let guests = clients.ask("gina", "resume", json!({ "threadId": thread, "afterSeq": 80 })).await;
    assert_eq!(seqs(&guests), (81..=90).collect::<Vec<_>>(), "a guest counts no notes");
    let end = clients.ask("gina", "resume", json!({ "threadId": thread, "afterSeq": 90 })).await;
    assert_eq!(end, json!({ "messages": [], "hasMore": false }));
}

#[tokio::test]
async fn a_refusal_is_the_one_of_rest() {
    let app = TestApp::ingest_only().await;
    let room = app.thread(json!({ "kind": "support", "assignedAgentIds": ["anna"] })).await;
    let mut clients = SocketClients::start().await;
    for caller in [app.agent("ben"), app.guest("gina")] {
        clients.join(caller.uid(), app.url(), &caller).await;
    }
    for (caller, id, thread) in [
        (app.agent("ben"), "ben", room.as_str()),
        (app.guest("gina"), "gina", room.as_str()),
        (app.agent("ben"), "ben", "random"),
        (app.guest("gina"), "gina", "random"),
        (app.agent("ben"), "ben", "mal formed"),
    ] {
        let rest = caller.get(&format!("/chat/threads/{}/messages", thread.replace(' ', "%20"))).send().await;
        let answers = [
            clients.ask(id, "resume", json!({ "threadId": thread, "afterSeq": 0 })).await,
            clients.ask(id, "typing", json!({ "threadId": thread, "typing": true })).await,
        ];
        for answer in answers {
            assert_eq!(answer["error"]["code"], rest["code"], "{id} {thread}");
        }
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_unknown_ones_are_not_answered() {
    let app = TestApp::ingest_only().await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    for bad in [
        json!(null),
        json!("t1"),
        json!([]),
        json!({}),
        json!({ "threadId": "t1" }),
        json!({ "threadId": "t1", "afterSeq": -1 }),
        json!({ "threadId": "t1", "afterSeq": "0" }),
        json!({ "threadId": 1, "afterSeq": 0 }),
        json!({ "threadId": "t1", "afterSeq": 0, "limit": 5 }),
    ] {
        let answer = clients.ask("anna", "resume", bad.clone()).await;
        assert_eq!(answer["error"]["code"], "invalid_request", "{bad}");
    }
    clients.send("anna", "join", json!("acme/admins")).await;
    clients.send("anna", "newMessage", json!({ "forged": true })).await;
    app.eventually("the count", async || {
        app.metrics().await.contains("sockets_events_total{event=\"unknown\"}").then_some(())
    })
    .await;
    assert!(clients.heard("anna", "disconnect").is_empty());
}
