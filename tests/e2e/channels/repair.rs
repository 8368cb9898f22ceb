//! Messages that wait for a channel go on by themselves when it is repaired.

use serde_json::json;
use shared::channels::ChannelBook;
use shared::domain::actor::Role;
use shared::domain::ids::AccountId;
use tests::app::TestApp;

use super::rig::{
    ACCOUNT_SID, FROM, NUMBER, PATH, post, sender_of, setup, sms, watch, whatsapp, whatsapp_as_it_is,
    whatsapp_with_token, without_defaults,
};

/// Posts a message and waits until it is parked for `reason`.
async fn parked(app: &TestApp, thread: &str, kind: &str, text: &str, reason: &str) {
    let posted = post(app, thread, kind, text).await;
    let story = app.delivery_of(&posted, "parked").await;
    assert_eq!(story["delivery"]["reason"], reason);
}

#[tokio::test]
async fn messages_parked_by_a_bad_token_go_out_after_the_fix_in_their_order() {
    let app = setup().without_search().await;
    watch(&app);
    app.must_not_be_logged("expired-token-canary");
    let (adam, one) = (app.admin("adam"), format!("{PATH}/w"));
    adam.put(&one, whatsapp_with_token("expired-token-canary")).expect(201).await;
    let thread = app.whatsapp_thread("+41790000001").await;
    let texts = ["first of three", "second of three", "third of three"];
    for text in texts {
        parked(&app, &thread, "whatsapp-message", text, "needs_operator").await;
    }
    assert!(app.simulator.accepted().is_empty());
    adam.put(&one, whatsapp()).expect(200).await;
    for text in texts {
        assert_eq!(sender_of(&app, text).await, NUMBER);
    }
    let sent: Vec<String> = app.simulator.accepted().iter().map(|sent| sent.body.clone()).collect();
    assert_eq!(sent, texts, "each once");
    assert!(app.simulator.duplicates().is_empty());
}

#[tokio::test]
async fn messages_of_an_account_without_a_channel_go_out_when_it_has_one() {
    let app = without_defaults().without_search().await;
    let (adam, thread) = (app.admin("adam"), app.whatsapp_thread("+41790000001").await);
    parked(&app, &thread, "whatsapp-message", "by whatsapp", "channel_disabled").await;
    parked(&app, &thread, "sms-message", "by sms", "channel_disabled").await;
    adam.put(&format!("{PATH}/w"), whatsapp()).expect(201).await;
    assert_eq!(sender_of(&app, "by whatsapp").await, NUMBER);
    adam.put(&format!("{PATH}/s"), sms()).expect(201).await;
    assert_eq!(sender_of(&app, "by sms").await, FROM);
}

#[tokio::test]
async fn a_channel_that_is_enabled_again_lets_its_messages_go() {
    let app = without_defaults().without_search().await;
    let (adam, one) = (app.admin("adam"), format!("{PATH}/w"));
    let mut off = whatsapp();
    off["enabled"] = json!(false);
    adam.put(&one, off).expect(201).await;
    let thread = app.whatsapp_thread("+41790000001").await;
    parked(&app, &thread, "whatsapp-message", "not yet", "channel_disabled").await;
    adam.put(&one, whatsapp_as_it_is()).expect(200).await;
    assert_eq!(sender_of(&app, "not yet").await, NUMBER);
}

#[tokio::test]
async fn a_change_that_repairs_nothing_and_one_of_another_kind_let_nothing_go() {
    let app = setup().without_search().await;
    let (adam, one) = (app.admin("adam"), format!("{PATH}/w"));
    adam.put(&one, whatsapp_with_token("expired")).expect(201).await;
    let thread = app.whatsapp_thread("+41790000001").await;
    let posted = post(&app, &thread, "whatsapp-message", "waits").await;
    app.delivery_of(&posted, "parked").await;
    let book = ChannelBook::open(app.config(), app.store());
    let line = book.whatsapp(&AccountId::parse("acme").unwrap()).await.unwrap().unwrap();
    book.flag(&line.owner, "needs_operator", Some("190")).await.unwrap();
    app.settled().await;
    let tried = app.delivery_of(&posted, "parked").await["attempts"].clone();
    let mut wish = whatsapp_as_it_is();
    wish["whatsapp"]["fallbackToSms"] = json!(true);
    adam.put(&one, wish).expect(200).await;
    adam.put(&format!("{PATH}/s"), sms()).expect(201).await;
    app.caller("globex", "adam", Role::Admin).put(&one, whatsapp()).expect(201).await;
    app.settled().await;
    let story = app.delivery_of(&posted, "parked").await;
    assert_eq!(story["attempts"], tried, "it was not tried again");
    let shown = adam.get(&format!("{PATH}/s")).expect(200).await;
    assert_eq!(shown["sms"]["accountSid"], ACCOUNT_SID);
}
