//! Who is let in, by which transport, and what the others are told.

use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::{ACCOUNT, SocketClients, TestApp};

/// Connects with `auth` by `transports` and answers the data of the refusal.
async fn refused(
    clients: &mut SocketClients,
    app: &TestApp,
    id: &str,
    auth: Value,
    transports: Value,
) -> Value {
    clients.connect_by(id, app.url(), auth, transports).await;
    let error = clients.hears(id, "connect_error").await;
    let data = error["data"].clone();
    assert_eq!(error["message"], data["code"], "{error}");
    for field in ["message", "requestId"] {
        assert!(data[field].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    data
}

#[tokio::test]
async fn without_good_credentials_nobody_connects() {
    let app = TestApp::ingest_only().await;
    let mut clients = SocketClients::start().await;
    let operator = app.caller(ACCOUNT, "op", Role::Operator).token().to_owned();
    let cases = [
        ("nothing", json!({}), "unauthenticated"),
        ("forged", json!({ "token": format!("{}x", app.agent("anna").token()) }), "unauthenticated"),
        ("number", json!({ "token": 7 }), "unauthenticated"),
        ("operator", json!({ "token": operator }), "forbidden"),
        (
            "customer",
            json!({ "supportToken": "st_1", "supportSession": "ss_1", "deviceId": "d1" }),
            "unauthenticated",
        ),
    ];
    for (name, auth, code) in cases {
        for transport in ["websocket", "polling"] {
            let id = format!("{name} by {transport}");
            let data = refused(&mut clients, &app, &id, auth.clone(), json!([transport])).await;
            assert_eq!(data["code"], code, "{id}");
            assert!(clients.heard(&id, "connect").is_empty());
        }
    }
}

#[tokio::test]
async fn staff_and_guests_connect_by_every_transport() {
    let app = TestApp::ingest_only().await;
    let mut clients = SocketClients::start().await;
    let callers = [app.agent("anna"), app.admin("adam"), app.service("ota"), app.guest("gina")];
    for caller in &callers {
        for (way, transports) in [
            ("ws", json!(["websocket"])),
            ("poll", json!(["polling"])),
            ("both", json!(["polling", "websocket"])),
        ] {
            let id = format!("{}-{way}", caller.uid());
            clients.connect_by(&id, app.url(), json!({ "token": caller.token() }), transports).await;
            clients.hears(&id, "connect").await;
            if way == "both" {
                assert_eq!(clients.hears(&id, "upgrade").await["transport"], "websocket");
            }
        }
    }
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    app.agent("anna").say(&thread, "hello").await;
    for caller in &callers {
        for way in ["ws", "poll", "both"] {
            let event = clients.hears(&format!("{}-{way}", caller.uid()), "newMessage").await;
            assert_eq!(event["message"]["body"], "hello");
        }
    }
}

#[tokio::test]
async fn browsers_of_other_origins_may_poll() {
    let app = TestApp::ingest_only().await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let opened = app.nobody().get(path).header("origin", "https://shop.example").expect(200).await;
    assert_eq!(opened.header("access-control-allow-origin"), "*");
    assert!(opened.text.starts_with("0{"), "{}", opened.text);
    let preflight =
        app.nobody().call(reqwest::Method::OPTIONS, path).header("origin", "https://shop.example");
    let preflight = preflight.header("access-control-request-method", "POST").expect(204).await;
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    for strange in ["/socket.io/", "/socket.io/?EIO=4", "/socket.io/?EIO=4&transport=polling&sid=unknown"] {
        app.nobody().get(strange).expect(400).await;
    }
}
