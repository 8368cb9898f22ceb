//! Accepted, and then the connection is reset: what happens to a send whose outcome is not known.

use serde_json::{Value, json};
use shared::domain::jobs::JobState;
use tests::app::{SOON, TestApp};
use tests::simulator::{Action, FaultRule, Provider, StatusOrder};

async fn lost(app: &TestApp, kind: &str) -> Value {
    let thread = app.whatsapp_thread("+41797770001").await;
    app.agent("anna").post_message(&thread, json!({ "body": "hello", "type": kind })).await
}

#[tokio::test]
async fn s24_a_status_webhook_resolves_the_doubt_and_nothing_is_sent_twice() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| {
        (settings.statuses.sent_ms, settings.statuses.delivered_ms) = (300, 600);
    });
    app.simulator.fault(FaultRule::any(Action::AcceptReset));
    for kind in ["whatsapp-message", "sms-message"] {
        let message = lost(&app, kind).await;
        app.delivery_of(&message, "unknown").await;
        let story = app.delivery_of(&message, "delivered").await;
        assert_eq!(story["attempts"].as_array().unwrap().len(), 1);
        assert!(story["externalMessageId"].is_string(), "the provider's id is learned from the webhook");
        let name = if kind == "sms-message" { "deliver_sms" } else { "deliver_whatsapp" };
        assert_eq!(app.job_of(&message, name).await.state, JobState::Done);
    }
    assert_eq!(app.simulator.accepted_count(), 2);
}

#[tokio::test]
async fn s24_hold_never_sends_again() {
    let app = TestApp::with("BELLHOP_DELIVERY__UNKNOWN_GRACE", "300ms").without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::AcceptReset).times(1));
    let message = lost(&app, "whatsapp-message").await;
    app.delivery_of(&message, "unknown").await;
    app.eventually("the end of the grace", async || {
        let job = app.job_of(&message, "deliver_whatsapp").await;
        job.grace_until.is_none().then_some(())
    })
    .await;
    let thread = message["threadId"].as_str().unwrap();
    let next = json!({ "body": "next", "type": "whatsapp-message" });
    let next = app.agent("anna").post_message(thread, next).await;
    app.delivery_of(&next, "sent").await;
    let job = app.job_of(&message, "deliver_whatsapp").await;
    assert_eq!((job.state, job.attempt), (JobState::Unknown, 1));
    assert_eq!((app.simulator.accepted_count(), app.simulator.duplicates().len()), (2, 0));
}

#[tokio::test]
async fn s24_resend_once_sends_a_second_time_and_never_a_third() {
    let setup = TestApp::with("BELLHOP_DELIVERY__UNKNOWN_GRACE", "300ms");
    let app = setup.with("BELLHOP_DELIVERY__UNKNOWN_POLICY", "resend_once").without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::AcceptReset).times(2));
    let message = lost(&app, "whatsapp-message").await;
    app.simulator.wait_for(|all| all.len() == 2, SOON).await.expect("it is sent again");
    app.eventually("the end of the second grace", async || {
        let job = app.job_of(&message, "deliver_whatsapp").await;
        (job.resends == 1 && job.state == JobState::Unknown && job.grace_until.is_none()).then_some(())
    })
    .await;
    let story = app.story(&message).await;
    assert_eq!(story["delivery"]["state"], "unknown");
    assert_eq!(story["attempts"].as_array().unwrap().len(), 2);
    let keys: Vec<Option<u32>> = app.simulator.accepted().iter().map(|sent| sent.attempt).collect();
    assert_eq!(keys, [Some(1), Some(2)], "one more than the attempts of unknown outcome, and no third");
    // A proof of the first attempt ends it even now.
    let first = app.simulator.accepted()[0].provider_id.clone();
    let order = StatusOrder { message: first, status: "delivered".into(), code: None, copies: None };
    app.simulator.send_status(&order).expect("a known message");
    app.delivery_of(&message, "delivered").await;
    app.eventually("the end of the job", async || {
        (app.job_of(&message, "deliver_whatsapp").await.state == JobState::Done).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_proof_within_the_grace_prevents_the_second_sending() {
    let setup = TestApp::with("BELLHOP_DELIVERY__UNKNOWN_GRACE", "2s");
    let app = setup.with("BELLHOP_DELIVERY__UNKNOWN_POLICY", "resend_once").without_search().await;
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::AcceptReset).times(1));
    let message = lost(&app, "whatsapp-message").await;
    app.delivery_of(&message, "delivered").await;
    app.settled().await;
    assert_eq!(
        (app.simulator.accepted_count(), app.job_of(&message, "deliver_whatsapp").await.resends),
        (1, 0)
    );
}

#[tokio::test]
async fn the_guest_platform_knows_a_repetition_so_that_doubt_is_simply_tried_again() {
    let app = TestApp::without_search().await;
    let thread = app.thread(json!({ "source": "hububb-guest" })).await;
    app.simulator.fault(FaultRule::on(Provider::Guest, Action::AcceptReset).times(2));
    let message = app.agent("anna").say(&thread, "hello").await;
    app.delivery_of(&message, "sent").await;
    let accepted = app.simulator.accepted();
    let duplicates: Vec<bool> = accepted.iter().map(|sent| sent.duplicate).collect();
    assert_eq!(duplicates, [false, true, true], "taken once, known as a repetition afterwards");
}
