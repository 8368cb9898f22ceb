//! A mail server that is away, refuses, asks for a password: each mail is sent once or ends with its class.

use shared::config::Secret;
use shared::domain::jobs::JobState;
use tests::servers::SmtpServer;

use super::rig::{endings, job_that, jobs, mails, people, room, setup};

#[tokio::test]
async fn a_server_that_comes_back_takes_each_mail_once() {
    let mut smtp = SmtpServer::stopped();
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "hello").await;
    let job = job_that(&app, "notify_agent", |job| job.attempt_count > 1).await;
    assert_eq!((job.state, job.error_class.as_deref()), (JobState::Queued, Some("retry")));
    smtp.up();
    mails(&app, &smtp, 1).await;
    assert_eq!(endings(&app, "notify_agent").await, ["done"]);
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_whenever_it_comes() {
    let mut smtp = SmtpServer::start();
    smtp.refuse_recipient("450 4.2.1 greylisted", 2);
    smtp.refuse_mail("451 4.3.0 later", 2);
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "hello").await;
    let mail = mails(&app, &smtp, 1).await.remove(0);
    let job = jobs(&app, "notify_agent").await.remove(0);
    let codes: Vec<_> = job.attempts.iter().map(|a| a.provider_error_code.as_deref()).collect();
    assert_eq!(codes, [Some("450"), Some("450"), Some("451"), Some("451"), None]);
    assert_eq!(mail.header("message-id"), format!("<{}@acme.example>", job.id));
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_job_and_is_not_repeated_for_the_same_messages() {
    let mut smtp = SmtpServer::start();
    let mut app = setup(&smtp).ingest_only().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    for text in ["one", "two", "three"] {
        app.guest("carla").say(&room, text).await;
    }
    smtp.refuse_recipient("550 5.1.1 <anna.private@mail.example> is unknown here", 1);
    app.expect_dead(1);
    app.start_workers();
    app.settled().await;
    let job = jobs(&app, "notify_agent").await.into_iter().find(|job| job.state == JobState::Dead).unwrap();
    assert_eq!(job.error_class.as_deref(), Some("permanent"));
    assert_eq!(job.reason.as_deref(), Some("invalid_recipient"));
    assert_eq!(job.attempts[0].provider_error_code.as_deref(), Some("550"));
    assert!(!format!("{job:?}").contains("private"), "the server's words are not kept");
    assert_eq!(endings(&app, "notify_agent").await, ["covered", "covered", "dead"]);
    assert!(smtp.mails().is_empty());
}

#[tokio::test]
async fn a_server_that_breaks_off_or_falls_silent_before_the_text_took_nothing() {
    for fault in ["drop", "hang"] {
        let mut smtp = SmtpServer::start();
        smtp.misbehave_before(fault);
        let app = setup(&smtp).without_search().await;
        people(&app).await;
        let room = room(&app, &["anna"]).await;
        app.guest("carla").say(&room, "hello").await;
        mails(&app, &smtp, 1).await;
        let job = jobs(&app, "notify_agent").await.remove(0);
        let classes: Vec<_> = job.attempts.iter().map(|a| a.error_class.as_deref()).collect();
        assert_eq!(classes, [Some("retry"), None], "{fault}");
    }
}

#[tokio::test]
async fn a_password_is_used_and_a_wrong_one_waits_for_an_operator() {
    let smtp = SmtpServer::with_password();
    let mut app = setup(&smtp).ingest_only().await;
    people(&app).await;
    app.must_not_be_logged("p/s:w");
    app.must_not_be_logged("p%2Fs%3Aw");
    let right = room(&app, &["anna"]).await;
    let wrong = room(&app, &["anna"]).await;
    app.guest("carla").say(&wrong, "hello").await;
    let url = smtp.url().replace("p%2Fs", "other");
    app.start_workers_with(|config| config.smtp.as_mut().unwrap().url = Secret::new(url));
    let parked = job_that(&app, "notify_agent", |job| job.state == JobState::Parked).await;
    assert_eq!(parked.error_class.as_deref(), Some("needs_operator"));
    app.stop_workers().await;
    app.start_workers();
    app.guest("carla").say(&right, "hello").await;
    let mail = mails(&app, &smtp, 1).await.remove(0);
    assert_eq!(mail.user.as_deref(), Some("user@acme"));
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_costs_nothing() {
    let mut smtp = SmtpServer::start();
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "one").await;
    mails(&app, &smtp, 1).await;
    smtp.kill();
    smtp.up();
    app.guest("carla").say(&room, "two").await;
    mails(&app, &smtp, 2).await;
    assert!(jobs(&app, "notify_agent").await.iter().all(|job| job.attempts.len() == 1));
}
