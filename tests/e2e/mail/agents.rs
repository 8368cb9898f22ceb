//! A customer's unread message reaches those who answer for the room, once, and nobody else.

use std::time::Duration;

use serde_json::json;
use shared::domain::actor::Role;
use shared::domain::ids::{AccountId, Uid};
use shared::presence::RedisPresence;
use tests::app::TestApp;
use tests::servers::SmtpServer;

use super::rig::{address, endings, jobs, mails, people, person, read, room, setup};

#[tokio::test]
async fn each_assigned_agent_gets_one_digest_of_what_is_unread() {
    let smtp = SmtpServer::start();
    let mut app = setup(&smtp).ingest_only().await;
    people(&app).await;
    let room = room(&app, &["anna", "ben"]).await;
    let texts = ["first-canary-1", "second-canary-2", "third-canary-3", "fourth-canary-4", "fifth-canary-5"];
    for text in texts {
        app.must_not_be_logged(text);
        app.guest("carla").say(&room, text).await;
    }
    app.start_workers();
    let mails = mails(&app, &smtp, 2).await;
    assert_eq!(smtp.recipients(), [address("anna"), address("ben")]);
    for mail in &mails {
        for text in texts {
            assert!(mail.plain.contains(text) && mail.html.contains(text), "{text}: {mail:#?}");
        }
        assert_eq!(mail.header("subject"), "5 new messages from Carla Customer – Boiler");
        assert_eq!((mail.from.as_str(), mail.header("from")), ("support@acme.example", super::rig::SENDER));
        assert_eq!(mail.header("auto-submitted"), "auto-generated");
        assert_eq!(mail.header("references"), mails[0].header("references"), "one conversation");
        assert!(mail.plain.contains("Carla Customer, 20"), "{}", mail.plain);
    }
    assert_ne!(mails[0].header("message-id"), mails[1].header("message-id"));
    let mut wanted = vec!["covered"; 8];
    wanted.extend(["done"; 2]);
    assert_eq!(endings(&app, "notify_agent").await, wanted, "each message has its jobs, one of them mails");
}

#[tokio::test]
async fn a_job_waits_for_the_delay() {
    let smtp = SmtpServer::start();
    let app = setup(&smtp).with("BELLHOP_EMAIL__DELAY", "1h").without_search().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    let message = app.guest("carla").say(&room, "hello").await;
    let job = app.job_of(&message, "notify_agents").await;
    assert_eq!(job.due_at.timestamp_millis() - job.created_at.timestamp_millis(), 3_600_000);
    app.wake(&job).await;
    let story = app.story(&message).await;
    assert_eq!(story["attempts"].as_array().map(Vec::len), Some(0), "a mail about it does not deliver it");
    assert_eq!(
        app.job_of(&message, "notify_agents").await.attempt,
        0,
        "a wake-up ahead of time does nothing"
    );
}

#[tokio::test]
async fn who_has_read_it_or_is_online_gets_none() {
    let smtp = SmtpServer::start();
    let mut app = setup(&smtp).ingest_only().await;
    people(&app).await;
    let room = room(&app, &["anna", "ben", "boss"]).await;
    app.guest("carla").say(&room, "hello").await;
    read(&app.agent("anna"), &room).await;
    let redis = &app.config().redis;
    let presence = RedisPresence::new(redis.url.expose(), &redis.prefix).unwrap();
    let ben = [(AccountId::parse("acme").unwrap(), Uid::parse("ben").unwrap())];
    presence.keep_online(&ben, Duration::from_secs(60)).await.unwrap();
    app.start_workers();
    mails(&app, &smtp, 1).await;
    assert_eq!(smtp.recipients(), [address("boss")]);
    assert_eq!(endings(&app, "notify_agent").await, ["done", "online"], "who has read it needs no job");
    presence.forget(&ben).await.unwrap();
    app.guest("carla").say(&room, "hello again").await;
    let mails = mails(&app, &smtp, 4).await;
    let to_ben = mails.iter().find(|mail| mail.to == [address("ben")]).unwrap();
    assert_eq!(
        to_ben.header("subject"),
        "2 new messages from Carla Customer – Boiler",
        "nothing is left out"
    );
}

#[tokio::test]
async fn a_room_of_nobody_is_told_to_the_admins_of_its_account() {
    let smtp = SmtpServer::start();
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    person(&app, "chief", "Chief", "admin").await;
    let spy = json!({ "name": "Spy", "email": "spy@mail.example", "role": "admin" });
    app.caller("globex", "ota", Role::Service).put("/chat/users/spy", spy).expect(201).await;
    let without = json!({ "name": "No Address", "role": "admin" });
    app.service("ota").put("/chat/users/silent", without).expect(201).await;
    let room = room(&app, &[]).await;
    app.guest("carla").say(&room, "hello").await;
    mails(&app, &smtp, 2).await;
    assert_eq!(smtp.recipients(), [address("boss"), address("chief")]);
}

#[tokio::test]
async fn notes_and_what_staff_wrote_never_stand_in_a_mail() {
    let smtp = SmtpServer::start();
    let mut app = setup(&smtp).ingest_only().await;
    people(&app).await;
    let room = room(&app, &["anna", "ben"]).await;
    app.guest("carla").say(&room, "my boiler is cold").await;
    let note = json!({ "body": "note-canary-81", "type": "note" });
    let note = app.agent("anna").post_message(&room, note).await;
    app.guest("carla").say(&room, "very cold").await;
    assert!(app.jobs_of(&note, "notify_agents").await.is_empty());
    assert!(app.jobs_of(&note, "notify_customer").await.is_empty());
    app.start_workers();
    let mails = mails(&app, &smtp, 2).await;
    for mail in mails {
        assert!(!format!("{mail:?}").contains("note-canary"), "{mail:#?}");
        assert!(mail.plain.contains("very cold"));
        let earlier = mail.plain.contains("my boiler is cold");
        assert_eq!(earlier, mail.to == [address("ben")], "anna had read it when she wrote the note");
    }
}

#[tokio::test]
async fn a_room_that_went_to_others_meanwhile_is_not_told_to_those_before() {
    let mut smtp = SmtpServer::stopped();
    let mut app = setup(&smtp).without_search().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "hello").await;
    super::rig::job_that(&app, "notify_agent", |job| job.attempt_count > 0).await;
    app.stop_workers().await;
    let to_ben = json!({ "assignedAgentIds": ["ben"] });
    app.admin("boss").patch(&format!("/chat/threads/{room}"), to_ben).expect(200).await;
    smtp.up();
    app.start_workers();
    app.settled().await;
    assert_eq!(endings(&app, "notify_agent").await, ["not_assigned"]);
    assert!(smtp.mails().is_empty());
    app.guest("carla").say(&room, "hello again").await;
    let mails = mails(&app, &smtp, 1).await;
    assert_eq!(mails[0].to, [address("ben")]);
    assert_eq!(mails[0].header("subject"), "2 new messages from Carla Customer – Boiler");
}

#[tokio::test]
async fn a_long_digest_is_cut_and_says_so() {
    let smtp = SmtpServer::start();
    let setup =
        setup(&smtp).with("BELLHOP_EMAIL__MESSAGES_MAX", "2").with("BELLHOP_EMAIL__EXCERPT_CHARS", "10");
    let mut app = setup.ingest_only().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    for text in ["one", "two", "three", "a text of more than ten characters"] {
        app.guest("carla").say(&room, text).await;
    }
    app.start_workers();
    let mail = mails(&app, &smtp, 1).await.remove(0);
    assert!(mail.plain.contains("(2 earlier unread messages are not shown.)"), "{}", mail.plain);
    assert!(mail.plain.contains("three") && mail.plain.contains("a text of…"), "{}", mail.plain);
    assert!(!mail.plain.contains("two"), "{}", mail.plain);
}

#[tokio::test]
async fn names_and_titles_of_strangers_make_no_headers_and_no_markup() {
    let smtp = SmtpServer::start();
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    let evil = "Eve\r\nBcc: all@mail.example\r\n\r\n<script>alert(1)</script>";
    app.service("ota").put("/chat/users/carla", json!({ "name": evil, "role": "guest" })).expect(200).await;
    let anna = json!({ "name": evil, "email": address("anna"), "role": "agent" });
    app.service("ota").put("/chat/users/anna", anna).expect(200).await;
    let room = json!({
        "kind": "support", "title": evil, "participantIds": ["carla"], "assignedAgentIds": ["anna"],
    });
    let room = app.thread(room).await;
    app.guest("carla").say(&room, "<img src=x onerror=alert(1)>\r\n.\r\nMAIL FROM:<x@y>").await;
    let mail = mails(&app, &smtp, 1).await.remove(0);
    assert_eq!(mail.to, [address("anna")]);
    assert!(mail.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("bcc")), "{:?}", mail.headers);
    assert!(mail.header("subject").starts_with("New message from Eve Bcc: all@mail.example <script>"));
    assert!(!mail.html.contains("<script") && !mail.html.contains("<img"), "{}", mail.html);
    assert!(mail.plain.contains("\n.\n") && mail.plain.contains("MAIL FROM:<x@y>"), "{}", mail.plain);
}

#[tokio::test]
async fn without_a_mail_server_no_job_is_made_and_one_that_is_there_ends() {
    let app = TestApp::without_search().await;
    let room = room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "hello").await;
    assert!(jobs(&app, "notify_agents").await.is_empty());
    let smtp = SmtpServer::stopped();
    let mut app = setup(&smtp).ingest_only().await;
    people(&app).await;
    let room = super::rig::room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "hello").await;
    app.start_workers_with(|config| config.smtp = None);
    app.settled().await;
    assert_eq!(endings(&app, "notify_agents").await, ["channel_disabled"]);
}
