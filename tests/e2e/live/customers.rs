//! Customers come in by the desk's door; their sockets end with their session.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use ingest::http::{ApiError, Code};
use ingest::sockets::{CustomerCaller, CustomerCredentials, CustomerDoor};
use serde_json::{Value, json};
use shared::domain::Time;
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::{AccountId, ThreadId, Uid};
use shared::domain::time::plus_millis;
use shared::live::{LiveEvent, LivePublisher};
use tests::app::{ACCOUNT, SocketClients, TestApp};

/// Knows sessions by name: `long` and `short`.
struct Door {
    room: ThreadId,
}

impl CustomerDoor for Door {
    fn authenticate(&self, shown: CustomerCredentials) -> BoxFuture<'_, Result<CustomerCaller, ApiError>> {
        let lasts = match shown.support_session.as_str() {
            "long" => 3_600_000,
            "short" => 700,
            _ => 0,
        };
        let known = lasts > 0 && shown.device_id == "d1" && shown.support_token == "st";
        let actor = Actor {
            account: AccountId::parse(ACCOUNT).unwrap(),
            uid: Uid::parse("conversation-1").unwrap(),
            role: Role::Guest,
            conversation_id: "conversation-1".to_owned(),
        };
        let caller = CustomerCaller {
            actor,
            room: self.room.clone(),
            session_id: shown.support_session,
            expires_at: plus_millis(Time::now(), lasts),
        };
        let answer =
            if known { Ok(caller) } else { Err(ApiError::new(Code::Unauthenticated, "no such session")) };
        futures::future::ready(answer).boxed()
    }
}

fn auth(session: &str, device: &str) -> Value {
    json!({ "supportToken": "st", "supportSession": session, "deviceId": device })
}

#[tokio::test]
async fn a_customer_hears_its_room_for_as_long_as_its_session_lasts() {
    let app = TestApp::ingest_only().await;
    let room = app.thread(json!({ "kind": "support", "participantIds": ["conversation-1"] })).await;
    let door = Door { room: ThreadId::parse(&room).unwrap() };
    let desk =
        ingest::App::new(app.config().clone()).await.unwrap().with_customers(door).start().await.unwrap();
    let url = format!("http://{}", desk.public());
    let mut clients = SocketClients::start().await;
    clients.connect("stranger", &url, auth("long", "d2")).await;
    assert_eq!(clients.hears("stranger", "connect_error").await["data"]["code"], "unauthenticated");
    for session in ["long", "short"] {
        clients.connect(session, &url, auth(session, "d1")).await;
        clients.hears(session, "connect").await;
    }
    app.agent("anna").say(&room, "hello").await; // at the other replica
    let heard = clients.hears("long", "newMessage").await;
    assert_eq!((&heard["type"], &heard["message"]["content"]), (&json!("team"), &json!("hello")));
    let asked = clients.ask("long", "resume", json!({ "threadId": room, "afterSeq": 0 })).await;
    assert_eq!(asked["messages"][0], heard["message"]);
    let foreign = app.thread(json!({ "kind": "support", "participantIds": ["conversation-2"] })).await;
    for thread in [foreign.as_str(), "random"] {
        let answer = clients.ask("long", "resume", json!({ "threadId": thread, "afterSeq": 0 })).await;
        assert_eq!(answer["error"], json!({ "code": "not_found", "message": "no such room" }), "{thread}");
    }
    let away = "io server disconnect"; // after which clients stay away
    assert_eq!(clients.hears("short", "disconnect").await, away);
    assert!(clients.heard("long", "disconnect").is_empty());
    let redis = &app.config().redis;
    let elsewhere = LivePublisher::start(redis.url.expose(), &redis.prefix).unwrap();
    let account = AccountId::parse(ACCOUNT).unwrap();
    elsewhere.publish(LiveEvent::SessionRevoked { account, session_id: "long".to_owned() });
    assert_eq!(clients.hears("long", "disconnect").await, away);
    tokio::time::timeout(Duration::from_secs(10), desk.stop()).await.unwrap();
}
