//! Several ingest processes: what is posted at one is heard at the other, and nothing is lost for good when Redis or
//! one of them goes away.

use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::{DESK, Programs, SocketClients, TestApp, play};
use tests::servers::RedisServer;

#[tokio::test]
async fn what_is_posted_at_one_replica_is_heard_at_the_other() {
    let app = TestApp::ingest_only().await;
    let second = ingest::App::new(app.config().clone()).await.unwrap().start().await.unwrap();
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", &format!("http://{}", second.public()), &app.agent("anna")).await;
    clients.join("gina", &format!("http://{}", second.public()), &app.guest("gina")).await;
    let sent = app.agent("ben").say(&thread, "hello").await;
    for id in ["anna", "gina"] {
        assert_eq!(clients.hears(id, "newMessage").await["message"], sent);
        clients.hears_where(id, "threadUpdated", |data| data["thread"]["seq"] == 1).await;
    }
    clients.join("ben", app.url(), &app.agent("ben")).await;
    clients.ask("gina", "typing", json!({ "threadId": thread, "typing": true })).await;
    assert_eq!(clients.hears("ben", "typing").await["from"], "gina");
    let path = format!("/chat/threads/{thread}/read");
    app.agent("anna").post(&path, json!({})).expect(200).await;
    assert_eq!(clients.hears("anna", "unreadChanged").await["unreadCount"], 0);
    second.stop().await;
}

#[tokio::test]
async fn sockets_of_the_posting_replica_hear_without_redis() {
    let mut redis = RedisServer::start().await.expect("redis-server");
    let app = TestApp::with("BELLHOP_REDIS__URL", redis.url()).ingest_only().await;
    let thread = app.thread(json!({})).await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    redis.stop().await.unwrap();
    let sent = app.agent("ben").say(&thread, "hello").await;
    assert_eq!(clients.hears("anna", "newMessage").await["message"], sent);
    clients.hears("anna", "threadUpdated").await;
    clients.join("late", app.url(), &app.agent("ben")).await;
    redis.up().await.unwrap(); // the app deletes its keys there when it is dropped
}

#[tokio::test]
async fn a_chat_over_two_replicas_survives_redis_and_the_death_of_one() {
    let mut redis = RedisServer::start().await.expect("redis-server");
    let url = redis.url();
    let mut programs = Programs::new(&[("BELLHOP_REDIS__URL", url.as_str())]).await;
    programs.start_ingest(None).await;
    let second = programs.start_replica().await;
    let token = programs.call("POST", "/chat/support-tokens", &json!({})).await["supportToken"].clone();
    let asked = json!({ "support_token": token, "device_id": "device-1" });
    let session = programs.call("POST", &format!("{DESK}/session"), &asked).await["session"].clone();
    let room = session["room_id"].as_str().unwrap().to_owned();
    let assigned = json!({ "assignedAgentIds": ["anna", "ben"] });
    programs.call("PATCH", &format!("/chat/threads/{room}"), &assigned).await;
    let person = |uid: &str, role: Role| -> Value {
        let token = programs.token(uid, role);
        json!({ "auth": { "token": token }, "headers": { "authorization": format!("Bearer {token}") } })
    };
    let secret = &session["support_session"];
    let customer = json!({
        "api": "desk",
        "auth": { "supportToken": token, "supportSession": secret, "deviceId": "device-1" },
        "headers": { "support-token": token, "support_session": secret, "device-id": "device-1" },
    });
    let plan = json!({
        "replicas": [programs.url(), second],
        "thread": room,
        "agents": [person("anna", Role::Agent), person("ben", Role::Agent)],
        "customer": customer,
    });
    let verdict = play(&plan, async |cue| match cue {
        "redis_down" => redis.stop().await.expect("stop"),
        "redis_up" => redis.restart_empty().await.expect("restart"),
        "kill_replica" => programs.kill_replica(),
        other => panic!("an unknown cue: {other}"),
    });
    let verdict = verdict.await;
    assert_eq!(verdict["messages"], 60, "{verdict}");
}
