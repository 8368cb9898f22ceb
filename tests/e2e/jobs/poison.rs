//! Jobs that cannot be done: they end or are set aside, and their neighbours never notice.

use mongodb::bson::{DateTime, Document, doc};
use serde_json::json;
use shared::domain::jobs::{AUDIT_MESSAGE, DELIVER_WHATSAPP, INDEX_MESSAGE, JobState};
use shared::search::IndexKind;
use tests::app::TestApp;

#[tokio::test]
async fn s28_a_send_that_killed_its_worker_three_times_is_dead_and_its_thread_goes_on() {
    let mut app = TestApp::ingest_only().await;
    let thread = app.whatsapp_thread("+41799990001").await;
    let anna = app.agent("anna");
    let head = anna.post_message(&thread, json!({ "body": "poison", "type": "whatsapp-message" })).await;
    let next = anna.post_message(&thread, json!({ "body": "next", "type": "whatsapp-message" })).await;
    let job = app.job_of(&head, "deliver_whatsapp").await;
    // As three workers that died under it before they sent leave it behind.
    let died = doc! { "$set": { "state": "running", "starts": 3, "attempt": 3, "epoch": 3_i64,
    "leaseUntil": DateTime::from_millis(1_000) } };
    let jobs = app.store().raw().collection::<Document>("jobs");
    jobs.update_one(doc! { "_id": &job.id }, died).await.unwrap();
    app.expect_dead(1);
    app.start_workers();
    let story = app.delivery_of(&head, "failed").await;
    assert_eq!(story["delivery"]["reason"], "needs_operator");
    app.delivery_of(&next, "delivered").await;
    let dead = app.job(&job.id).await.unwrap();
    assert_eq!((dead.state, dead.error_class.as_deref()), (JobState::Dead, Some("poison")));
    let bodies: Vec<String> = app.simulator.accepted().iter().map(|sent| sent.body.clone()).collect();
    assert_eq!(bodies, ["next"]);
}

#[tokio::test]
async fn s37_a_job_of_an_unknown_kind_is_parked_with_its_payload() {
    let app = TestApp::full().await;
    let thread = app.whatsapp_thread("+41799990001").await;
    let message = app.agent("anna").say(&thread, "hello").await;
    let key = format!("acme/{}", message["messageId"].as_str().unwrap());
    let mut unknown = Vec::new();
    for kind in [INDEX_MESSAGE, AUDIT_MESSAGE, DELIVER_WHATSAPP] {
        let job = app.add_job(kind, |job| {
            job.name = format!("{}.v9", kind.name);
            job.message = Some(key.clone());
            if kind == DELIVER_WHATSAPP {
                let lane = Some(format!("whatsapp:acme/{thread}"));
                (job.lane, job.lane_seq, job.open) = (lane, Some(1), Some(true));
            }
        });
        unknown.push(job.await);
    }
    app.settled().await;
    for job in unknown {
        let now = app.job(&job.id).await.expect("it is kept");
        assert_eq!(
            (now.state, now.reason.as_deref()),
            (JobState::Parked, Some("unknown_kind")),
            "{}",
            job.name
        );
        assert_eq!((now.message, now.name), (job.message, job.name));
    }
}

#[tokio::test]
async fn s20_a_document_that_the_index_rejects_is_dead_alone() {
    let mut app = TestApp::full().await;
    app.stop_workers().await;
    let thread = app.thread(json!({})).await;
    let mut messages = Vec::new();
    for n in 0..12 {
        messages.push(app.agent("anna").say(&thread, &format!("message {n}")).await);
    }
    // Too long for a keyword of Elasticsearch, which no request could store.
    let bad = format!("acme/{}", messages[5]["messageId"].as_str().unwrap());
    let stored = app.store().raw().collection::<Document>("messages");
    let update = doc! { "$set": { "externalMessageId": "x".repeat(40_000) } };
    stored.update_one(doc! { "_id": &bad }, update).await.unwrap();
    app.expect_dead(1);
    app.start_workers();
    app.settled().await;
    let dead = app.jobs_where(doc! { "state": "dead" }).await;
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].message.as_ref(), dead[0].error_class.as_deref()), (Some(&bad), Some("rejected")));
    app.index().refresh().await.unwrap();
    assert_eq!(app.index().count("acme", IndexKind::Messages).await.unwrap(), 11);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_does_not_hold_up_the_others() {
    let mut app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let mut messages = Vec::new();
    for n in 0..10 {
        messages.push(app.agent("anna").say(&thread, &format!("message {n}")).await);
    }
    let bad = messages.remove(4);
    let stored = app.store().raw().collection::<Document>("messages");
    let key = doc! { "_id": format!("acme/{}", bad["messageId"].as_str().unwrap()) };
    stored.update_one(key, doc! { "$set": { "body": 7 } }).await.unwrap();
    app.start_workers();
    for message in &messages {
        let id = message["messageId"].as_str().unwrap();
        app.eventually("an audit row", async || app.audit_rows("message.create", id).await.pop()).await;
    }
}
