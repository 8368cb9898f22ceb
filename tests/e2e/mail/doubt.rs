//! Lost after the text was written: nobody knows, so nobody is mailed the same again.

use mongodb::bson::doc;
use serde_json::json;
use shared::domain::jobs::JobState;
use tests::app::Programs;
use tests::servers::SmtpServer;

use super::rig::{SENDER, endings, job_that, jobs, mails, people, room, setup};

#[tokio::test]
async fn an_answer_that_never_comes_leaves_doubt_and_mails_nobody_twice() {
    for (fault, cause) in [("drop", "connection_lost"), ("hang", "timeout")] {
        let mut smtp = SmtpServer::start();
        let mut app = setup(&smtp).ingest_only().await;
        people(&app).await;
        let room = room(&app, &["anna"]).await;
        for text in ["one of the first", "two of the first"] {
            app.guest("carla").say(&room, text).await;
        }
        smtp.misbehave_after(fault);
        app.start_workers();
        let unknown = app.eventually("the doubt", async || {
            jobs(&app, "notify_agent").await.into_iter().find(|job| job.state == JobState::Unknown)
        });
        let unknown = unknown.await;
        assert_eq!(unknown.last_error.as_deref(), Some(cause));
        assert_eq!(unknown.error_class.as_deref(), Some("unknown"));
        // The lane goes on when the grace has ended; what may have been mailed is not mailed again.
        app.settled().await;
        assert_eq!(endings(&app, "notify_agent").await, ["covered", "unknown"], "{fault}");
        app.guest("carla").say(&room, "a third").await;
        let second = mails(&app, &smtp, 2).await.remove(1);
        assert_eq!(second.header("subject"), "New message from Carla Customer – Boiler", "{fault}");
        assert!(!second.plain.contains("of the first"), "{}", second.plain);
    }
}

#[tokio::test]
async fn where_the_policy_says_so_it_is_mailed_once_more_under_the_same_id() {
    let mut smtp = SmtpServer::start();
    smtp.misbehave_after("drop");
    let setup = setup(&smtp).with("BELLHOP_DELIVERY__UNKNOWN_GRACE", "100ms");
    let app = setup.with("BELLHOP_DELIVERY__UNKNOWN_POLICY", "resend_once").without_search().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "hello").await;
    let mails = mails(&app, &smtp, 2).await;
    assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"), "a mail program shows it once");
    job_that(&app, "notify_agent", |job| job.state == JobState::Done && job.resends == 1).await;
}

#[tokio::test]
async fn a_worker_killed_after_the_text_was_taken_leaves_doubt_and_mails_nobody_twice() {
    let smtp = SmtpServer::start();
    let (url, grace) = (smtp.url(), ("BELLHOP_DELIVERY__UNKNOWN_GRACE", "500ms"));
    let mail = [("BELLHOP_SMTP__URL", url.as_str()), ("BELLHOP_SMTP__FROM", SENDER)];
    let mut programs = Programs::new(&[mail[0], mail[1], ("BELLHOP_EMAIL__DELAY", "0s"), grace]).await;
    programs.start_ingest(None).await;
    let carla = json!({ "name": "Carla", "email": "carla@mail.example", "role": "guest" });
    programs.call("PUT", "/chat/users/carla", &carla).await;
    let room = json!({ "threadId": "room", "kind": "support", "participantIds": ["carla"] });
    programs.call("POST", "/chat/threads", &room).await;
    programs.start_workers(Some("send.after:abort:times=1")).await;
    programs.call("POST", "/chat/threads/room/messages", &json!({ "body": "the first answer" })).await;
    programs.workers_died().await;
    programs.start_workers(None).await;
    let doubtful = doc! { "name": "notify_customer", "state": "unknown", "open": { "$exists": false } };
    programs.until("the end of the grace", async |p| p.count("jobs", doubtful.clone()).await == 1).await;
    assert_eq!(smtp.mails().len(), 1);
    programs.call("POST", "/chat/threads/room/messages", &json!({ "body": "the second answer" })).await;
    programs.until("the second mail", async |_| smtp.mails().len() == 2).await;
    programs.settled().await;
    let mails = smtp.mails();
    assert!(mails[1].plain.contains("the second answer") && !mails[1].plain.contains("the first answer"));
}
