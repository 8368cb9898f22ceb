//! A provider takes its acceptance back for a while: the message goes out again later, unless a proof comes first.

use serde_json::{Value, json};
use shared::domain::jobs::JobState;
use tests::app::{SOON, TestApp};
use tests::simulator::{Action, FaultRule, Provider, StatusOrder};

/// An SMS whose handset was off: refused with 30003 after it was accepted.
async fn put_off(app: &TestApp) -> Value {
    let off = Action::FailStatus { code: 30_003, status: None };
    app.simulator.fault(FaultRule::on(Provider::Twilio, off).times(1));
    let thread = app.whatsapp_thread("+41796670077").await;
    let message =
        app.agent("anna").post_message(&thread, json!({ "body": "hello", "type": "sms-message" })).await;
    app.eventually("the refusal", async || {
        let job = app.job_of(&message, "deliver_sms").await;
        (job.state == JobState::Queued && job.attempt == 1).then_some(())
    })
    .await;
    app.eventually("the message", async || {
        (app.story(&message).await["delivery"]["state"] == "queued").then_some(())
    })
    .await;
    message
}

/// Sends a status of the accepted SMS and waits until it was worked through.
async fn tell(app: &TestApp, status: &str, code: Option<u32>) {
    let sent = app.simulator.accepted()[0].clone();
    let known = app.simulator.webhooks().len();
    let order =
        StatusOrder { message: sent.provider_id.clone(), status: status.to_owned(), code, copies: None };
    app.simulator.send_status(&order).expect("a known message");
    app.simulator.wait_for_webhooks(|all| all.len() > known, SOON).await.expect("the webhook is answered");
    app.eventually("the event", async || {
        let left = app.jobs_where(mongodb::bson::doc! { "name": "process_event" }).await;
        left.iter().all(|job| job.state != JobState::Queued && job.state != JobState::Running).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refusal_that_passes_waits_its_time_and_shows_it() {
    let app = TestApp::without_search().await;
    let message = put_off(&app).await;
    let job = app.job_of(&message, "deliver_sms").await;
    let wait = (job.due_at.timestamp_millis() - chrono::Utc::now().timestamp_millis()) / 60_000;
    assert!((28..=33).contains(&wait), "half an hour, not {wait} minutes");
    assert_eq!((job.attempt_count, job.open, job.error_class.as_deref()), (1, Some(true), Some("retry")));
    let story = app.story(&message).await;
    assert_eq!(story["delivery"]["providerErrorCode"], "30003");
    let attempts = story["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((&attempts[0]["outcome"], attempts[0]["nextAttemptAt"].is_string()), (&json!("retry"), true));
}

#[tokio::test]
async fn the_same_refusal_again_and_what_came_before_it_change_nothing() {
    let app = TestApp::without_search().await;
    let message = put_off(&app).await;
    let before = app.job_of(&message, "deliver_sms").await;
    for (status, code) in [("undelivered", Some(30_003)), ("sent", None), ("queued", None)] {
        tell(&app, status, code).await;
        assert_eq!(app.job_of(&message, "deliver_sms").await, before, "{status}");
        assert_eq!(app.story(&message).await["delivery"]["state"], "queued", "{status}");
    }
}

#[tokio::test]
async fn a_proof_of_delivery_ends_the_wait_and_nothing_is_sent_again() {
    let app = TestApp::without_search().await;
    let message = put_off(&app).await;
    tell(&app, "delivered", None).await;
    app.delivery_of(&message, "delivered").await;
    assert_eq!(app.job_of(&message, "deliver_sms").await.state, JobState::Done);
    tell(&app, "undelivered", Some(30_003)).await;
    assert_eq!(app.job_of(&message, "deliver_sms").await.state, JobState::Done, "a proof is final");
    assert_eq!(app.simulator.accepted_count(), 1);
}

#[tokio::test]
async fn it_is_sent_again_when_its_time_has_come() {
    let folder = std::env::temp_dir().join(format!("double-{}", ulid::Ulid::new()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("classes.toml");
    let soon = "version = 1\n[[rule]]\nproviders = [\"twilio\"]\ncodes = [30003]\nclass = \"retry\"\n\
        delays = [\"200ms\"]\nattempts_max = 4\nreason = \"invalid_recipient\"\nscope = \"pair\"\ntext = \"Off.\"\n";
    std::fs::write(&path, soon).unwrap();
    let setting = path.display().to_string();
    let app = TestApp::with("BELLHOP_DELIVERY__ERROR_CLASSES", setting).without_search().await;
    let off = |times| {
        FaultRule::on(Provider::Twilio, Action::FailStatus { code: 30_003, status: None }).times(times)
    };
    app.simulator.fault(off(2).body_contains("twice"));
    app.simulator.fault(off(9).body_contains("always"));
    app.expect_dead(1);
    let (twice, always) = (posted(&app, 1, "twice").await, posted(&app, 2, "always").await);
    let story = app.delivery_of(&twice, "delivered").await;
    assert_eq!(story["attempts"].as_array().unwrap().len(), 3);
    let story = app.delivery_of(&always, "failed").await;
    assert_eq!(story["delivery"]["reason"], "invalid_recipient");
    assert_eq!(story["attempts"].as_array().unwrap().len(), 4, "three more after the first");
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn posted(app: &TestApp, n: usize, body: &str) -> Value {
    let thread = app.whatsapp_thread(&format!("+4179667008{n}")).await;
    app.agent("anna").post_message(&thread, json!({ "body": body, "type": "sms-message" })).await
}
