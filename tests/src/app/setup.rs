//! How a [`TestApp`] is configured and started.

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use shared::config::{Config, Secret};
use shared::ledger::Ledger;
use shared::queue::Queue;
use tokio::sync::Semaphore;

use super::{Door, SecretWatch, TestApp};
use crate::chaos::FaultProxy;
use crate::servers::elasticsearch::shared_url;
use crate::servers::mongodb::{TestDatabase, uri};
use crate::simulator::{
    DEV_ACCESS_TOKEN, DEV_ACCOUNT_SID, DEV_APP_SECRET, DEV_AUTH_TOKEN, DEV_GUEST_SECRET, DEV_PHONE_NUMBER_ID,
    DEV_VERIFY_TOKEN, Simulator, SimulatorConfig,
};

/// Signs the tokens of the tests' callers.
pub const HS256_SECRET: &str = "signing-secret-of-the-tests-0123456789";

/// Apps at once: the servers are shared, and each app asks them often.
static PLACES: Semaphore = Semaphore::const_new(6);

/// Settings that differ from the defaults: tests are short and many.
pub(super) const SHORT: &[(&str, &str)] = &[
    ("BELLHOP_HTTP__LISTEN", "127.0.0.1:0"),
    ("BELLHOP_HTTP__ADMIN_LISTEN", "127.0.0.1:0"),
    ("BELLHOP_WORKERS__LISTEN", "127.0.0.1:0"),
    ("BELLHOP_HTTP__RATE_LIMIT", "100000/s"),
    ("BELLHOP_HTTP__RATE_BURST", "100000"),
    ("BELLHOP_AUTH__HS256_SECRET", HS256_SECRET),
    ("BELLHOP_DELIVERY__TIMEOUT", "1s"),
    ("BELLHOP_DELIVERY__UNKNOWN_GRACE", "3s"),
    ("BELLHOP_JOBS__LEASE", "6s"),
    ("BELLHOP_RETRY__BASE", "20ms"),
    ("BELLHOP_DISPATCHER__TICK", "20ms"),
    ("BELLHOP_DISPATCHER__PUSH_GRACE", "500ms"),
    ("BELLHOP_DISPATCHER__PUSH_AGAIN", "3s"),
    ("BELLHOP_DISPATCHER__LEASE", "2s"),
    ("BELLHOP_SHUTDOWN__GRACE", "3s"),
    ("BELLHOP_NET__ALLOW_PRIVATE", "true"),
    ("BELLHOP_WHATSAPP__PHONE_NUMBER_ID", DEV_PHONE_NUMBER_ID),
    ("BELLHOP_WHATSAPP__ACCESS_TOKEN", DEV_ACCESS_TOKEN),
    ("BELLHOP_WHATSAPP__APP_SECRET", DEV_APP_SECRET),
    ("BELLHOP_WHATSAPP__VERIFY_TOKEN", DEV_VERIFY_TOKEN),
    ("BELLHOP_TWILIO__ACCOUNT_SID", DEV_ACCOUNT_SID),
    ("BELLHOP_TWILIO__AUTH_TOKEN", DEV_AUTH_TOKEN),
    ("BELLHOP_TWILIO__FROM", "+15005550006"),
    ("BELLHOP_GUEST__SECRET", DEV_GUEST_SECRET),
];

/// What no log line may hold, in any test.
const SECRETS: [&str; 5] = [HS256_SECRET, DEV_ACCESS_TOKEN, DEV_APP_SECRET, DEV_AUTH_TOKEN, DEV_GUEST_SECRET];

/// A [`TestApp`] before it starts.
#[derive(Debug, Default)]
pub struct Setup {
    env: Vec<(String, String)>,
    mongodb_proxy: bool,
    simulating: Option<fn(&mut SimulatorConfig)>,
}

impl Setup {
    /// Sets one more `BELLHOP_*` variable; the last one counts, and an empty one removes what tests set otherwise.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Changes what the simulator knows: more numbers, other secrets.
    #[must_use]
    pub fn simulating(mut self, change: fn(&mut SimulatorConfig)) -> Self {
        self.simulating = Some(change);
        self
    }

    /// Puts [`TestApp::mongodb_proxy`] between ingest and MongoDB.
    #[must_use]
    pub fn mongodb_through_a_proxy(mut self) -> Self {
        self.mongodb_proxy = true;
        self
    }

    /// Starts ingest and workers for every queue.
    ///
    /// # Panics
    /// When a server is away or the configuration is wrong.
    pub fn full(self) -> LocalBoxFuture<'static, TestApp> {
        async move {
            let mut app = self.start(Queue::ALL.to_vec()).await;
            app.index().ensure().await.expect("search indices");
            app.start_workers();
            app
        }
        .boxed_local()
    }

    /// Starts ingest and workers for every queue but search.
    ///
    /// # Panics
    /// As [`Setup::full`].
    pub fn without_search(self) -> LocalBoxFuture<'static, TestApp> {
        async move {
            let queues = Queue::ALL.into_iter().filter(|queue| *queue != Queue::Search).collect();
            let mut app = self.start(queues).await;
            app.start_workers();
            app
        }
        .boxed_local()
    }

    /// Starts ingest alone; [`TestApp::start_workers`] may follow, for every queue but search.
    ///
    /// # Panics
    /// As [`Setup::full`].
    pub fn ingest_only(self) -> LocalBoxFuture<'static, TestApp> {
        async move {
            self.start(Queue::ALL.into_iter().filter(|queue| *queue != Queue::Search).collect()).await
        }
        .boxed_local()
    }

    async fn start(self, queues: Vec<Queue>) -> TestApp {
        let place = PLACES.acquire().await.expect("never closed");
        shared::telemetry::init_metrics();
        let watch = SecretWatch::start(&SECRETS);
        let mut plan = SimulatorConfig::default();
        // Twilio's callbacks go to the public URL, which is not where this ingest listens.
        plan.settings.rewrite_callbacks = true;
        if let Some(change) = self.simulating {
            change(&mut plan);
        }
        let simulator = Simulator::start(plan);
        let database = TestDatabase::new().await.expect("a database on BELLHOP_TEST_MONGODB");
        let proxy = match self.mongodb_proxy {
            true => Some(FaultProxy::start(database.address().expect("an address")).await.expect("a port")),
            false => None,
        };
        let config = self.config(&simulator, &database);
        let mut for_ingest = config.clone();
        if let Some(proxy) = &proxy {
            for_ingest.mongodb.uri = Secret::new(uri(proxy.address(), false));
        }
        let app = ingest::App::new(for_ingest).await.expect("ingest is prepared");
        let ingest = app.start().await.expect("ingest listens");
        let url = format!("http://{}", ingest.public());
        simulator.set_webhook_base(&url);
        simulator.configure(|settings| settings.public_url = Some(config.public_url.to_string()));
        TestApp {
            admin_url: format!("http://{}", ingest.admin()),
            door: Door::new(url, config.auth.clone()),
            ledger: Ledger::new(database.store(), config.jobs.lease),
            config: Arc::new(config),
            dead_expected: AtomicUsize::new(0),
            workers: None,
            mongodb_proxy: proxy,
            _ingest: ingest,
            _place: place,
            simulator,
            queues,
            watch,
            database,
        }
    }

    fn config(self, simulator: &Simulator, database: &TestDatabase) -> Config {
        let prefix = format!("t-{}-", ulid::Ulid::new().to_string().to_lowercase());
        let own = [
            ("BELLHOP_REDIS__URL", shared_redis()),
            ("BELLHOP_REDIS__PREFIX", prefix.clone()),
            ("BELLHOP_ELASTICSEARCH__URL", shared_url()),
            ("BELLHOP_ELASTICSEARCH__PREFIX", prefix),
            ("BELLHOP_WHATSAPP__BASE_URL", simulator.whatsapp_base_url()),
            ("BELLHOP_TWILIO__BASE_URL", simulator.twilio_base_url()),
            ("BELLHOP_GUEST__URL", simulator.guest_url()),
        ];
        let short = SHORT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        // An empty variable says nothing: what is to be absent is left out.
        let absent: Vec<&str> =
            self.env.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| name.as_str()).collect();
        let given = short.chain(own).filter(|(name, _)| !absent.contains(&name.as_str()));
        let given: Vec<(String, String)> = given.chain(self.env.iter().cloned()).collect();
        let mut config = Config::load(None, given.into_iter()).expect("a configuration");
        config.mongodb = database.config();
        config
    }
}

/// The shared Redis: `BELLHOP_TEST_REDIS`, else the usual port of this machine.
#[expect(clippy::disallowed_methods, reason = "tests are told their servers by their environment")]
pub(super) fn shared_redis() -> String {
    let told = std::env::var("BELLHOP_TEST_REDIS").ok().filter(|url| !url.is_empty());
    told.unwrap_or_else(|| "redis://127.0.0.1:6379/0".to_owned())
}
