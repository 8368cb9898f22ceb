//! Status webhooks: repeated, shuffled, early or late, they only ever tell the truth.

use serde_json::{Value, json};
use shared::domain::jobs::JobState;
use tests::app::webhooks::status;
use tests::app::{SOON, TestApp};
use tests::simulator::{Action, FaultRule, Provider, StatusOrder};

async fn posted(app: &TestApp) -> Value {
    let thread = app.whatsapp_thread("+41796660001").await;
    app.agent("anna").post_message(&thread, json!({ "body": "hello", "type": "whatsapp-message" })).await
}

fn without_statuses(app: &TestApp) {
    app.simulator.configure(|settings| settings.statuses.enabled = false);
}

/// Sends a status of the one accepted message and waits until it was worked through.
async fn tell(app: &TestApp, name: &str, code: Option<u32>) {
    let sent = app.simulator.wait_for(|all| !all.is_empty(), SOON).await.expect("it is sent");
    let known = app.simulator.webhooks().len();
    let order = StatusOrder { message: sent[0].provider_id.clone(), status: name.into(), code, copies: None };
    app.simulator.send_status(&order).expect("a known message");
    let done = app
        .simulator
        .wait_for_webhooks(|all| all.len() > known && all.iter().all(|w| w.answer.is_some()), SOON);
    done.await.expect("the webhook is answered");
    app.settled().await;
}

async fn state(app: &TestApp, message: &Value) -> Value {
    app.story(message).await["delivery"]["state"].clone()
}

#[tokio::test]
async fn s30_statuses_five_times_each_and_shuffled_end_in_the_highest() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| {
        (settings.statuses.read, settings.statuses.copies, settings.statuses.shuffle_seed) =
            (true, 5, Some(7));
    });
    let mut messages = Vec::new();
    for n in 0..6 {
        let thread = app.whatsapp_thread(&format!("+4179667{n:04}")).await;
        let body = json!({ "body": "hello", "type": "whatsapp-message" });
        messages.push(app.agent("anna").post_message(&thread, body).await);
    }
    let all_told = app.simulator.wait_for_webhooks(|all| all.len() >= 6 * 3 * 5, SOON);
    all_told.await.expect("all statuses are delivered");
    app.settled().await;
    for message in &messages {
        let story = app.story(message).await;
        assert_eq!(story["delivery"]["state"], "read");
        assert_eq!(story["attempts"].as_array().unwrap().len(), 1);
    }
    assert_eq!(app.simulator.accepted_count(), 6);
}

#[tokio::test]
async fn a_status_that_is_faster_than_the_answer_counts() {
    let app = TestApp::without_search().await;
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::Delay { ms: 600 }));
    let message = posted(&app).await;
    app.eventually("a delivery", async || (state(&app, &message).await == "delivered").then_some(())).await;
    let job = app.job_of(&message, "deliver_whatsapp").await;
    assert_eq!(job.state, JobState::Running, "our request is not answered yet");
    app.settled().await;
    let story = app.story(&message).await;
    assert_eq!(story["delivery"]["state"], "delivered", "the answer does not take it back");
    assert_eq!((&story["attempts"][0]["outcome"], app.simulator.accepted_count()), (&json!("ok"), 1));
}

#[tokio::test]
async fn within_an_attempt_a_status_never_goes_back() {
    let app = TestApp::without_search().await;
    without_statuses(&app);
    let message = posted(&app).await;
    app.delivery_of(&message, "sent").await;
    for (name, shown) in [("read", "read"), ("delivered", "read"), ("sent", "read"), ("failed", "read")] {
        tell(&app, name, (name == "failed").then_some(131_026)).await;
        assert_eq!(state(&app, &message).await, shown, "after {name}");
    }
}

#[tokio::test]
async fn a_failure_after_acceptance_shows_its_reason_and_kills_the_job() {
    let app = TestApp::without_search().await;
    app.expect_dead(1);
    without_statuses(&app);
    let message = posted(&app).await;
    app.delivery_of(&message, "sent").await;
    tell(&app, "failed", Some(131_026)).await;
    let story = app.story(&message).await;
    let delivery = &story["delivery"];
    assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("failed"), &json!("invalid_recipient")));
    assert_eq!(delivery["providerErrorCode"], "131026");
    assert_eq!(app.job_of(&message, "deliver_whatsapp").await.state, JobState::Dead);
    assert_eq!(story["attempts"][0]["outcome"], "dead");
}

#[tokio::test]
async fn a_late_proof_beats_a_failure_which_stays_in_the_timeline() {
    let app = TestApp::without_search().await;
    without_statuses(&app);
    let message = posted(&app).await;
    app.delivery_of(&message, "sent").await;
    tell(&app, "failed", Some(131_026)).await;
    assert_eq!(state(&app, &message).await, "failed");
    tell(&app, "delivered", None).await;
    let story = app.story(&message).await;
    assert_eq!(story["delivery"]["state"], "delivered");
    assert_eq!(story["attempts"][0]["providerErrorCode"], "131026", "the failure stays in the timeline");
    assert_eq!(app.job_of(&message, "deliver_whatsapp").await.state, JobState::Done);
}

#[tokio::test]
async fn a_failure_that_needs_a_template_parks_what_was_accepted() {
    let app = TestApp::without_search().await;
    without_statuses(&app);
    let message = posted(&app).await;
    app.delivery_of(&message, "sent").await;
    tell(&app, "failed", Some(131_047)).await;
    let story = app.story(&message).await;
    assert_eq!(
        (&story["delivery"]["state"], &story["delivery"]["reason"]),
        (&json!("parked"), &json!("needs_template"))
    );
    assert_eq!(app.job_of(&message, "deliver_whatsapp").await.state, JobState::Parked);
}

#[tokio::test]
async fn a_status_without_our_opaque_data_is_matched_by_the_providers_id() {
    let app = TestApp::without_search().await;
    without_statuses(&app);
    let message = posted(&app).await;
    app.delivery_of(&message, "sent").await;
    app.settled().await;
    let wamid = app.simulator.accepted()[0].provider_id.clone();
    app.whatsapp_statuses(&[status(&wamid, "delivered", None, None)]).expect(200).await;
    app.delivery_of(&message, "delivered").await;
    app.whatsapp_statuses(&[status(&wamid, "read", Some("no reference of ours"), None)]).expect(200).await;
    app.delivery_of(&message, "read").await;
}

#[tokio::test]
async fn every_status_of_a_batch_is_worked_through() {
    let app = TestApp::without_search().await;
    without_statuses(&app);
    let mut messages = Vec::new();
    for n in 0..3 {
        let thread = app.whatsapp_thread(&format!("+4179668{n:04}")).await;
        let body = json!({ "body": "hello", "type": "whatsapp-message" });
        messages.push(app.agent("anna").post_message(&thread, body).await);
    }
    app.simulator.wait_for(|all| all.len() == 3, SOON).await.expect("all are sent");
    for message in &messages {
        app.delivery_of(message, "sent").await;
    }
    let accepted = app.simulator.accepted();
    let mut batch: Vec<Value> = accepted
        .iter()
        .map(|sent| status(&sent.provider_id, "delivered", sent.key.as_deref(), None))
        .collect();
    batch.insert(1, json!({ "id": "wamid.broken" }));
    batch.insert(2, status("wamid.unknown", "delivered", None, None));
    app.whatsapp_statuses(&batch).expect(200).await;
    for message in &messages {
        app.delivery_of(message, "delivered").await;
    }
}

#[tokio::test]
async fn twilios_undelivered_fails_and_its_failure_of_a_handset_is_classified() {
    let app = TestApp::without_search().await;
    app.expect_dead(1);
    let thread = app.whatsapp_thread("+41796660009").await;
    app.simulator.fault(FaultRule::on(Provider::Twilio, Action::FailStatus { code: 30_005, status: None }));
    let sms = app.agent("anna").post_message(&thread, json!({ "body": "x", "type": "sms-message" })).await;
    let story = app.delivery_of(&sms, "failed").await;
    assert_eq!(story["delivery"]["providerErrorCode"], "30005");
    app.settled().await;
}
