//! Finding lines: by what came in, over all accounts; from what was read a moment ago; and while MongoDB is away.

use std::time::Duration;

use serde_json::{Value, json};
use shared::channels::ChannelBook;
use shared::domain::actor::Role;
use shared::domain::ids::AccountId;
use tests::app::TestApp;
use tests::chaos::FaultProxy;
use tests::simulator::{DEV_ACCOUNT_SID, DEV_PHONE_NUMBER_ID, DEV_VERIFY_TOKEN};

use super::rig::{
    ACCOUNT_SID, APP_SECRET, FROM, GUEST_SECRET, NUMBER, PATH, VERIFY_TOKEN, guest, setup, sms, whatsapp,
    whatsapp_as_it_is,
};

const HOUR: Duration = Duration::from_secs(3600);

fn book(app: &TestApp) -> ChannelBook {
    ChannelBook::open(app.config(), app.store())
}

async fn put(app: &TestApp, account: &str, id: &str, body: Value) {
    let admin = app.caller(account, "adam", Role::Admin);
    admin.put(&format!("{PATH}/{id}"), body).expect(201).await;
}

#[tokio::test]
async fn two_accounts_may_share_a_number_with_secrets_of_their_own() {
    let app = setup().ingest_only().await;
    put(&app, "acme", "w", whatsapp()).await;
    let mut other = whatsapp();
    other["whatsapp"]["appSecret"] = json!("another-app-secret");
    put(&app, "globex", "w", other).await;
    let book = book(&app);
    let lines = book.whatsapp_by_number(NUMBER).await.unwrap();
    let found: Vec<(String, String)> = lines
        .iter()
        .map(|line| {
            let account = line.owner.account.as_ref().unwrap().to_string();
            (account, line.app_secret.as_ref().unwrap().expose().to_owned())
        })
        .collect();
    let wanted = [("acme", APP_SECRET), ("globex", "another-app-secret")];
    assert_eq!(found, wanted.map(|(account, secret)| (account.to_owned(), secret.to_owned())));
    let default = book.whatsapp_by_number(DEV_PHONE_NUMBER_ID).await.unwrap();
    assert_eq!((default.len(), &default[0].owner.account), (1, &None));
    assert!(book.whatsapp_by_number("unknown").await.unwrap().is_empty());
}

#[tokio::test]
async fn the_default_number_may_be_an_accounts_own_too() {
    let app = setup().ingest_only().await;
    let mut same = whatsapp();
    same["whatsapp"]["phoneNumberId"] = json!(DEV_PHONE_NUMBER_ID);
    put(&app, "acme", "w", same).await;
    let lines = book(&app).whatsapp_by_number(DEV_PHONE_NUMBER_ID).await.unwrap();
    let owners: Vec<bool> = lines.iter().map(|line| line.owner.account.is_none()).collect();
    assert_eq!(owners, [true, false]);
}

#[tokio::test]
async fn sms_lines_are_found_by_sender_and_by_account_and_guest_platforms_all() {
    let app = setup().ingest_only().await;
    put(&app, "acme", "s", sms()).await;
    let mut second = sms();
    second["sms"]["from"] = json!("+15005550149");
    put(&app, "acme", "s2", second).await;
    put(&app, "globex", "g", guest("https://guests.example/hook")).await;
    let book = book(&app);
    assert_eq!(book.sms_by_sender(ACCOUNT_SID, FROM).await.unwrap().len(), 1);
    assert_eq!(book.sms_by_account(ACCOUNT_SID).await.unwrap().len(), 2);
    assert_eq!(book.sms_by_account(DEV_ACCOUNT_SID).await.unwrap().len(), 1);
    assert!(book.sms_by_sender(DEV_ACCOUNT_SID, FROM).await.unwrap().is_empty(), "not under another account");
    let guests = book.guests().await.unwrap();
    assert_eq!(guests.len(), 2, "the default and globex's");
    assert!(guests.iter().any(|line| line.channel.secret.expose() == GUEST_SECRET));
}

#[tokio::test]
async fn every_numbers_verify_token_answers_the_subscription_check() {
    let app = setup().ingest_only().await;
    put(&app, "acme", "w", whatsapp()).await;
    for (token, status) in [(VERIFY_TOKEN, 200), (DEV_VERIFY_TOKEN, 200), ("guess", 403), ("", 403)] {
        let query = format!("hub.mode=subscribe&hub.challenge=42&hub.verify_token={token}");
        let reply = app.nobody().get(&format!("/webhooks/whatsapp?{query}")).expect(status).await;
        assert_eq!(reply.text == "42", status == 200, "{token}");
    }
    let mut off = whatsapp_as_it_is();
    off["enabled"] = json!(false);
    app.admin("adam").put(&format!("{PATH}/w"), off).expect(200).await;
    assert!(!book(&app).knows_verify_token(VERIFY_TOKEN).await.unwrap(), "a disabled channel is not asked");
}

#[tokio::test]
async fn what_was_read_a_moment_ago_answers_while_mongodb_is_away() {
    let app = setup().ingest_only().await;
    put(&app, "acme", "w", whatsapp()).await;
    let proxy = FaultProxy::start(app.mongodb_address()).await.unwrap();
    let mut config = app.config().clone();
    config.mongodb.uri = shared::config::Secret::new(tests::servers::mongodb::uri(proxy.address(), false));
    let store = shared::store::Store::connect(&config.mongodb).await.unwrap();
    let book = ChannelBook::open_keeping(&config, &store, HOUR);
    let (acme, globex) = (AccountId::parse("acme").unwrap(), AccountId::parse("globex").unwrap());
    let number = async |account: &AccountId| {
        let line = book.whatsapp(account).await;
        line.map(|line| line.unwrap().channel.phone_number_id.clone())
    };
    assert_eq!(number(&acme).await.unwrap(), NUMBER);
    assert_eq!(book.whatsapp_by_number(NUMBER).await.unwrap().len(), 1);
    proxy.refuse();
    proxy.reset();
    assert_eq!(number(&acme).await.unwrap(), NUMBER, "fresh");
    assert_eq!(book.whatsapp_by_number(NUMBER).await.unwrap().len(), 1, "fresh");
    assert!(number(&globex).await.unwrap_err().is_away(), "not the default: it may have its own");
    book.forget();
    assert!(number(&acme).await.unwrap_err().is_away());
    proxy.heal();
    app.eventually("MongoDB is back", async || (number(&acme).await.ok()? == NUMBER).then_some(())).await;
}

#[tokio::test]
async fn the_process_that_changes_a_channel_knows_it_at_once() {
    let app = setup().ingest_only().await;
    let book = ChannelBook::open_keeping(app.config(), app.store(), HOUR);
    let acme = AccountId::parse("acme").unwrap();
    let own = async || book.whatsapp(&acme).await.unwrap().unwrap().owner.account.is_some();
    assert!(!own().await);
    put(&app, "acme", "w", whatsapp()).await;
    assert!(!own().await, "another process does not know it yet");
    book.forget();
    assert!(own().await);
}
