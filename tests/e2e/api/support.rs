//! Support rooms: with assigned agents, only those, admins and services are let in; the first reply assigns.

use serde_json::json;
use tests::app::TestApp;

#[tokio::test]
async fn an_assigned_room_admits_its_agents_admins_and_services_only() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "kind": "support", "assignedAgentIds": ["anna"] })).await;
    let path = format!("/chat/threads/{thread}");
    let sent = app.agent("anna").say(&thread, "hello").await;
    let ben = app.agent("ben");
    ben.get(&path).refused(403, "not_assigned").await;
    ben.get(&format!("{path}/messages")).refused(403, "not_assigned").await;
    ben.get(&format!("{path}/messages/{}", sent["messageId"].as_str().unwrap()))
        .refused(403, "not_assigned")
        .await;
    ben.message(&thread, json!({ "body": "x" })).refused(403, "not_assigned").await;
    ben.message(&thread, json!({ "body": "x", "type": "note" })).refused(403, "not_assigned").await;
    ben.post(&format!("{path}/read"), json!({})).refused(403, "not_assigned").await;
    ben.patch(&path, json!({ "title": "x" })).refused(403, "not_assigned").await;
    for caller in [app.agent("anna"), app.admin("adam"), app.service("ota")] {
        caller.get(&path).expect(200).await;
        assert_eq!(
            caller.get("/chat/threads").expect(200).await.each("threads", "threadId"),
            [json!(thread)]
        );
        caller.say(&thread, "x").await;
    }
    assert!(ben.get("/chat/threads").expect(200).await.each("threads", "threadId").is_empty());
    app.admin("adam").patch(&path, json!({ "assignedAgentIds": ["ben"] })).expect(200).await;
    ben.get(&path).expect(200).await;
    app.agent("anna").get(&path).refused(403, "not_assigned").await;
}

#[tokio::test]
async fn assigned_agents_of_other_kinds_shut_nobody_out() {
    let app = TestApp::ingest_only().await;
    for kind in ["guest", "team"] {
        let thread = app.thread(json!({ "kind": kind, "assignedAgentIds": ["anna"] })).await;
        app.agent("ben").say(&thread, "x").await;
    }
}

#[tokio::test]
async fn the_first_reply_of_an_agent_that_is_no_note_assigns_its_sender() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "kind": "support", "participantIds": ["cust"] })).await;
    let assigned = async || app.admin("adam").thread(&thread).await["assignedAgentIds"].clone();
    app.agent("ben").post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    assert_eq!(assigned().await, json!([]), "not by a note");
    app.admin("adam").say(&thread, "x").await;
    assert_eq!(assigned().await, json!([]), "not by an admin");
    app.guest("cust").say(&thread, "x").await;
    assert_eq!(assigned().await, json!([]), "not by the customer");
    app.agent("anna").say(&thread, "hello").await;
    assert_eq!(assigned().await, json!(["anna"]));
    app.agent("ben").message(&thread, json!({ "body": "x" })).refused(403, "not_assigned").await;
}

#[tokio::test]
async fn two_agents_who_answer_at_once_are_not_both_assigned() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "kind": "support" })).await;
    let reply = |uid: &str| app.agent(uid).message(&thread, json!({ "body": "mine" })).send();
    let (anna, ben) = tokio::join!(reply("anna"), reply("ben"));
    let mut statuses = [anna.status, ben.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403]);
    let assigned = app.admin("adam").thread(&thread).await["assignedAgentIds"].clone();
    assert_eq!(assigned, json!([if anna.status == 201 { "anna" } else { "ben" }]));
}
