//! The whole product in one process, for one test: ingest and workers on a database, a Redis prefix and search
//! indices of its own, with its own provider simulator and short times.
//!
//! ```no_run
//! use serde_json::json;
//! use tests::app::TestApp;
//!
//! # async fn test() {
//! let app = TestApp::full().await;
//! let thread = app.whatsapp_thread("+41790000001").await;
//! let sent = app.agent("anna").post_message(&thread, json!({"body": "hello", "type": "whatsapp-message"})).await;
//! app.settled().await;
//! app.delivery_of(&sent, "delivered").await;
//! # }
//! ```
//!
//! Dropping a [`TestApp`] stops it and deletes what it stored. It fails the test when a dead job is left that was
//! not announced by [`TestApp::expect_dead`], or when a secret, a phone number or a marked text was logged.
//! Servers: `BELLHOP_TEST_MONGODB`, `…_REDIS` and `…_ELASTICSEARCH`, as `dev/with-servers` sets them.

mod caller;
mod desk;
mod ending;
mod jobs;
mod people;
mod programs;
mod setup;
mod sockets;
mod waiting;
mod watch;
pub mod webhooks;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use shared::config::Config;
use shared::ledger::Ledger;
use shared::queue::Queue;
use shared::search::SearchIndex;
use shared::store::Store;
use tokio::sync::SemaphorePermit;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workers::run::{Options, run};

pub use self::caller::{Call, Caller, Reply};
pub use self::desk::{DESK, Widget, room_of};
pub use self::programs::{HEALED, Programs, Worker, beside_the_tests};
pub use self::setup::{HS256_SECRET, Setup};
pub use self::sockets::{SocketClients, play};
pub use self::waiting::SOON;
pub use self::watch::SecretWatch;

use self::caller::Door;
use crate::chaos::FaultProxy;
use crate::servers::mongodb::TestDatabase;
use crate::simulator::Simulator;

/// The account of callers that name none.
pub const ACCOUNT: &str = "acme";

/// The product, running.
pub struct TestApp {
    /// The three providers, whose record judges what was sent.
    pub simulator: Simulator,
    config: Arc<Config>,
    door: Door,
    admin_url: String,
    ledger: Ledger,
    queues: Vec<Queue>,
    workers: Option<Workers>,
    dead_expected: AtomicUsize,
    watch: SecretWatch,
    mongodb_proxy: Option<FaultProxy>,
    _ingest: ingest::Running,
    database: TestDatabase,
    _place: SemaphorePermit<'static>,
}

/// A set of workers that runs.
struct Workers {
    stop: CancellationToken,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    /// Ingest with workers for every queue.
    pub fn full() -> LocalBoxFuture<'static, Self> {
        async move { Setup::default().full().await }.boxed_local()
    }

    /// Ingest with workers for every queue but search, for tests that find nothing: making indices takes a second.
    pub fn without_search() -> LocalBoxFuture<'static, Self> {
        async move { Setup::default().without_search().await }.boxed_local()
    }

    /// Ingest alone; jobs stay in the ledger.
    pub fn ingest_only() -> LocalBoxFuture<'static, Self> {
        async move { Setup::default().ingest_only().await }.boxed_local()
    }

    /// Begins with another setting: `TestApp::with("BELLHOP_HTTP__RATE_LIMIT", "2/s").full().await`.
    pub fn with(name: &str, value: impl Into<String>) -> Setup {
        Setup::default().with(name, value)
    }

    /// The configuration of ingest and workers.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where ingest listens: `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.door.url
    }

    /// The metrics of this process, as `/metrics` serves them; other tests' are among them.
    pub fn metrics(&self) -> LocalBoxFuture<'_, String> {
        async move { self.door.text(&format!("{}/metrics", self.admin_url)).await }.boxed_local()
    }

    /// The database, to look behind the curtain.
    pub fn store(&self) -> &Store {
        self.database.store()
    }

    /// The job ledger, likewise.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The search indices, likewise.
    ///
    /// # Panics
    /// When the URL is malformed.
    pub fn index(&self) -> SearchIndex {
        let elastic = &self.config.elasticsearch;
        SearchIndex::new(elastic.url.expose(), &elastic.prefix).expect("a handle")
    }

    /// What stands between ingest and MongoDB.
    ///
    /// # Panics
    /// Unless it was asked for by [`Setup::mongodb_through_a_proxy`].
    pub fn mongodb_proxy(&self) -> &FaultProxy {
        self.mongodb_proxy.as_ref().expect("the setup asked for a proxy")
    }

    /// Where MongoDB listens, for a proxy.
    ///
    /// # Panics
    /// When the test server's URI names no address.
    pub fn mongodb_address(&self) -> SocketAddr {
        self.database.address().expect("an address")
    }

    /// A connection to Redis and the prefix of our keys there.
    ///
    /// # Panics
    /// When Redis is away.
    pub async fn redis(&self) -> (redis::aio::MultiplexedConnection, &str) {
        let client = redis::Client::open(self.config.redis.url.expose()).expect("a Redis URL");
        let connection = client.get_multiplexed_async_connection().await.expect("Redis");
        (connection, &self.config.redis.prefix)
    }

    /// Starts workers for the queues of this app, unless they run.
    pub fn start_workers(&mut self) {
        self.start_workers_with(|_| {});
    }

    /// As [`TestApp::start_workers`], with a changed configuration: another policy, a server behind a proxy.
    pub fn start_workers_with(&mut self, change: impl FnOnce(&mut Config)) {
        if self.workers.is_some() {
            return;
        }
        let mut config = (*self.config).clone();
        change(&mut config);
        let options = Options { queues: self.queues.clone(), concurrency: Default::default() };
        let stop = CancellationToken::new();
        let ended = shared::task::spawn("workers", run(Arc::new(config), options, stop.clone()));
        self.workers = Some(Workers { stop, ended });
    }

    /// Stops the workers in good order and waits for their end.
    ///
    /// # Panics
    /// When they end with an error.
    pub async fn stop_workers(&mut self) {
        let Some(workers) = self.workers.take() else { return };
        workers.stop.cancel();
        workers.ended.await.expect("the workers do not panic").expect("the workers end well");
    }

    /// Fails the test on drop when `text` was logged anywhere.
    pub fn must_not_be_logged(&self, text: &str) {
        self.watch.add(text);
    }
}
