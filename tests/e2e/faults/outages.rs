//! Rows 9, 10 and 19: Redis emptied or away, Elasticsearch away. Everything finishes by itself.

use mongodb::bson::doc;
use shared::search::IndexKind;
use tests::app::TestApp;
use tests::chaos::FaultProxy;
use tests::servers::RedisServer;
use tests::servers::elasticsearch::shared_url;

use super::outage;

const MESSAGES: usize = 60;

async fn post_many(app: &TestApp, thread: &str) {
    let agent = app.agent("anna");
    for n in 0..MESSAGES {
        agent.say(thread, &format!("text {n}")).await;
    }
}

async fn audited(app: &TestApp) -> u64 {
    let rows = app.store().raw().collection::<mongodb::bson::Document>("audit");
    rows.count_documents(doc! { "action": "message.create", "outcome": "success" }).await.expect("a count")
}

#[tokio::test]
async fn flushall_with_a_backlog_costs_time_and_no_job() {
    let redis = RedisServer::start().await.expect("redis-server");
    let mut app = TestApp::with("BELLHOP_REDIS__URL", redis.url()).ingest_only().await;
    let thread = app.thread(serde_json::json!({})).await;
    post_many(&app, &thread).await;
    redis.flushall().await.expect("FLUSHALL");
    app.start_workers();
    post_many(&app, &thread).await;
    redis.flushall().await.expect("FLUSHALL");
    app.settled().await;
    assert_eq!(audited(&app).await, 2 * MESSAGES as u64, "every message is audited, each once");
}

#[tokio::test]
async fn redis_down_and_restarted_empty_costs_time_and_no_job() {
    let mut redis = RedisServer::start().await.expect("redis-server");
    let app = TestApp::with("BELLHOP_REDIS__URL", redis.url()).without_search().await;
    let thread = app.whatsapp_thread("+41790000103").await;
    post_many(&app, &thread).await;
    redis.stop().await.expect("stop");
    let phone = serde_json::json!({ "body": "while Redis is away", "type": "whatsapp-message" });
    let sent = app.agent("anna").post_message(&thread, phone).await;
    post_many(&app, &thread).await;
    tokio::time::sleep(outage()).await; // the length of the outage, not a wait for something
    redis.restart_empty().await.expect("restart");
    app.delivery_of(&sent, "delivered").await;
    app.settled().await;
    assert_eq!(audited(&app).await, 2 * MESSAGES as u64 + 1);
    assert_eq!(app.simulator.accepted_count(), 1);
}

// The proxy must go on while the app, when it is dropped, deletes its indices through it.
#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_down_and_back_delays_the_index_and_nothing_else() {
    let url = shared_url();
    let target = url.trim_start_matches("http://").trim_end_matches('/').parse().expect("host and port");
    let proxy = FaultProxy::start(target).await.expect("a port");
    let through = format!("http://{}", proxy.address());
    let app = TestApp::with("BELLHOP_ELASTICSEARCH__URL", through).full().await;
    let thread = app.whatsapp_thread("+41790000104").await;
    proxy.refuse();
    proxy.reset();
    let phone = serde_json::json!({ "body": "while search is away", "type": "whatsapp-message" });
    let sent = app.agent("anna").post_message(&thread, phone).await;
    post_many(&app, &thread).await;
    app.delivery_of(&sent, "delivered").await;
    tokio::time::sleep(outage()).await; // the length of the outage, not a wait for something
    proxy.heal();
    app.settled().await;
    app.index().refresh().await.expect("a refresh");
    let found = app.index().count(tests::app::ACCOUNT, IndexKind::Messages).await.expect("a count");
    assert_eq!(found, MESSAGES as u64 + 1);
}
