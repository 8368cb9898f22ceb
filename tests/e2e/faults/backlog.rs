//! Row 32: 50,000 jobs wait, then the workers can start: all of them drain.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use mongodb::bson::doc;
use shared::committer::{Committer, Directory, Post, Pusher};
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::{AccountId, ThreadId, Uid};
use shared::domain::message::Draft;
use shared::live::LivePublisher;
use shared::queue::Wakeups;
use tests::app::{ACCOUNT, TestApp};
use tests::servers::RedisServer;

/// Each with an index job and an audit job.
const MESSAGES: u64 = 25_000;
const THREADS: usize = 100;
/// How long the dispatcher leaves their jobs alone.
const GRACE: Duration = Duration::from_millis(500);
/// On two cores that also run the servers and the other tests.
const PATIENCE: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_waiting_jobs_drain_when_redis_comes_back() {
    let mut redis = RedisServer::start().await.expect("redis-server");
    let app = TestApp::with("BELLHOP_REDIS__URL", redis.url()).full().await;
    let threads = make_threads(&app).await;
    app.settled().await;
    redis.stop().await.expect("stop"); // from here on nobody is woken up
    commit(&app, &redis.url(), &threads).await;
    let jobs = app.store().raw().collection::<mongodb::bson::Document>("jobs");
    let waiting = doc! { "state": "queued" };
    let backlog = jobs.count_documents(waiting.clone()).await.expect("a count");
    assert!(backlog >= 2 * MESSAGES - 1_000, "{backlog} wait");
    redis.restart_empty().await.expect("restart");
    let started = Instant::now();
    while jobs.count_documents(waiting.clone()).await.expect("a count") > 0 {
        assert!(started.elapsed() < PATIENCE, "the backlog did not drain in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tracing::info!(backlog, seconds = started.elapsed().as_secs_f64(), "drained");
    let audit = app.store().raw().collection::<mongodb::bson::Document>("audit");
    let rows = audit.count_documents(doc! { "action": "message.create" }).await.expect("a count");
    assert_eq!(rows, MESSAGES, "each audited once");
}

async fn make_threads(app: &TestApp) -> Vec<ThreadId> {
    let mut threads = Vec::with_capacity(THREADS);
    for _ in 0..THREADS {
        threads.push(ThreadId::parse(&app.thread(serde_json::json!({})).await).expect("a thread id"));
    }
    threads
}

/// Through the committer, without HTTP.
async fn commit(app: &TestApp, redis: &str, threads: &[ThreadId]) {
    let wakeups = Wakeups::new(redis, "nobody", 1).expect("a URL");
    let (directory, pusher) = (Directory::new(app.store()), Pusher::start(wakeups, 1));
    let config = app.config();
    let committer =
        Committer::new(app.store(), &directory, &pusher, &LivePublisher::silent(), &config.commit, GRACE);
    let actor = Actor {
        account: AccountId::parse(ACCOUNT).expect("an account"),
        uid: Uid::parse("anna").expect("a uid"),
        role: Role::Agent,
        conversation_id: "anna".to_owned(),
    };
    let posts = (0..MESSAGES).map(|n| {
        let post = Post {
            actor: actor.clone(),
            thread: threads[n as usize % threads.len()].clone(),
            draft: Draft { body: format!("text {n}"), ..Draft::default() },
            origin: Default::default(),
            request_id: format!("r{n}"),
            idempotency: None,
        };
        committer.post(post)
    });
    let done: Vec<_> = futures::stream::iter(posts).buffer_unordered(64).collect().await;
    assert!(done.iter().all(Result::is_ok), "every message is committed");
}
