//! Each job works twice in a row, has nothing to do when its message is gone, and waits for what is away.

use std::net::SocketAddr;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use shared::domain::jobs::JobState;
use shared::domain::jobs::{
    AUDIT_MESSAGE, DELIVER_SMS, DELIVER_WHATSAPP, FORWARD_TO_GUEST, INDEX_MESSAGE, INDEX_THREAD, JobKind,
    NOTIFY_AGENT, NOTIFY_AGENTS, NOTIFY_CUSTOMER, PROCESS_EVENT,
};
use shared::search::IndexKind;
use tests::app::TestApp;
use tests::app::webhooks::status;
use tests::chaos::FaultProxy;
use tests::servers::mongodb::uri;

const PHONE: &str = "+41798880001";

/// A thread that all three channels lead out of.
async fn thread(app: &TestApp) -> String {
    app.reservation("r1", PHONE).await;
    app.thread(json!({ "source": "hububb-guest", "reservationId": "r1" })).await
}

/// One job more about `message`, as a second dispatch or a replay would bring.
async fn again(app: &TestApp, kind: JobKind, message: &Value) -> String {
    let part = |field: &str| format!("acme/{}", message[field].as_str().unwrap());
    let (key, thread) = (part("messageId"), part("threadId"));
    let lane = match kind {
        FORWARD_TO_GUEST => Some("guest"),
        DELIVER_WHATSAPP => Some("whatsapp"),
        DELIVER_SMS => Some("sms"),
        NOTIFY_AGENTS | NOTIFY_AGENT | NOTIFY_CUSTOMER => Some("email"),
        _ => None,
    };
    let job = app.add_job(kind, |job| {
        job.lane = lane.map(|channel| format!("{channel}:{thread}"));
        job.lane_seq = lane.map(|_| 1_000);
        job.open = lane.map(|_| true);
        (job.message, job.thread) = (Some(key), Some(thread));
    });
    job.await.id
}

#[tokio::test]
async fn index_and_audit_twice_are_once() {
    let app = TestApp::full().await;
    let thread = app.thread(json!({})).await;
    let message = app.agent("anna").say(&thread, "hello").await;
    app.settled().await;
    let row = app.audit_rows("message.create", message["messageId"].as_str().unwrap()).await;
    for kind in [INDEX_MESSAGE, INDEX_THREAD, AUDIT_MESSAGE, INDEX_MESSAGE, AUDIT_MESSAGE] {
        let id = again(&app, kind, &message).await;
        app.settled().await;
        assert_eq!(app.job(&id).await, None, "{} is done and removed", kind.name);
    }
    assert_eq!(app.audit_rows("message.create", message["messageId"].as_str().unwrap()).await, row);
    app.index().refresh().await.unwrap();
    assert_eq!(app.index().count("acme", IndexKind::Messages).await.unwrap(), 1);
    assert_eq!(app.index().count("acme", IndexKind::Threads).await.unwrap(), 1);
}

#[tokio::test]
async fn a_second_wake_up_of_a_send_sends_nothing() {
    let app = TestApp::without_search().await;
    let thread = thread(&app).await;
    for (kind, name) in [("whatsapp-message", "deliver_whatsapp"), ("sms-message", "deliver_sms")] {
        let message = app.agent("anna").post_message(&thread, json!({ "body": "x", "type": kind })).await;
        app.delivery_of(&message, "delivered").await;
        app.settled().await;
        let before = app.simulator.accepted_count();
        for job in [app.job_of(&message, name).await, app.job_of(&message, "forward_to_guest").await] {
            app.wake(&job).await;
            app.wake(&job).await;
        }
        let second =
            again(&app, if name == "deliver_sms" { DELIVER_SMS } else { DELIVER_WHATSAPP }, &message).await;
        app.settled().await;
        assert_eq!(
            app.job(&second).await.unwrap().state,
            JobState::Done,
            "what has arrived is not sent again"
        );
        assert_eq!(app.simulator.accepted_count(), before);
    }
}

#[tokio::test]
async fn an_event_worked_through_twice_changes_nothing_more() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    let thread = thread(&app).await;
    let body = json!({ "body": "x", "type": "whatsapp-message" });
    let message = app.agent("anna").post_message(&thread, body).await;
    app.delivery_of(&message, "sent").await;
    let sent = app.simulator.accepted().into_iter().find(|sent| sent.kind == "text").unwrap();
    let told = status(&sent.provider_id, "delivered", sent.key.as_deref(), None);
    app.whatsapp_statuses(&[told]).expect(200).await;
    let before = app.delivery_of(&message, "delivered").await;
    app.settled().await;
    let events = app.store().raw().collection::<Document>("events");
    let event = events.find_one(doc! {}).await.unwrap().unwrap();
    for _ in 0..2 {
        app.add_job(PROCESS_EVENT, |job| job.event = Some(event.get_str("_id").unwrap().to_owned())).await;
        app.settled().await;
    }
    assert_eq!(app.story(&message).await, before);
}

#[tokio::test]
async fn a_job_whose_message_is_gone_is_done() {
    let app = TestApp::full().await;
    let gone = json!({ "messageId": "gone", "threadId": "gone" });
    let mut jobs = Vec::new();
    let projections = [INDEX_MESSAGE, INDEX_THREAD, AUDIT_MESSAGE];
    let sends = [FORWARD_TO_GUEST, DELIVER_WHATSAPP, DELIVER_SMS];
    let mails = [NOTIFY_AGENTS, NOTIFY_AGENT, NOTIFY_CUSTOMER];
    for kind in projections.into_iter().chain(sends).chain(mails) {
        jobs.push(again(&app, kind, &gone).await);
    }
    jobs.push(app.add_job(PROCESS_EVENT, |job| job.event = Some("gone".to_owned())).await.id);
    app.settled().await;
    for id in jobs {
        let state = app.job(&id).await.map_or(JobState::Done, |job| job.state);
        assert_eq!(state, JobState::Done);
    }
    assert!(app.simulator.requests().is_empty());
}

#[tokio::test]
async fn s19_without_elasticsearch_messages_are_delivered_and_indexed_when_it_is_back() {
    let mut app = TestApp::full().await;
    app.stop_workers().await;
    let elastic = app.config().elasticsearch.url.expose().to_owned();
    let proxy = FaultProxy::start(address(&elastic)).await.unwrap();
    let through = format!("http://{}", proxy.address());
    proxy.refuse();
    app.start_workers_with(|config| config.elasticsearch.url = shared::config::Secret::new(&through));
    let thread = thread(&app).await;
    let body = json!({ "body": "hello", "type": "whatsapp-message" });
    let message = app.agent("anna").post_message(&thread, body).await;
    app.delivery_of(&message, "delivered").await;
    app.eventually("a postponed index job", async || {
        let jobs = app.jobs_of(&message, "index_message").await;
        jobs.first().filter(|job| job.attempt_count > 0).map(|job| assert!(job.last_error.is_some()))
    })
    .await;
    proxy.heal();
    app.settled().await;
    app.index().refresh().await.unwrap();
    assert_eq!(app.index().count("acme", IndexKind::Messages).await.unwrap(), 1);
}

fn address(url: &str) -> SocketAddr {
    let url: url::Url = url.parse().unwrap();
    url.socket_addrs(|| None).unwrap()[0]
}

#[tokio::test]
async fn while_a_provider_cannot_be_reached_its_messages_wait_and_are_sent_once() {
    let mut app = TestApp::ingest_only().await;
    let proxy = FaultProxy::start(app.simulator.address()).await.unwrap();
    let base = format!("http://{}", proxy.address());
    proxy.refuse();
    app.start_workers_with(|config| {
        let moved = |url: &url::Url| -> url::Url { format!("{base}{}", url.path()).parse().unwrap() };
        let whatsapp = config.whatsapp.as_mut().unwrap();
        whatsapp.base_url = moved(&whatsapp.base_url);
        let twilio = config.twilio.as_mut().unwrap();
        twilio.base_url = moved(&twilio.base_url);
        let guest = config.guest.as_mut().unwrap();
        guest.url = moved(&guest.url);
    });
    drop(proxy); // nobody listens: the connection is refused, so nothing was written
    let mut messages = Vec::new();
    for kind in ["whatsapp-message", "sms-message"] {
        let thread = thread(&app).await;
        messages.push(app.agent("anna").post_message(&thread, json!({ "body": "x", "type": kind })).await);
    }
    for (message, name) in messages.iter().zip(["deliver_whatsapp", "deliver_sms"]) {
        for name in [name, "forward_to_guest"] {
            app.eventually("a postponed send", async || {
                let job = app.job_of(message, name).await;
                (job.state == JobState::Queued && job.error_class.is_some()).then_some(())
            })
            .await;
        }
    }
    assert_eq!(app.simulator.accepted_count(), 0);
    app.stop_workers().await;
    app.start_workers();
    for message in &messages {
        app.delivery_of(message, "delivered").await;
    }
    app.settled().await;
    assert_eq!((app.simulator.accepted_count(), app.simulator.duplicates().len()), (4, 0));
}

#[tokio::test]
async fn s14_while_mongodb_is_away_from_the_workers_nothing_is_lost() {
    let mut app = TestApp::ingest_only().await;
    let proxy = FaultProxy::start(app.mongodb_address()).await.unwrap();
    let through = uri(proxy.address(), false);
    app.start_workers_with(|config| config.mongodb.uri = shared::config::Secret::new(&through));
    let thread = thread(&app).await;
    let body = json!({ "body": "before", "type": "whatsapp-message" });
    let first = app.agent("anna").post_message(&thread, body).await;
    app.delivery_of(&first, "delivered").await;
    proxy.refuse();
    let mut messages = Vec::new();
    for n in 0..5 {
        let body = json!({ "body": format!("during {n}"), "type": "whatsapp-message" });
        messages.push(app.agent("anna").post_message(&thread, body).await);
    }
    proxy.heal();
    for message in &messages {
        app.delivery_of(message, "delivered").await;
    }
    app.settled().await;
    for message in messages.iter().chain([&first]) {
        let rows = app.audit_rows("message.create", message["messageId"].as_str().unwrap()).await;
        assert_eq!(rows.len(), 1);
    }
    assert_eq!(app.simulator.duplicates(), []);
}

#[tokio::test]
async fn s9_when_redis_is_emptied_everything_that_waits_is_pushed_again() {
    let mut app = TestApp::ingest_only().await;
    let thread = thread(&app).await;
    let mut messages = Vec::new();
    for n in 0..30 {
        let body = json!({ "body": format!("text {n}"), "type": "whatsapp-message" });
        messages.push(app.agent("anna").post_message(&thread, body).await);
    }
    app.empty_redis().await;
    app.start_workers();
    for message in &messages {
        app.delivery_of(message, "delivered").await;
    }
    app.empty_redis().await;
    let last =
        app.agent("anna").post_message(&thread, json!({ "body": "z", "type": "whatsapp-message" })).await;
    app.delivery_of(&last, "delivered").await;
    app.settled().await;
    let sent = app.simulator.accepted().iter().filter(|sent| sent.kind == "text").count();
    assert_eq!((sent, app.simulator.duplicates().len()), (31, 0));
}
