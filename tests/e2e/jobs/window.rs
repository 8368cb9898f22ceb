//! The 24-hour window of WhatsApp: outside it a text waits without a call, and goes when it is released.

use mongodb::bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use tests::app::TestApp;

const DAY: i64 = 24 * 3600 * 1000;

/// Sets when the customer wrote last, in milliseconds before now.
async fn customer_wrote(app: &TestApp, thread: &str, before: i64) {
    let at = DateTime::from_millis(DateTime::now().timestamp_millis() - before);
    let update = doc! { "$set": { "lastWhatsappInboundAt": at } };
    let threads = app.store().raw().collection::<Document>("threads");
    threads.update_one(doc! { "_id": format!("acme/{thread}") }, update).await.unwrap();
}

async fn post(app: &TestApp, thread: &str, text: &str) -> Value {
    app.agent("anna").post_message(thread, json!({ "body": text, "type": "whatsapp-message" })).await
}

#[tokio::test]
async fn a_text_outside_the_window_is_parked_without_a_call() {
    let app = TestApp::without_search().await;
    let thread = app.whatsapp_thread("+41794440001").await;
    customer_wrote(&app, &thread, DAY + 1000).await;
    let posted = post(&app, &thread, "too late").await;
    let story = app.delivery_of(&posted, "parked").await;
    assert_eq!(story["delivery"]["reason"], "needs_template");
    let shown = app.agent("anna").thread(&thread).await;
    assert_eq!(shown["canReplyFreeform"], false);
    assert!(shown["windowExpiresAt"].is_string());
    app.settled().await;
    assert!(app.simulator.requests().is_empty());
}

#[tokio::test]
async fn inside_the_window_and_where_nobody_ever_wrote_it_is_sent() {
    let app = TestApp::without_search().await;
    let (never, open) =
        (app.whatsapp_thread("+41794440001").await, app.whatsapp_thread("+41794440002").await);
    customer_wrote(&app, &open, DAY - 60_000).await;
    for thread in [never, open] {
        let posted = post(&app, &thread, "in time").await;
        app.delivery_of(&posted, "delivered").await;
    }
}

#[tokio::test]
async fn texts_behind_a_parked_one_park_too_and_all_go_in_order_when_released() {
    let app = TestApp::without_search().await;
    let thread = app.whatsapp_thread("+41794440001").await;
    customer_wrote(&app, &thread, DAY + 1000).await;
    let mut posted = Vec::new();
    for n in 0..4 {
        posted.push(post(&app, &thread, &format!("text {n}")).await);
    }
    for message in &posted {
        let story = app.delivery_of(message, "parked").await;
        assert_eq!(story["delivery"]["reason"], "needs_template");
    }
    app.settled().await;
    customer_wrote(&app, &thread, 0).await;
    let released = app.ledger().release_lane(&format!("whatsapp:acme/{thread}")).await.unwrap();
    assert_eq!(released, 4);
    for message in &posted {
        app.delivery_of(message, "delivered").await;
    }
    let bodies: Vec<String> = app.simulator.accepted().iter().map(|sent| sent.body.clone()).collect();
    assert_eq!(bodies, ["text 0", "text 1", "text 2", "text 3"]);
}
