//! How fast we send: to all by one number, to one person, and after the provider said "too fast".

use std::sync::Arc;

use serde_json::{Value, json};
use tests::app::TestApp;
use tests::simulator::{Accepted, Action, Answer, FaultRule, Provider};

async fn post(app: &TestApp, thread: &str, text: &str) -> Value {
    app.agent("anna").post_message(thread, json!({ "body": text, "type": "whatsapp-message" })).await
}

fn milliseconds(accepted: &[Arc<Accepted>]) -> Vec<i64> {
    let first = accepted.first().map_or(0, |one| one.at.timestamp_millis());
    accepted.iter().map(|one| one.at.timestamp_millis() - first).collect()
}

#[tokio::test]
async fn a_number_sends_no_faster_than_it_may_whoever_gets_it() {
    let app = TestApp::with("BELLHOP_DELIVERY__WHATSAPP_RATE", "5/s").without_search().await;
    let mut posted = Vec::new();
    for n in 0..12 {
        let thread = app.whatsapp_thread(&format!("+417944801{n:02}")).await;
        posted.push(post(&app, &thread, "hello").await);
    }
    for message in &posted {
        app.delivery_of(message, "delivered").await;
    }
    let at = milliseconds(&app.simulator.accepted());
    assert_eq!(at.len(), 12);
    assert!(at[11] >= 1_300, "five at once, then one in 200 ms: {at:?}");
}

#[tokio::test]
async fn one_person_gets_a_burst_and_then_slowly_while_others_are_not_held_up() {
    let setup = TestApp::with("BELLHOP_DELIVERY__WHATSAPP_PAIR_RATE", "1/s");
    let app = setup.with("BELLHOP_DELIVERY__WHATSAPP_PAIR_BURST", "3").without_search().await;
    let busy = app.whatsapp_thread("+41794480201").await;
    let mut posted = Vec::new();
    for n in 0..5 {
        posted.push(post(&app, &busy, &format!("{n}")).await);
    }
    let other = app.whatsapp_thread("+41794480202").await;
    let quick = post(&app, &other, "quick").await;
    app.delivery_of(&quick, "delivered").await;
    for message in &posted {
        app.delivery_of(message, "delivered").await;
    }
    let accepted = app.simulator.accepted();
    let order: Vec<&str> = accepted.iter().map(|one| one.body.as_str()).collect();
    assert_eq!(order.last(), Some(&"4"), "the other did not wait: {order:?}");
    let busy: Vec<Arc<Accepted>> = accepted.iter().filter(|one| one.body != "quick").cloned().collect();
    let at = milliseconds(&busy);
    assert!(at[4] >= 1_800, "three at once, then one a second: {at:?}");
    let story = app.story(&posted[4]).await;
    let counted = story["attempts"].as_array().unwrap().iter().filter(|a| a["outcome"] == "ok").count();
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn too_fast_for_the_provider_holds_all_that_the_number_sends() {
    let app = TestApp::without_search().await;
    let too_fast = Answer::code(130_429);
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::Answer(too_fast)).times(1));
    let [one, two] = ["+41794480301", "+41794480302"];
    let first = app.whatsapp_thread(one).await;
    let first = post(&app, &first, "first").await;
    app.eventually("the refusal", async || {
        let story = app.story(&first).await;
        let attempts = story["attempts"].as_array().cloned().unwrap_or_default();
        attempts.iter().any(|a| a["providerErrorCode"] == "130429").then_some(())
    })
    .await;
    let second = app.whatsapp_thread(two).await;
    let second = post(&app, &second, "second").await;
    for message in [&first, &second] {
        app.delivery_of(message, "delivered").await;
    }
    let refused = app.simulator.requests()[0].at;
    let next = app.simulator.requests()[1].at;
    let waited = (next - refused).num_milliseconds();
    assert!(waited >= 90, "the other message waited too: {waited} ms");
}
