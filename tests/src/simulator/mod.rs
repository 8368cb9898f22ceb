//! The three providers in one process: WhatsApp Cloud, Twilio and the guest platform.
//!
//! [`Simulator`] is started by tests on a free port, and by the `simulator` binary for development and
//! benchmarks. Its record of what was accepted is append-only and judges duplicates; faults are scripted with
//! [`FaultRule`], or over HTTP under `/_sim`. There are no globals: many simulators live in one process.

mod codes;
mod config;
mod control;
mod courier;
mod customer;
mod exchange;
mod fault;
mod guest;
mod inbound;
mod judge;
mod letters;
mod limits;
mod magic;
mod media;
mod page;
mod people;
mod record;
mod reply;
mod route;
mod segments;
mod server;
mod settings;
pub mod signature;
mod sim;
mod statuses;
mod strict;
mod template_sends;
mod templates;
#[cfg(test)]
mod tests;
mod traffic;
mod twilio;
mod twilio_lookup;
mod whatsapp;
mod whatsapp_content;
mod whatsapp_interactive;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::codes::{twilio_codes, whatsapp_codes};
pub use self::config::{
    DEV_ACCESS_TOKEN, DEV_ACCOUNT_SID, DEV_APP_SECRET, DEV_AUTH_TOKEN, DEV_DISPLAY_NUMBER, DEV_GUEST_SECRET,
    DEV_PHONE_NUMBER_ID, DEV_SMS_NUMBER, DEV_VERIFY_TOKEN, Secret, SimulatorConfig, TwilioAccount,
    WhatsappNumber,
};
pub use self::customer::{Customer, GuestReply, InboundOrder};
pub use self::fault::{Action, Answer, FaultRule, FaultState};
pub use self::inbound::{Content, Media, Way};
pub use self::people::Identity;
pub use self::record::{Accepted, Provider, Repeated};
pub use self::settings::{Fidelity, InboundPlan, Limits, Settings, StatusPlan, WindowRule};
pub use self::templates::Template;
pub use self::traffic::{Delivery, Operation, Outcome, Posted, Seen};

/// How long [`Simulator::stop`] waits for connections and webhooks to end.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Records that the error of a wait shows.
const NEWEST_SHOWN: usize = 5;

/// A running simulator; it stops when dropped.
pub struct Simulator {
    sim: Arc<Sim>,
    address: SocketAddr,
}

/// What all connections share.
struct Sim {
    config: SimulatorConfig,
    settings: RwLock<Settings>,
    record: record::Record,
    seen: traffic::Log<Seen>,
    deliveries: traffic::Log<Delivery>,
    faults: fault::FaultBook,
    limiter: limits::Limiter,
    courier: courier::Courier,
    people: people::People,
    media: media::MediaStore,
    templates: templates::Catalogue,
    /// `http://host:port`, where those on this machine reach the simulator.
    own_url: String,
    inbound: AtomicU64,
    stop: watch::Sender<bool>,
}

/// A status webhook sent by hand, for a message that was accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusOrder {
    /// The provider's id of the message, or its key, or the job within the key.
    pub message: String,
    pub status: String,
    /// The error code of a failure.
    pub code: Option<u32>,
    /// How often the webhook is posted; 1 unless set.
    pub copies: Option<u32>,
}

impl Simulator {
    /// Starts on the address of `config` (port 0 takes a free one), within the current tokio runtime.
    ///
    /// # Panics
    /// When the address or the record file is not to be had; [`Simulator::bind`] returns that as an error.
    #[track_caller]
    pub fn start(config: SimulatorConfig) -> Self {
        Self::bind(config).expect("the simulator's address and record file are free")
    }

    /// As [`Simulator::start`].
    ///
    /// # Errors
    /// When the address cannot be bound, the record file not opened or the HTTP client not built.
    pub fn bind(config: SimulatorConfig) -> io::Result<Self> {
        let listener = server::bind(config.listen)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let sim = Arc::new(Sim {
            settings: RwLock::new(config.settings.clone()),
            record: record::Record::open(config.record.as_deref())?,
            seen: traffic::Log::new(),
            deliveries: traffic::Log::new(),
            faults: fault::FaultBook::default(),
            limiter: limits::Limiter::default(),
            courier: courier::Courier::new().map_err(io::Error::other)?,
            people: people::People::default(),
            media: media::MediaStore::default(),
            templates: templates::Catalogue::new(config.templates.clone()),
            own_url: sim::own_url(address),
            inbound: AtomicU64::new(0),
            stop,
            config,
        });
        shared::task::spawn("simulator", server::run(sim.clone(), listener, stopped));
        Ok(Self { sim, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://host:port`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `BELLHOP_WHATSAPP__BASE_URL` is set to.
    pub fn whatsapp_base_url(&self) -> String {
        format!("{}/whatsapp/v24.0", self.url())
    }

    /// What `BELLHOP_TWILIO__BASE_URL` is set to.
    pub fn twilio_base_url(&self) -> String {
        format!("{}/twilio", self.url())
    }

    /// What `BELLHOP_GUEST__URL` is set to.
    pub fn guest_url(&self) -> String {
        format!("{}/guest/events", self.url())
    }

    /// Everything accepted so far, in order.
    pub fn accepted(&self) -> Vec<Arc<Accepted>> {
        self.sim.record.all()
    }

    /// How many sends were accepted so far.
    pub fn accepted_count(&self) -> usize {
        self.sim.record.len()
    }

    /// The accepted sends of one job, in order.
    pub fn accepted_of(&self, provider: Provider, job: &str) -> Vec<Arc<Accepted>> {
        self.sim.record.of_job(provider, job)
    }

    /// Jobs that were accepted more than once.
    pub fn duplicates(&self) -> Vec<Repeated> {
        self.sim.record.repeated()
    }

    /// Waits until `done` holds for the accepted sends, and returns them. Woken by each acceptance, no polling.
    ///
    /// # Errors
    /// When it does not hold within `timeout`.
    pub async fn wait_for<F>(&self, mut done: F, timeout: Duration) -> anyhow::Result<Vec<Arc<Accepted>>>
    where
        F: FnMut(&[Arc<Accepted>]) -> bool,
    {
        let mut grown = self.sim.record.watch();
        let mut records = Vec::new();
        let waited = tokio::time::timeout(timeout, async {
            loop {
                grown.borrow_and_update();
                records.extend(self.sim.record.after(records.len() as u64, usize::MAX));
                if done(&records) || grown.changed().await.is_err() {
                    return;
                }
            }
        });
        match waited.await {
            Ok(()) => Ok(records),
            Err(_) => {
                let newest = &records[records.len().saturating_sub(NEWEST_SHOWN)..];
                bail!("waited {timeout:?} for accepted sends, had {}, the newest {newest:?}", records.len())
            }
        }
    }

    /// Every request seen (the newest 200,000), with its outcome.
    pub fn requests(&self) -> Vec<Seen> {
        self.sim.seen.after(0, usize::MAX)
    }

    /// Waits until `done` holds for the requests seen, pending ones among them, and returns them.
    ///
    /// `done` runs under the log's lock: it must not call the simulator.
    ///
    /// # Errors
    /// When it does not hold within `timeout`.
    pub async fn wait_for_requests<F>(&self, done: F, timeout: Duration) -> anyhow::Result<Vec<Seen>>
    where
        F: FnMut(&[Seen]) -> bool,
    {
        wait_for_log(&self.sim.seen, done, timeout).await.context("requests")
    }

    /// Every try to deliver a webhook (the newest 200,000).
    pub fn webhooks(&self) -> Vec<Delivery> {
        self.sim.deliveries.after(0, usize::MAX)
    }

    /// As [`Simulator::wait_for_requests`], for webhooks.
    ///
    /// # Errors
    /// When it does not hold within `timeout`.
    pub async fn wait_for_webhooks<F>(&self, done: F, timeout: Duration) -> anyhow::Result<Vec<Delivery>>
    where
        F: FnMut(&[Delivery]) -> bool,
    {
        wait_for_log(&self.sim.deliveries, done, timeout).await.context("webhooks")
    }

    /// Adds a fault rule and returns its id; the first rule that acts on a request wins.
    pub fn fault(&self, rule: FaultRule) -> u64 {
        self.sim.faults.add(rule)
    }

    /// The rules in force with their counters.
    pub fn faults(&self) -> Vec<FaultState> {
        self.sim.faults.list()
    }

    /// Removes one rule.
    pub fn remove_fault(&self, id: u64) {
        self.sim.faults.clear(Some(id));
    }

    /// Removes all rules.
    pub fn clear_faults(&self) {
        self.sim.faults.clear(None);
    }

    /// Where the product is reached, from now on, also by webhooks that wait for another try.
    pub fn set_webhook_base(&self, url: impl Into<String>) {
        self.sim.settings.write().webhook_base = Some(url.into().trim_end_matches('/').to_owned());
    }

    /// Changes the settings for what is accepted from now on.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.sim.settings.write());
    }

    /// Sends a status webhook by hand, whatever the plan says; returns how many were scheduled.
    ///
    /// # Errors
    /// When no such message was accepted.
    pub fn send_status(&self, order: &StatusOrder) -> anyhow::Result<u32> {
        self.sim.send_status(order).map_err(anyhow::Error::msg)
    }

    /// Changes the template catalogue; no webhook tells of it.
    pub fn change_templates(&self, change: impl FnOnce(&mut Vec<Template>)) {
        self.sim.templates.change(change);
    }

    /// Puts a template into another status (`PAUSED`, `APPROVED` …) and tells the product by a webhook.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn template_becomes(&self, name: &str, language: &str, status: &str) -> anyhow::Result<()> {
        self.sim.template_becomes(name, language, status).map_err(anyhow::Error::msg)
    }

    /// Ends the time of every address of a medium that was given out so far.
    pub fn expire_media_addresses(&self) {
        self.sim.media.expire_addresses();
    }

    /// Forgets a medium, as when its time is over.
    pub fn forget_medium(&self, id: &str) {
        self.sim.media.forget(id);
    }

    /// Performs Meta's subscription handshake with the product.
    ///
    /// # Errors
    /// When the product does not answer 200 with the challenge.
    pub async fn verify_webhook(&self) -> anyhow::Result<()> {
        self.sim.verify_webhook().await.map_err(anyhow::Error::msg)
    }

    /// Stops in good order: no new connections, answers in progress are finished, webhooks are dropped.
    pub async fn stop(self) {
        self.sim.stop.send_replace(true);
        // Every connection and webhook holds a receiver until it has ended.
        let _late = tokio::time::timeout(STOP_WAIT, self.sim.stop.closed()).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.sim.stop.send_replace(true);
    }
}

async fn wait_for_log<T: Clone, F>(
    log: &traffic::Log<T>,
    mut done: F,
    timeout: Duration,
) -> anyhow::Result<Vec<T>>
where
    F: FnMut(&[T]) -> bool,
{
    let mut changed = log.watch();
    let waited = tokio::time::timeout(timeout, async {
        loop {
            changed.borrow_and_update();
            if let Some(entries) = log.read(|entries| done(entries).then(|| entries.to_vec())) {
                return entries;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    });
    waited.await.with_context(|| format!("waited {timeout:?}, had {}", log.read(<[T]>::len)))
}
