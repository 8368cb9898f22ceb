//! SMS in doubt: Twilio's own list tells whether it took them.

use serde_json::{Value, json};
use shared::domain::jobs::JobState;
use tests::app::TestApp;
use tests::simulator::{Action, FaultRule, Provider};

async fn post(app: &TestApp, thread: &str, text: &str) -> Value {
    app.agent("anna").post_message(thread, json!({ "body": text, "type": "sms-message" })).await
}

#[tokio::test]
async fn what_the_list_has_is_adopted_and_not_sent_again() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    app.simulator.fault(FaultRule::on(Provider::Twilio, Action::AcceptReset).times(1));
    let thread = app.whatsapp_thread("+41794470001").await;
    let message = post(&app, &thread, "hello").await;
    app.eventually("the end of the doubt", async || {
        (app.job_of(&message, "deliver_sms").await.state == JobState::Done).then_some(())
    })
    .await;
    let story = app.story(&message).await;
    assert_eq!(story["externalMessageId"], app.simulator.accepted()[0].provider_id.as_str());
    let state = story["delivery"]["state"].as_str();
    assert!(matches!(state, Some("sent" | "delivered")), "what the list says: {state:?}");
    assert_eq!(app.simulator.accepted_count(), 1);
}

#[tokio::test]
async fn what_the_list_has_not_is_sent_again_and_arrives_once() {
    let app = TestApp::without_search().await;
    app.simulator.fault(FaultRule::on(Provider::Twilio, Action::ResetBefore).times(1));
    let thread = app.whatsapp_thread("+41794470001").await;
    let message = post(&app, &thread, "hello").await;
    let story = app.delivery_of(&message, "delivered").await;
    assert_eq!(story["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(app.simulator.accepted_count(), 1);
}

#[tokio::test]
async fn the_same_text_sent_before_is_not_taken_for_it() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    let thread = app.whatsapp_thread("+41794470001").await;
    let first = post(&app, &thread, "hello").await;
    app.delivery_of(&first, "sent").await;
    app.simulator.fault(FaultRule::on(Provider::Twilio, Action::ResetBefore).times(1));
    let second = post(&app, &thread, "hello").await;
    let story = app.delivery_of(&second, "sent").await;
    assert_eq!(story["attempts"].as_array().unwrap().len(), 2, "the first one's id is taken");
    let accepted = app.simulator.accepted();
    assert_eq!(story["externalMessageId"], accepted[1].provider_id.as_str());
    assert_eq!(accepted.len(), 2);
}
