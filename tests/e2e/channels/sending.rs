//! By which number a message goes out, judged by the provider's record.

use serde_json::{Value, json};
use shared::domain::actor::Role;
use shared::domain::ids::{AccountId, ChannelId};
use tests::app::{Caller, TestApp};
use tests::servers::SmtpServer;
use tests::simulator::{DEV_GUEST_SECRET, DEV_PHONE_NUMBER_ID};

use super::rig::{
    FROM, NUMBER, PATH, guest, post, sender_of, setup, sms, watch, whatsapp, whatsapp_as_it_is,
};

/// A thread of another account whose guest has `phone`, and an agent of it.
async fn elsewhere(app: &TestApp, phone: &str) -> (Caller, String) {
    app.must_not_be_logged(phone.trim_start_matches('+'));
    let service = app.caller("globex", "setup", Role::Service);
    service.put("/chat/reservations/r", json!({ "guestPhone": phone })).expect(201).await;
    let made = service.post("/chat/threads", json!({ "reservationId": "r" })).expect(201).await;
    (app.caller("globex", "gabi", Role::Agent), made["threadId"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_agents_message_goes_out_by_the_accounts_own_number_and_token() {
    let app = setup().without_search().await;
    watch(&app);
    let adam = app.admin("adam");
    adam.put(&format!("{PATH}/w"), whatsapp()).expect(201).await;
    adam.put(&format!("{PATH}/s"), sms()).expect(201).await;
    let thread = app.whatsapp_thread("+41790000001").await;
    // The simulator takes a number's own token only.
    let by_whatsapp = post(&app, &thread, "whatsapp-message", "by whatsapp").await;
    let by_sms = post(&app, &thread, "sms-message", "by sms").await;
    assert_eq!(sender_of(&app, "by whatsapp").await, NUMBER);
    assert_eq!(sender_of(&app, "by sms").await, FROM);
    for message in [&by_whatsapp, &by_sms] {
        app.eventually("it is sent", async || {
            let state = app.story(message).await["delivery"]["state"].clone();
            ["sent", "delivered"].contains(&state.as_str()?).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn another_account_keeps_the_default() {
    let app = setup().without_search().await;
    app.admin("adam").put(&format!("{PATH}/w"), whatsapp()).expect(201).await;
    let (gabi, thread) = elsewhere(&app, "+41790000002").await;
    gabi.post_message(&thread, json!({ "body": "of globex", "type": "whatsapp-message" })).await;
    assert_eq!(sender_of(&app, "of globex").await, DEV_PHONE_NUMBER_ID);
}

#[tokio::test]
async fn of_several_the_first_enabled_one_is_used_and_without_one_the_default() {
    let app = setup().ingest_only().await;
    let adam = app.admin("adam");
    let mut second = whatsapp();
    second["whatsapp"]["phoneNumberId"] = json!("300000000000003");
    adam.put(&format!("{PATH}/b"), second).expect(201).await;
    adam.put(&format!("{PATH}/a"), whatsapp()).expect(201).await;
    let acme = account("acme");
    let book = shared::channels::ChannelBook::open(app.config(), app.store());
    let number = async |wanted: Option<&str>| {
        let line = book.whatsapp_of(&acme, wanted.map(channel_id).as_ref()).await.unwrap().unwrap();
        (line.channel.phone_number_id.clone(), line.owner.channel.as_ref().map(ToString::to_string))
    };
    assert_eq!(number(None).await, (NUMBER.to_owned(), Some("a".to_owned())));
    assert_eq!(number(Some("b")).await.0, "300000000000003");
    assert_eq!(number(Some("gone")).await.0, NUMBER);
    let mut off = whatsapp_as_it_is();
    off["enabled"] = json!(false);
    adam.put(&format!("{PATH}/a"), off).expect(200).await;
    book.forget();
    assert_eq!(number(None).await.0, "300000000000003");
    adam.call(reqwest::Method::DELETE, &format!("{PATH}/b")).expect(204).await;
    book.forget();
    assert_eq!(number(None).await, (DEV_PHONE_NUMBER_ID.to_owned(), None));
}

fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

fn channel_id(id: &str) -> ChannelId {
    ChannelId::parse(id).unwrap()
}

#[tokio::test]
async fn workers_that_have_used_the_default_find_the_new_number_soon() {
    let app = setup().without_search().await;
    let thread = app.whatsapp_thread("+41790000001").await;
    post(&app, &thread, "whatsapp-message", "before").await;
    assert_eq!(sender_of(&app, "before").await, DEV_PHONE_NUMBER_ID);
    app.admin("adam").put(&format!("{PATH}/w"), whatsapp()).expect(201).await;
    let mut n = 0;
    app.eventually("the new number", async || {
        n += 1;
        let text = format!("after-{n}-");
        post(&app, &thread, "whatsapp-message", &text).await;
        (sender_of(&app, &text).await == NUMBER).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_forward_is_signed_with_the_accounts_own_secret() {
    let app = setup().without_search().await;
    let (adam, one) = (app.admin("adam"), format!("{PATH}/g"));
    // The simulator's guest platform knows another secret: what is signed with this one it refuses.
    adam.put(&one, guest(&app.simulator.guest_url())).expect(201).await;
    let thread = app.thread(json!({ "source": "hububb-guest" })).await;
    let posted = app.agent("anna").say(&thread, "forward me").await;
    let story = app.delivery_of(&posted, "parked").await;
    assert_eq!(story["delivery"]["reason"], "needs_operator");
    assert!(app.simulator.accepted().is_empty());
    let mut right = guest(&app.simulator.guest_url());
    right["guest"]["secret"] = json!(DEV_GUEST_SECRET);
    adam.put(&one, right).expect(200).await;
    app.eventually("the forward", async || {
        app.simulator.accepted().iter().any(|sent| sent.body == "forward me").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_accounts_address_is_guarded_when_it_is_connected_to() {
    let mut app = setup().ingest_only().await;
    let mut body = whatsapp();
    // Stored while private addresses were allowed; the simulator listens at one.
    body["whatsapp"]["baseUrl"] = json!(app.simulator.whatsapp_base_url());
    app.admin("adam").put(&format!("{PATH}/w"), body).expect(201).await;
    app.start_workers_with(|config| config.net.allow_private = false);
    let thread = app.whatsapp_thread("+41790000001").await;
    let posted = post(&app, &thread, "whatsapp-message", "hello").await;
    let story = app.delivery_of(&posted, "parked").await;
    assert_eq!(story["delivery"]["reason"], "needs_operator");
    assert!(app.simulator.requests().is_empty(), "nothing was asked of a private address");
    // The default's address is the operator's own and is not guarded.
    let (gabi, thread) = elsewhere(&app, "+41790000002").await;
    gabi.post_message(&thread, json!({ "body": "of globex", "type": "whatsapp-message" })).await;
    assert_eq!(sender_of(&app, "of globex").await, DEV_PHONE_NUMBER_ID);
}

#[tokio::test]
async fn an_accounts_own_address_is_used_where_it_may_be() {
    let app = setup().without_search().await;
    let mut body = whatsapp();
    body["whatsapp"]["baseUrl"] = json!(app.simulator.whatsapp_base_url());
    app.admin("adam").put(&format!("{PATH}/w"), body).expect(201).await;
    let thread = app.whatsapp_thread("+41790000001").await;
    post(&app, &thread, "whatsapp-message", "by the own address").await;
    assert_eq!(sender_of(&app, "by the own address").await, NUMBER);
}

#[tokio::test]
async fn mails_come_from_the_accounts_own_sender() {
    let smtp = SmtpServer::start();
    let app = crate::mail::rig::setup(&smtp).without_search().await;
    crate::mail::rig::people(&app).await;
    let sender: Value = json!({ "kind": "email", "email": {
        "from": "Acme Desk <desk@acme-own.example>", "replyTo": "answers@acme-own.example",
    } });
    app.admin("adam").put(&format!("{PATH}/mail"), sender).expect(201).await;
    let room = crate::mail::rig::room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "hello").await;
    let mail = crate::mail::rig::mails(&app, &smtp, 1).await.remove(0);
    assert_eq!(mail.header("from"), "Acme Desk <desk@acme-own.example>");
    assert_eq!(mail.header("reply-to"), "answers@acme-own.example");
    assert_eq!(mail.from, "support@acme.example", "the envelope is the installation's");
}
