//! Slow, greedy and silent clients, and how the program says good-bye.

use std::time::Duration;

use serde_json::json;
use tests::app::{SocketClients, TestApp};

#[tokio::test]
async fn a_caller_has_a_bounded_number_of_sockets() {
    let app = TestApp::with("BELLHOP_SOCKETS__PER_CALLER", "2").ingest_only().await;
    let mut clients = SocketClients::start().await;
    let auth = json!({ "token": app.agent("anna").token() });
    clients.join("one", app.url(), &app.agent("anna")).await;
    clients.join("two", app.url(), &app.agent("anna")).await;
    clients.connect("three", app.url(), auth.clone()).await;
    let refused = clients.hears("three", "connect_error").await;
    assert_eq!(refused["data"]["code"], "rate_limited");
    clients.join("ben", app.url(), &app.agent("ben")).await;
    clients.command(json!({ "op": "close", "id": "one" })).await;
    for n in 0.. {
        // Its seat is free a moment after it left.
        let id = format!("again-{n}");
        clients.connect(&id, app.url(), auth.clone()).await;
        let settled = app.eventually("an answer", async || {
            let connected = !clients.heard(&id, "connect").is_empty();
            (connected || !clients.heard(&id, "connect_error").is_empty()).then_some(connected)
        });
        if settled.await {
            break;
        }
        assert!(n < 50, "the seat of a closed socket is free again");
    }
}

#[tokio::test]
async fn a_full_house_is_unavailable() {
    let app = TestApp::with("BELLHOP_SOCKETS__MAX", "1").ingest_only().await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    clients.connect("ben", app.url(), json!({ "token": app.agent("ben").token() })).await;
    assert_eq!(clients.hears("ben", "connect_error").await["data"]["code"], "unavailable");
}

#[tokio::test]
async fn too_many_events_are_refused_and_too_large_ones_end_the_connection() {
    let app = TestApp::with("BELLHOP_SOCKETS__EVENT_RATE", "1/m").ingest_only().await;
    let thread = app.thread(json!({})).await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    let typing = json!({ "threadId": thread, "typing": true });
    for _ in 0..2 {
        assert_eq!(clients.ask("anna", "typing", typing.clone()).await, json!({}));
    }
    assert_eq!(clients.ask("anna", "typing", typing).await["error"]["code"], "rate_limited");
    clients.send("anna", "typing", json!({ "threadId": "x".repeat(70_000), "typing": true })).await;
    clients.hears("anna", "disconnect").await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_holds_nobody_up() {
    let app = TestApp::with("BELLHOP_SOCKETS__BUFFER", "8").ingest_only().await;
    let thread = app.thread(json!({})).await;
    let mut clients = SocketClients::start().await;
    clients.join("slow", app.url(), &app.agent("anna")).await;
    clients.join("quick", app.url(), &app.agent("ben")).await;
    clients.command(json!({ "op": "stall", "id": "slow" })).await;
    let long = "long ".repeat(6_000);
    let cut = async || app.metrics().await.contains("sockets_cut_total{why=\"slow\"}");
    let mut posted = 0;
    while !cut().await {
        assert!(posted < 2_000, "the connection takes in no end");
        for _ in 0..20 {
            app.agent("anna").say(&thread, &long).await;
            posted += 1;
        }
    }
    clients.hears_where("quick", "newMessage", |data| data["message"]["seq"] == posted).await;
    assert!(clients.heard("quick", "disconnect").is_empty());
}

#[tokio::test]
async fn a_silent_client_is_given_up() {
    let setup = TestApp::with("BELLHOP_SOCKETS__PING_INTERVAL", "200ms");
    let app = setup.with("BELLHOP_SOCKETS__PING_TIMEOUT", "2s").ingest_only().await;
    let mut clients = SocketClients::start().await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    clients.command(json!({ "op": "stall", "id": "anna" })).await;
    app.eventually("the end of the heartbeat", async || {
        app.metrics().await.contains("sockets_closed_total{reason=\"heartbeat\"}").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stopping_program_says_good_bye() {
    let app = TestApp::ingest_only().await;
    let second = ingest::App::new(app.config().clone()).await.unwrap().start().await.unwrap();
    let mut clients = SocketClients::start().await;
    let url = format!("http://{}", second.public());
    clients.join("ws", &url, &app.agent("anna")).await;
    clients.connect_by("poll", &url, json!({ "token": app.agent("anna").token() }), json!(["polling"])).await;
    clients.hears("poll", "connect").await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), second.stop());
    stopped.await.expect("hanging polls and open websockets do not hold it up");
    // After either, clients come again by themselves. Between two polls nobody is there to be told.
    assert_eq!(clients.hears("ws", "disconnect").await, "transport close");
    let heard = clients.hears("poll", "disconnect").await;
    assert!(["transport close", "transport error"].iter().any(|reason| heard == *reason), "{heard}");
}
