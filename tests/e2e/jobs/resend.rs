//! Sending again by hand, and what is parked for too long.

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::actor::Role;
use shared::domain::jobs::JobState;
use tests::app::TestApp;
use tests::simulator::{Action, Answer, FaultRule, Provider};

const PHONE: &str = "+41794460001";

async fn post(app: &TestApp, text: &str) -> Value {
    let thread = app.whatsapp_thread(PHONE).await;
    app.agent("anna").post_message(&thread, json!({ "body": text, "type": "whatsapp-message" })).await
}

fn path(message: &Value) -> String {
    let [thread, id] = ["threadId", "messageId"].map(|field| message[field].as_str().unwrap());
    format!("/chat/threads/{thread}/messages/{id}/resend")
}

#[tokio::test]
async fn what_failed_is_sent_again_and_the_story_tells_by_whom() {
    let app = TestApp::without_search().await;
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::Answer(Answer::code(131_026))).times(1));
    let message = post(&app, "hello").await;
    app.delivery_of(&message, "failed").await;
    let again = app.agent("ben").call(Method::POST, &path(&message)).expect(202).await;
    assert_eq!(again["messageId"], message["messageId"]);
    assert_ne!(again["delivery"]["state"], "failed");
    let story = app.delivery_of(&message, "delivered").await;
    let by: Vec<&Value> = story["attempts"].as_array().unwrap().iter().map(|a| &a["replayedBy"]).collect();
    assert_eq!(by, [&Value::Null, &json!("ben")]);
    assert_eq!(app.simulator.accepted_count(), 1);
    let rows = app.audit_rows("message.resend", message["messageId"].as_str().unwrap()).await;
    assert_eq!(rows.len(), 1);
    app.agent("ben").call(Method::POST, &path(&message)).refused(409, "not_resendable").await;
}

#[tokio::test]
async fn what_is_in_doubt_is_sent_again_when_a_person_says_so() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::AcceptReset).times(1));
    let message = post(&app, "hello").await;
    app.delivery_of(&message, "unknown").await;
    app.agent("anna").call(Method::POST, &path(&message)).expect(202).await;
    app.delivery_of(&message, "sent").await;
    assert_eq!(app.simulator.accepted_count(), 2, "it was taken before, as may happen");
}

#[tokio::test]
async fn a_repeated_request_sends_once() {
    let app = TestApp::without_search().await;
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::Answer(Answer::code(131_026))).times(2));
    let message = post(&app, "hello").await;
    app.delivery_of(&message, "failed").await;
    let anna = app.agent("anna");
    let ask = || anna.call(Method::POST, &path(&message)).header("Idempotency-Key", "k1");
    assert!(!ask().expect(202).await.is_replay());
    app.eventually("the second failure", async || {
        let story = app.story(&message).await;
        let failed = story["delivery"]["state"] == "failed";
        (failed && story["attempts"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    assert!(ask().expect(202).await.is_replay());
    app.settled().await;
    assert_eq!(app.simulator.accepted_count(), 0);
    app.expect_dead(1);
}

#[tokio::test]
async fn only_staff_of_the_thread_may_and_only_what_is_there() {
    let app = TestApp::ingest_only().await;
    let message = post(&app, "hello").await;
    app.agent("anna").call(Method::POST, &path(&message)).refused(409, "not_resendable").await;
    app.guest("guest").call(Method::POST, &path(&message)).refused(403, "forbidden").await;
    app.caller("globex", "eve", Role::Agent)
        .call(Method::POST, &path(&message))
        .refused(404, "not_found")
        .await;
    let strange = path(&json!({ "threadId": message["threadId"], "messageId": "strange" }));
    app.agent("anna").call(Method::POST, &strange).refused(404, "not_found").await;
    let elsewhere = app.thread(json!({})).await;
    let elsewhere = path(&json!({ "threadId": elsewhere, "messageId": message["messageId"] }));
    app.agent("anna").call(Method::POST, &elsewhere).refused(404, "not_found").await;
}

#[tokio::test]
async fn what_is_parked_for_too_long_has_expired() {
    let app = TestApp::with("BELLHOP_DELIVERY__PARKED_MAX", "1s").without_search().await;
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::Answer(Answer::code(131_047))).times(1));
    let message = post(&app, "hello").await;
    let story = app.delivery_of(&message, "failed").await;
    assert_eq!(story["delivery"]["reason"], "expired");
    assert_eq!(app.job_of(&message, "deliver_whatsapp").await.state, JobState::Dead);
    let thread = message["threadId"].as_str().unwrap();
    let next = json!({ "body": "next", "type": "whatsapp-message" });
    let next = app.agent("anna").post_message(thread, next).await;
    app.delivery_of(&next, "delivered").await;
    app.expect_dead(1);
}
