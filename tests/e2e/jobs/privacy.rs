//! No secret, phone number or text where it does not belong: not in logs, metrics, Redis or errors kept.

use mongodb::bson::{Document, doc};
use serde_json::json;
use shared::queue::Queue;
use tests::app::TestApp;
use tests::simulator::{Action, Answer, DEV_ACCESS_TOKEN, DEV_APP_SECRET, DEV_AUTH_TOKEN, FaultRule};

const TEXT: &str = "text-canary-3f81";
const PHONE: &str = "+41788765432";
const NAME: &str = "Name-Canary-3f81";
const MAIL: &str = "mail-canary-3f81@example.com";

/// Messages by every channel, with and without errors.
async fn busy_day(app: &TestApp) {
    for hidden in [TEXT, NAME, MAIL, PHONE.trim_start_matches('+')] {
        app.must_not_be_logged(hidden);
    }
    let stay = json!({ "guestPhone": PHONE, "guestName": NAME, "guestEmail": MAIL });
    app.service("ota").put("/chat/reservations/r1", stay).expect(201).await;
    app.service("ota").put("/chat/users/anna", json!({ "name": NAME, "email": MAIL })).expect(201).await;
    let thread = app.thread(json!({ "reservationId": "r1", "source": "hububb-guest", "title": TEXT })).await;
    let anna = app.agent("anna");
    for kind in ["message", "note", "whatsapp-message", "sms-message"] {
        for _ in 0..3 {
            anna.post_message(&thread, json!({ "body": TEXT, "type": kind })).await;
        }
    }
    anna.message(&thread, json!({ "body": TEXT.repeat(5_000) })).refused(422, "unprocessable").await;
    anna.message(&thread, json!({ "body": TEXT, "authorId": TEXT })).refused(403, "forbidden").await;
    anna.messages(&thread, &format!("?search={TEXT}")).await;
    app.guest("gina").message(&thread, json!({ "body": TEXT })).refused(403, "not_participant").await;
}

#[tokio::test]
async fn s30_logs_metrics_and_kept_errors_hold_no_text_phone_or_secret() {
    let app = TestApp::full().await;
    let echo = format!(r#"{{"error":{{"code":131016,"message":"{TEXT} {PHONE} {DEV_ACCESS_TOKEN}"}}}}"#);
    let answer = Answer { status: Some(503), code: None, retry_after: None, body: Some(echo) };
    app.simulator.fault(FaultRule::any(Action::Answer(answer)).times(6));
    busy_day(&app).await;
    app.settled().await;
    let metrics = app.metrics().await;
    assert!(metrics.contains("ingest_requests_total"), "the metrics are there");
    let jobs = format!("{:?}", app.jobs_where(doc! {}).await);
    let audit: Vec<Document> = {
        use futures::TryStreamExt as _;
        app.store().raw().collection("audit").find(doc! {}).await.unwrap().try_collect().await.unwrap()
    };
    let audit = format!("{audit:?}");
    for hidden in [TEXT, NAME, MAIL, "41788765432", DEV_ACCESS_TOKEN, DEV_APP_SECRET, DEV_AUTH_TOKEN] {
        for (name, shown) in [("metrics", &metrics), ("jobs", &jobs), ("audit", &audit)] {
            assert!(!shown.contains(hidden), "{hidden} stands in the {name}: {shown}");
        }
    }
}

#[tokio::test]
async fn the_log_is_really_watched() {
    let app = TestApp::ingest_only().await;
    let watch = tests::app::SecretWatch::start(&["watched-canary-77"]);
    tracing::info!("watched-canary-77");
    assert_eq!(watch.found().len(), 1, "another subscriber took the place of the tests'");
    drop(app);
}

#[tokio::test]
async fn s30_redis_holds_ids_of_jobs_and_accounts_and_nothing_else() {
    let app = TestApp::ingest_only().await;
    busy_day(&app).await;
    let (mut redis, prefix) = app.redis().await;
    let (mut entries, mut keys) = (0, 0);
    for queue in Queue::ALL {
        let stream = shared::queue::stream_key(prefix, queue);
        let found: Vec<(String, Vec<(String, String)>)> = app
            .eventually("pushed ids", async || {
                let mut redis = redis.clone();
                let cmd = redis::cmd("XRANGE").arg(&stream).arg("-").arg("+").query_async(&mut redis).await;
                cmd.ok()
            })
            .await;
        for (_, fields) in found {
            entries += 1;
            for (name, value) in &fields {
                let known = match name.as_str() {
                    "j" => ulid::Ulid::from_string(value).is_ok(),
                    "a" => value == "acme",
                    _ => false,
                };
                assert!(known, "{fields:?}");
            }
        }
        let held: Vec<String> =
            redis::cmd("HKEYS").arg(format!("{stream}:accounts")).query_async(&mut redis).await.unwrap();
        assert!(held.iter().all(|account| account == "acme"), "{held:?}");
    }
    let all: Vec<String> =
        redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut redis).await.unwrap();
    keys += all.len();
    assert!(entries > 0 && keys <= 2 * Queue::ALL.len() + 1, "{all:?}");
}
