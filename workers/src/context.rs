//! What every job may use: stores, providers, and the batched reads and writes of projections.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shared::channels::ChannelBook;
use shared::config::Config;
use shared::ledger::Ledger;
use shared::live::LivePublisher;
use shared::mail::{Mailer, Unsubscribe};
use shared::presence::{Presence, RedisPresence};
use shared::providers::{
    CircuitPolicy, Circuits, Classes, Transport, TransportOptions, guest, twilio, whatsapp,
};
use shared::queue::{Pacer, Wakeups};
use shared::search::{BatchLimits, Batcher, SearchIndex};
use shared::store::Store;

use crate::batches::{Reads, Writes};
use crate::effect::Turns;

/// Rest of the indexer after a small bulk.
const INDEX_REST: std::time::Duration = std::time::Duration::from_millis(150);

/// Shared by all workers of a process.
#[derive(Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub store: Store,
    pub ledger: Ledger,
    pub wakeups: Wakeups,
    /// Tells live sockets what happened.
    pub live: LivePublisher,
    pub index: SearchIndex,
    pub batcher: Batcher,
    pub providers: Providers,
    /// By which number or address an account sends.
    pub channels: ChannelBook,
    pub presence: Arc<dyn Presence>,
    /// How fast numbers of ours may send.
    pub pacer: Pacer,
    pub turns: Turns,
    pub reads: Reads,
    pub writes: Writes,
    /// The process: `{host}-{pid}-{ulid}`.
    pub process: Arc<str>,
}

/// The ways out.
#[derive(Clone)]
pub struct Providers {
    pub whatsapp: whatsapp::Client,
    pub twilio: twilio::Client,
    pub guest: guest::Client,
    /// None where no mail server is configured.
    pub mail: Option<Mailer>,
    pub unsubscribe: Unsubscribe,
    pub classes: Arc<Classes>,
    pub circuits: Arc<Circuits>,
}

impl Context {
    /// Opens every door; none of the servers need be there yet.
    ///
    /// # Errors
    /// When a URL cannot be read.
    pub async fn open(config: Arc<Config>) -> anyhow::Result<Self> {
        let store = Store::connect(&config.mongodb).await.context("prepare mongodb")?;
        let redis = &config.redis;
        let wakeups =
            Wakeups::new(redis.url.expose(), &redis.prefix, redis.stream_cap).context("prepare redis")?;
        let live = LivePublisher::start(redis.url.expose(), &redis.prefix).context("prepare redis")?;
        let elastic = &config.elasticsearch;
        let index =
            SearchIndex::new(elastic.url.expose(), &elastic.prefix).context("prepare elasticsearch")?;
        let ledger = Ledger::new(&store, config.jobs.lease);
        Ok(Self {
            batcher: Batcher::start(
                index.clone(),
                BatchLimits { rest: INDEX_REST, ..BatchLimits::default() },
            ),
            providers: Providers::open(&config)?,
            channels: ChannelBook::open(&config, &store),
            presence: Arc::new(
                RedisPresence::new(redis.url.expose(), &redis.prefix).context("prepare presence")?,
            ),
            pacer: Pacer::new(redis.url.expose(), &redis.prefix).context("prepare redis")?,
            turns: Turns::default(),
            reads: Reads::start(&store, &ledger),
            writes: Writes::start(&store, &ledger),
            process: process_name().into(),
            config,
            store,
            ledger,
            wakeups,
            live,
            index,
        })
    }
}

impl Providers {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let options = TransportOptions {
            deadline: config.delivery.timeout,
            allow_private: config.net.allow_private,
            ..TransportOptions::default()
        };
        let transport = Transport::new(options).context("prepare the connections to providers")?;
        let classes = Classes::load(config.delivery.error_classes.clone()).context("load error classes")?;
        let classes = Arc::new(classes);
        let mail = config
            .smtp
            .as_ref()
            .map(|smtp| Mailer::new(smtp, &config.public_url, config.delivery.timeout, Arc::clone(&classes)));
        Ok(Self {
            mail: mail.transpose()?,
            unsubscribe: Unsubscribe::new(config),
            whatsapp: whatsapp::Client::new(transport.clone(), Arc::clone(&classes)),
            twilio: twilio::Client::new(transport.clone(), Arc::clone(&classes)),
            guest: guest::Client::new(transport, Arc::clone(&classes)),
            classes,
            circuits: Arc::new(Circuits::new(CircuitPolicy::default())),
        })
    }
}

pub(crate) fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    format!("{host}-{}-{}", std::process::id(), ulid::Ulid::new())
}

/// How long a projection may take before it counts as failed.
pub const PROJECTION_TIMEOUT: Duration = Duration::from_secs(60);
