//! Who would get a message, by which number, and why not.

use serde_json::json;
use shared::domain::Time;
use shared::domain::actor::Role;
use shared::domain::contact::{OptOut, SHARED};
use shared::domain::ids::AccountId;
use shared::store::Sighting;
use tests::app::TestApp;

fn path(thread: &str, kind: &str) -> String {
    format!("/chat/threads/{thread}/send-preview?type={kind}")
}

#[tokio::test]
async fn a_phone_message_shows_both_numbers_and_the_window() {
    let app = TestApp::ingest_only().await;
    let thread = app.whatsapp_thread("+41794490001").await;
    let anna = app.agent("anna");
    let shown = anna.get(&path(&thread, "whatsapp-message")).expect(200).await;
    let from = app.config().whatsapp.as_ref().unwrap().phone_number_id.clone();
    let wanted = json!({
        "channel": "whatsapp", "wouldSend": true, "to": "+41794490001", "from": from, "windowOpen": true,
    });
    assert_eq!(shown.body, wanted);
    let shown = anna.get(&path(&thread, "sms-message")).expect(200).await;
    assert_eq!((&shown["channel"], &shown["wouldSend"]), (&json!("sms"), &json!(true)));
}

#[tokio::test]
async fn what_would_not_be_sent_says_why() {
    let app = TestApp::ingest_only().await;
    let anna = app.agent("anna");
    let nobody = app.thread(json!({})).await;
    let shown = anna.get(&path(&nobody, "whatsapp-message")).expect(200).await;
    assert_eq!((&shown["wouldSend"], &shown["reason"]), (&json!(false), &json!("no_recipient")));
    let line = format!("whatsapp:{}", app.config().whatsapp.as_ref().unwrap().phone_number_id);
    let who = Sighting { phone: Some("+41794490002"), ..Sighting::default() };
    let shared = AccountId::parse(SHARED).unwrap();
    let before = Time::from_millis(Time::now().timestamp_millis() - 25 * 3600 * 1000);
    let contact = app.store().meet_contact(&shared, &line, who, Some(before), Time::now()).await.unwrap();
    let thread = app.whatsapp_thread("+41794490002").await;
    let shown = anna.get(&path(&thread, "whatsapp-message")).expect(200).await;
    assert_eq!((&shown["windowOpen"], &shown["reason"]), (&json!(false), &json!("needs_template")));
    assert!(shown["windowExpiresAt"].is_string());
    let opt_out = OptOut { at: Time::now(), by: "STOP".to_owned(), marketing_only: false };
    app.store().set_opt_out(&contact.id, Some(&opt_out)).await.unwrap();
    let shown = anna.get(&path(&thread, "whatsapp-message")).expect(200).await;
    assert_eq!(shown["reason"], "opted_out");
}

#[tokio::test]
async fn a_message_that_leaves_by_no_channel_goes_nowhere_and_a_forward_has_no_phone() {
    let app = TestApp::ingest_only().await;
    let anna = app.agent("anna");
    let thread = app.whatsapp_thread("+41794490003").await;
    for kind in ["message", "note"] {
        let shown = anna.get(&path(&thread, kind)).expect(200).await;
        assert_eq!(shown.body, json!({ "wouldSend": false, "windowOpen": true }));
    }
    let forwarded = app.thread(json!({ "source": "hububb-guest" })).await;
    let shown = anna.get(&path(&forwarded, "message")).expect(200).await;
    assert_eq!(shown.body, json!({ "channel": "guest", "wouldSend": true, "windowOpen": true }));
}

#[tokio::test]
async fn only_staff_of_the_account_may_ask() {
    let app = TestApp::ingest_only().await;
    let thread = app.whatsapp_thread("+41794490004").await;
    app.guest("guest").get(&path(&thread, "message")).refused(403, "forbidden").await;
    app.caller("globex", "eve", Role::Agent).get(&path(&thread, "message")).refused(404, "not_found").await;
    app.agent("anna").get(&path(&thread, "pigeon")).refused(400, "invalid_request").await;
}
