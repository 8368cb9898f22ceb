//! A flagged channel is told to the admins of its account: job `notify_flagged_channel`.

use shared::channels::ChannelBook;
use shared::domain::actor::Role;
use shared::domain::ids::AccountId;
use shared::domain::jobs::{JobState, NOTIFY_FLAGGED_CHANNEL};
use tests::app::TestApp;
use tests::servers::SmtpServer;

use crate::channels::rig::{KEY, NUMBER, PATH, SECRETS, watch, whatsapp};
use crate::mail::rig::{address, endings, jobs, mails, person, setup};

/// An app with a mail server, a key, two admins and a channel.
async fn flaggable(smtp: &SmtpServer) -> TestApp {
    let app = setup(smtp).with("BELLHOP_SECRETS_KEY", KEY).ingest_only().await;
    watch(&app);
    person(&app, "anna", "Anna Agent", "agent").await;
    person(&app, "boss", "Bea Boss", "admin").await;
    person(&app, "chief", "Cleo Chief", "admin").await;
    app.admin("adam").put(&format!("{PATH}/main"), whatsapp()).expect(201).await;
    app
}

async fn flag(app: &TestApp) {
    let book = ChannelBook::open(app.config(), app.store());
    let line = book.whatsapp(&AccountId::parse("acme").unwrap()).await.unwrap().unwrap();
    book.flag(&line.owner, "needs_operator", Some("190")).await.unwrap();
}

#[tokio::test]
async fn each_admin_gets_one_mail_for_a_flag_without_number_or_secret() {
    let smtp = SmtpServer::start();
    let mut app = flaggable(&smtp).await;
    flag(&app).await;
    flag(&app).await;
    app.start_workers();
    let mails = mails(&app, &smtp, 2).await;
    assert_eq!(smtp.recipients(), [address("boss"), address("chief")]);
    for mail in &mails {
        assert_eq!(mail.header("subject"), "The channel main needs new credentials");
        assert!(mail.plain.contains("code 190") && mail.plain.contains("PUT /chat/channels/main"));
        assert!(mail.header("list-unsubscribe").contains("/email/unsubscribe?token="));
        for hidden in SECRETS.iter().chain(&[NUMBER]) {
            assert!(!format!("{mail:?}").contains(hidden), "{hidden}");
        }
    }
    let done = jobs(&app, NOTIFY_FLAGGED_CHANNEL.name).await;
    assert!(done.iter().all(|job| job.state == JobState::Done && job.channel.is_some()), "{done:?}");
}

#[tokio::test]
async fn what_is_repaired_before_the_mail_and_who_wants_none_need_no_mail() {
    let smtp = SmtpServer::start();
    let mut app = flaggable(&smtp).await;
    flag(&app).await;
    app.admin("adam").put(&format!("{PATH}/main"), whatsapp()).expect(200).await;
    flag(&app).await;
    let (acme, boss) = (AccountId::parse("acme").unwrap(), shared::domain::ids::Uid::parse("boss").unwrap());
    let wish = shared::mail::OptOutId::of(&acme, &boss);
    app.store().opt_out(&wish, shared::domain::Time::now()).await.unwrap();
    app.start_workers();
    mails(&app, &smtp, 1).await;
    assert_eq!(smtp.recipients(), [address("chief")]);
    let ended = endings(&app, NOTIFY_FLAGGED_CHANNEL.name).await;
    assert_eq!(ended, ["done", "opted_out", "repaired", "repaired"]);
}

#[tokio::test]
async fn a_mail_server_that_is_away_for_a_while_delays_the_mail() {
    let mut smtp = SmtpServer::stopped();
    let mut app = flaggable(&smtp).await;
    flag(&app).await;
    app.start_workers();
    app.eventually("a failed try", async || {
        jobs(&app, NOTIFY_FLAGGED_CHANNEL.name).await.iter().any(|job| !job.attempts.is_empty()).then_some(())
    })
    .await;
    smtp.up();
    mails(&app, &smtp, 2).await;
}

#[tokio::test]
async fn without_a_mail_server_and_for_a_channel_that_is_gone_nobody_is_told() {
    let app = TestApp::with("BELLHOP_SECRETS_KEY", KEY).without_search().await;
    person(&app, "boss", "Bea Boss", "admin").await;
    app.admin("adam").put(&format!("{PATH}/main"), whatsapp()).expect(201).await;
    flag(&app).await;
    assert!(jobs(&app, NOTIFY_FLAGGED_CHANNEL.name).await.is_empty());
    let smtp = SmtpServer::start();
    let mut app = flaggable(&smtp).await;
    flag(&app).await;
    app.admin("adam").call(reqwest::Method::DELETE, &format!("{PATH}/main")).expect(204).await;
    // Another account's admin hears nothing of it, whatever its channels are called.
    let spy = serde_json::json!({ "name": "Spy", "email": "spy@mail.example", "role": "admin" });
    app.caller("globex", "ota", Role::Service).put("/chat/users/spy", spy).expect(201).await;
    app.start_workers();
    app.settled().await;
    assert_eq!(endings(&app, NOTIFY_FLAGGED_CHANNEL.name).await, ["repaired", "repaired"]);
    assert!(smtp.mails().is_empty());
}
