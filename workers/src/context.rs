//! What every job may use: stores, providers, and the batched reads and writes of projections.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shared::config::Config;
use shared::domain::message::Message;
use shared::domain::thread::Thread;
use shared::ledger::{JobRow, Ledger};
use shared::live::LivePublisher;
use shared::mail::{Mailer, Unsubscribe};
use shared::presence::{Presence, RedisPresence};
use shared::providers::{
    CircuitPolicy, Circuits, Classes, Transport, TransportOptions, guest, twilio, whatsapp,
};
use shared::queue::Wakeups;
use shared::search::{BatchLimits, Batcher, SearchIndex};
use shared::store::{AuditRow, EventState, Reservation, Store, StoreError};

use crate::coalesce::Coalescer;

/// Keys in one read or write of a projection.
const BATCH_MAX: usize = 500;
/// Rest of the indexer after a small bulk.
const INDEX_REST: std::time::Duration = std::time::Duration::from_millis(150);

type Found<T> = Result<Option<T>, Arc<StoreError>>;
type Wrote = Result<(), Arc<StoreError>>;

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
    pub presence: Arc<dyn Presence>,
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

/// Batched reads: waiting jobs by id, documents by key.
#[derive(Clone)]
pub struct Reads {
    pub jobs: Coalescer<String, Found<JobRow>>,
    pub messages: Coalescer<String, Found<Message>>,
    pub threads: Coalescer<String, Found<Thread>>,
    pub reservations: Coalescer<String, Found<Reservation>>,
}

/// Batched writes: finished projections, audit rows.
#[derive(Clone)]
pub struct Writes {
    pub done: Coalescer<String, Wrote>,
    pub audit: Coalescer<AuditRow, Wrote>,
    pub events: Coalescer<(String, EventState), Wrote>,
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
            presence: Arc::new(
                RedisPresence::new(redis.url.expose(), &redis.prefix).context("prepare presence")?,
            ),
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
        let classes = Arc::new(Classes::load(None).context("load error classes")?);
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

impl Reads {
    fn start(store: &Store, ledger: &Ledger) -> Self {
        let (jobs, messages, threads, reservations) =
            (ledger.clone(), store.clone(), store.clone(), store.clone());
        Self {
            jobs: Coalescer::start("read_jobs", BATCH_MAX, move |ids: Vec<String>| {
                let ledger = jobs.clone();
                async move {
                    let refs: Vec<&str> = ids.iter().map(String::as_str).collect();
                    each(&ids, ledger.waiting(&refs).await)
                }
            }),
            messages: Coalescer::start("read_messages", BATCH_MAX, move |keys: Vec<String>| {
                let store = messages.clone();
                async move { each(&keys, store.messages_for_jobs(&keys).await) }
            }),
            threads: Coalescer::start("read_threads", BATCH_MAX, move |keys: Vec<String>| {
                let store = threads.clone();
                async move { each(&keys, store.threads_for_jobs(&keys).await) }
            }),
            reservations: Coalescer::start("read_reservations", BATCH_MAX, move |keys: Vec<String>| {
                let store = reservations.clone();
                async move { each(&keys, store.reservations_for_jobs(&keys).await) }
            }),
        }
    }
}

impl Writes {
    fn start(store: &Store, ledger: &Ledger) -> Self {
        let (ledger, audit, events) = (ledger.clone(), store.audit(), store.clone());
        Self {
            done: Coalescer::start("remove_done", BATCH_MAX, move |ids: Vec<String>| {
                let ledger = ledger.clone();
                async move {
                    let refs: Vec<&str> = ids.iter().map(String::as_str).collect();
                    same(ids.len(), ledger.remove_done(&refs).await)
                }
            }),
            audit: Coalescer::start("append_audit", BATCH_MAX, move |rows: Vec<AuditRow>| {
                let audit = audit.clone();
                async move { same(rows.len(), audit.append(&rows).await) }
            }),
            events: Coalescer::start("set_event_states", BATCH_MAX, move |states| {
                let store = events.clone();
                async move { same(states.len(), set_event_states(&store, &states).await) }
            }),
        }
    }
}

async fn set_event_states(store: &Store, states: &[(String, EventState)]) -> Result<(), StoreError> {
    for wanted in [EventState::Processed, EventState::Unrouted, EventState::Failed] {
        let ids: Vec<&str> = states.iter().filter(|(_, s)| *s == wanted).map(|(id, _)| id.as_str()).collect();
        if !ids.is_empty() {
            store.set_event_states(&ids, wanted).await?;
        }
    }
    Ok(())
}

/// One answer per key from what was found.
fn each<T: Clone>(keys: &[String], found: Result<HashMap<String, T>, StoreError>) -> Vec<Found<T>> {
    match found {
        Ok(found) => keys.iter().map(|key| Ok(found.get(key).cloned())).collect(),
        Err(error) => {
            let error = Arc::new(error);
            keys.iter().map(|_| Err(Arc::clone(&error))).collect()
        }
    }
}

fn same(n: usize, result: Result<(), StoreError>) -> Vec<Wrote> {
    let result = result.map_err(Arc::new);
    vec![result; n]
}

pub(crate) fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    format!("{host}-{}-{}", std::process::id(), ulid::Ulid::new())
}

/// How long a projection may take before it counts as failed.
pub const PROJECTION_TIMEOUT: Duration = Duration::from_secs(60);
