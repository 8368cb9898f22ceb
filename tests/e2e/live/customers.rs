//! Customers of the desk come in with their session, hear their own rooms, and leave with the session.

use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use shared::store::AuditFilter;
use tests::app::{DESK, SocketClients, TestApp, Widget};
use tests::servers::RedisServer;

/// After which clients stay away.
const SENT_AWAY: &str = "io server disconnect";

/// Connects `widget` as client `id` and waits until it is.
async fn join(clients: &mut SocketClients, id: &str, url: &str, widget: &Widget) {
    clients.connect(id, url, widget.auth()).await;
    clients.hears(id, "connect").await;
}

#[tokio::test]
async fn both_sides_of_a_room_hear_the_desks_projection() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    join(&mut clients, "customer", app.url(), &widget).await;
    let asked = widget.say("help").await;
    let photo = json!({ "type": "image", "content": "", "attachments": [
        { "url": "https://cdn.example.com/a.png", "type": "image/png", "name": "a.png", "size": 7 },
    ] });
    let answered = app.agent("anna").desk_send(&widget.room, photo).await;
    let more = |message: &Value, more: Value| {
        let mut shown = message.clone();
        shown.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        shown
    };
    let from_customer = json!({ "sender_type": "customer" });
    let support = clients.hears_where("anna", "newMessage", |data| data["type"] == "support").await;
    assert_eq!(support["message"], more(&asked, from_customer));
    let team = clients.hears_where("anna", "newMessage", |data| data["type"] == "team").await;
    assert_eq!(team["message"], more(&answered, json!({ "sender_type": "agent" })));
    let own = clients.hears_where("customer", "newMessage", |data| data["type"] == "support").await;
    assert_eq!(own["message"], more(&asked, json!({ "sender_type": "customer", "is_mine": true })));
    let other = clients.hears_where("customer", "newMessage", |data| data["type"] == "team").await;
    assert_eq!(other["message"], more(&answered, json!({ "sender_type": "agent", "is_mine": false })));
    let resumed = clients.ask("customer", "resume", json!({ "threadId": widget.room, "afterSeq": 0 })).await;
    assert_eq!(resumed, json!({ "messages": [own["message"], other["message"]], "hasMore": false }));
}

#[tokio::test]
async fn both_sides_are_told_what_is_left_unread_as_the_desk_counts_it() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let (adam, beth) = (app.admin("adam"), app.admin("beth"));
    let mut clients = SocketClients::start().await;
    clients.join("adam", app.url(), &adam).await;
    join(&mut clients, "customer", app.url(), &widget).await;
    let one = widget.say("one").await;
    widget.say("two").await;
    beth.desk_send(&widget.room, json!({ "type": "note", "content": "hm" })).await;
    let three = beth.reply(&widget.room, "three").await;
    beth.reply(&widget.room, "four").await;
    for (up_to, left) in [(&one, 1), (&three, 0)] {
        let read = json!({ "room_id": widget.room, "up_to": up_to["_id"] });
        let answered = adam.post(&format!("{DESK}/message/read"), read.clone()).expect(200).await;
        assert_eq!(answered["unread_count"], left, "the customer's only");
        let wanted = json!({ "threadId": widget.room, "unreadCount": left });
        clients.hears_where("adam", "unreadChanged", |data| *data == wanted).await;
    }
    let read = json!({ "room_id": widget.room, "up_to": three["_id"] });
    let answered = widget.call(reqwest::Method::POST, "/message/read").json(&read).expect(200).await;
    assert_eq!(answered["unread_count"], 1);
    let wanted = json!({ "threadId": widget.room, "unreadCount": 1 });
    clients.hears_where("customer", "unreadChanged", |data| *data == wanted).await;
}

#[tokio::test]
async fn what_is_unread_is_told_with_every_message_and_never_for_a_note() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let (adam, beth) = (app.admin("adam"), app.agent("beth"));
    let mut clients = SocketClients::start().await;
    clients.join("adam", app.url(), &adam).await;
    clients.join("beth", app.url(), &beth).await;
    join(&mut clients, "customer", app.url(), &widget).await;
    let counts = |unread: u64| json!({ "threadId": widget.room, "unreadCount": unread });
    widget.say("one").await;
    widget.say("two").await;
    for agent in ["adam", "beth"] {
        clients.hears_where(agent, "unreadChanged", |data| *data == counts(2)).await;
    }
    beth.desk_send(&widget.room, json!({ "type": "note", "content": "hm" })).await;
    beth.reply(&widget.room, "three").await;
    clients.hears_where("beth", "unreadChanged", |data| *data == counts(0)).await;
    clients.hears_where("customer", "unreadChanged", |data| *data == counts(1)).await;
    let told = clients.heard("customer", "unreadChanged");
    assert!(told.iter().all(|data| data["unreadCount"].as_u64() <= Some(1)), "{told:?}");
    assert!(!clients.heard("adam", "unreadChanged").contains(&counts(0)), "he has read nothing");
}

#[tokio::test]
async fn a_room_hears_its_customer_type_and_the_customer_its_agent() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    join(&mut clients, "customer", app.url(), &widget).await;
    let typing = json!({ "threadId": widget.room, "typing": true });
    assert_eq!(clients.ask("customer", "typing", typing.clone()).await, json!({}));
    assert_eq!(clients.hears("anna", "typing").await["from"], json!(widget.conversation));
    clients.ask("anna", "typing", typing).await;
    assert_eq!(clients.hears("customer", "typing").await["from"], "anna");
}

#[tokio::test]
async fn a_customer_is_let_in_from_its_device_and_origin_only() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({ "allowedOrigins": ["https://shop.example"] })).await;
    let widget = app.widget_with(&issued, "device-1", json!({})).await;
    let mut clients = SocketClients::start().await;
    let refused = [
        ("device", widget.changed(|w| w.device = "device-2".into()), "unauthenticated"),
        ("session", widget.changed(|w| w.session = format!("ss_{}", "0".repeat(64))), "unauthenticated"),
        ("token", widget.changed(|w| w.token = format!("st_{}", "0".repeat(64))), "unauthenticated"),
        ("nothing", widget.changed(|w| w.session.clear()), "unauthenticated"),
    ];
    for (id, widget, code) in refused {
        clients.connect(id, app.url(), widget.auth()).await;
        assert_eq!(clients.hears(id, "connect_error").await["data"]["code"], code, "{id}");
    }
    let filter = AuditFilter { limit: 10, ..AuditFilter::default() };
    let rows = app.store().audit().find(&filter).await.unwrap();
    let used = rows.iter().filter(|row| row.action == "session.use").count();
    assert_eq!(used, 1, "the other device is written down: {rows:?}");
    for (origin, event) in [("https://evil.example", "connect_error"), ("https://shop.example", "connect")] {
        for transport in ["websocket", "polling"] {
            let id = format!("{origin} by {transport}");
            let connect = json!({
                "op": "connect", "id": id, "url": app.url(), "auth": widget.auth(),
                "transports": [transport], "headers": { "origin": origin },
            });
            clients.command(connect).await;
            let heard = clients.hears(&id, event).await;
            if event == "connect_error" {
                assert_eq!(heard["data"]["code"], "forbidden", "{id}: {heard}");
            }
        }
    }
}

#[tokio::test]
async fn the_rooms_of_others_are_not_there() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let other = app.widget("device-2").await;
    // A thread of another kind that somebody has put the customer into.
    let slipped = app.thread(json!({ "participantIds": [widget.conversation] })).await;
    let mut clients = SocketClients::start().await;
    join(&mut clients, "customer", app.url(), &widget).await;
    for thread in [other.room.as_str(), &slipped, "random", "not an id"] {
        for (event, asked) in [
            ("resume", json!({ "threadId": thread, "afterSeq": 0 })),
            ("typing", json!({ "threadId": thread, "typing": true })),
        ] {
            let answer = clients.ask("customer", event, asked).await;
            assert_eq!(
                answer["error"],
                json!({ "code": "not_found", "message": "no such room" }),
                "{thread}"
            );
        }
    }
    other.say("canary").await;
    app.agent("anna").say(&slipped, "canary").await;
    widget.say("own").await;
    clients.hears_where("customer", "newMessage", |data| data["message"]["content"] == "own").await;
    clients.hears_where("customer", "threadUpdated", |data| data["thread"]["seq"] == 1).await;
    let heard = clients.all_heard("customer");
    assert!(
        !heard.contains("canary") && !heard.contains(&slipped) && !heard.contains(&other.room),
        "{heard}"
    );
}

#[tokio::test]
async fn a_socket_ends_with_its_session() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let lasting = app.widget("device-2").await;
    let sessions = app.store().raw().collection::<Document>("supportSessions");
    let soon = DateTime::from_millis(DateTime::now().timestamp_millis() + 5_000);
    let set = doc! { "$set": { "expiresAt": soon } };
    sessions.update_one(doc! { "conversationId": &widget.conversation }, set).await.unwrap();
    let mut clients = SocketClients::start().await;
    join(&mut clients, "ending", app.url(), &widget).await;
    join(&mut clients, "lasting", app.url(), &lasting).await;
    assert_eq!(clients.hears("ending", "disconnect").await, SENT_AWAY);
    assert!(clients.heard("lasting", "disconnect").is_empty());
}

#[tokio::test]
async fn a_revoked_token_takes_its_sessions_sockets_along_at_every_replica() {
    let app = TestApp::ingest_only().await;
    let second = ingest::App::new(app.config().clone()).await.unwrap().start().await.unwrap();
    let elsewhere = format!("http://{}", second.public());
    let mut clients = SocketClients::start().await;
    let admin = app.admin("adam");
    let mut issued = Vec::new();
    for (id, grace) in [("deleted", None), ("rotated", Some(0)), ("grace", Some(600)), ("untouched", None)] {
        let token = app.support_token(json!({})).await;
        let widget = app.widget_with(&token, id, json!({})).await;
        join(&mut clients, id, app.url(), &widget).await;
        join(&mut clients, &format!("{id} there"), &elsewhere, &widget).await;
        issued.push((id, grace, token["tokenId"].as_str().unwrap().to_owned()));
    }
    for (id, grace, token) in issued {
        let path = format!("/chat/support-tokens/{token}");
        match (id, grace) {
            ("deleted", _) => drop(admin.call(reqwest::Method::DELETE, &path).expect(204).await),
            (_, Some(secs)) => {
                let body = json!({ "graceSeconds": secs });
                let rotated = admin.post(&format!("{path}/rotate"), body).expect(200).await;
                app.must_not_be_logged(rotated["supportToken"].as_str().unwrap());
            }
            _ => {}
        }
    }
    for id in ["deleted", "deleted there", "rotated", "rotated there"] {
        assert_eq!(clients.hears(id, "disconnect").await, SENT_AWAY, "{id}");
    }
    for id in ["grace", "grace there", "untouched", "untouched there"] {
        assert!(clients.heard(id, "disconnect").is_empty(), "{id}");
    }
    tokio::time::timeout(Duration::from_secs(10), second.stop()).await.unwrap();
}

#[tokio::test]
async fn a_revocation_that_was_not_heard_is_made_up_for() {
    let mut redis = RedisServer::start().await.expect("redis-server");
    let app = TestApp::with("BELLHOP_REDIS__URL", redis.url()).ingest_only().await;
    let second = ingest::App::new(app.config().clone()).await.unwrap().start().await.unwrap();
    let elsewhere = format!("http://{}", second.public());
    let token = app.support_token(json!({})).await;
    let revoked = app.widget_with(&token, "device-1", json!({})).await;
    let lasting = app.widget("device-2").await;
    let mut clients = SocketClients::start().await;
    join(&mut clients, "revoked", &elsewhere, &revoked).await;
    join(&mut clients, "lasting", &elsewhere, &lasting).await;
    redis.stop().await.unwrap();
    let path = format!("/chat/support-tokens/{}", token["tokenId"].as_str().unwrap());
    app.admin("adam").call(reqwest::Method::DELETE, &path).expect(204).await;
    let sessions = app.store().raw().collection::<Document>("supportSessions");
    app.eventually("the end of the session", async || {
        let left = sessions.count_documents(doc! {}).await.unwrap();
        (left == 1).then_some(())
    })
    .await;
    redis.up().await.unwrap();
    assert_eq!(clients.hears("revoked", "disconnect").await, SENT_AWAY);
    assert!(clients.heard("lasting", "disconnect").is_empty());
    second.stop().await;
}
