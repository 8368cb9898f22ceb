//! The three providers in one process: WhatsApp Cloud, Twilio and the guest platform.
//!
//! [`Simulator`] is started by tests on a free port, and by the `simulator` binary for development and
//! benchmarks. Its record of what was accepted is append-only and judges duplicates; faults are scripted with
//! [`FaultRule`], or over HTTP under `/_sim`. There are no globals: many simulators live in one process.

mod codes;
mod config;
mod control;
mod courier;
mod exchange;
mod fault;
mod guest;
mod judge;
mod limits;
mod magic;
mod record;
mod reply;
mod route;
mod server;
pub mod signature;
mod statuses;
#[cfg(test)]
mod tests;
mod traffic;
mod twilio;
mod twilio_lookup;
mod whatsapp;
mod whatsapp_content;

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::codes::{twilio_codes, whatsapp_codes};
pub use self::config::{
    DEV_ACCESS_TOKEN, DEV_ACCOUNT_SID, DEV_APP_SECRET, DEV_AUTH_TOKEN, DEV_DISPLAY_NUMBER, DEV_GUEST_SECRET,
    DEV_PHONE_NUMBER_ID, DEV_VERIFY_TOKEN, Limits, Secret, Settings, SimulatorConfig, StatusPlan,
    TwilioAccount, WhatsappNumber,
};
pub use self::fault::{Action, Answer, FaultRule, FaultState};
pub use self::record::{Accepted, Provider, Repeated};
pub use self::traffic::{Delivery, Operation, Outcome, Seen};

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

impl Sim {
    /// Waits `ms`, or until the simulator stops.
    async fn pause(&self, ms: Option<u64>) -> Result<(), reply::Abort> {
        let mut stop = self.stop.subscribe();
        let slept = async {
            match ms {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = slept => Ok(()),
            _ = stop.wait_for(|stop| *stop) => Err(reply::Abort::Close),
        }
    }

    fn send_status(self: &Arc<Self>, order: &StatusOrder) -> Result<u32, String> {
        let by_job = |provider| {
            let job = order.message.as_str();
            let exact = job.rsplit_once('.').and_then(|(job, attempt)| {
                let attempt = attempt.parse().ok()?;
                self.record.of_job(provider, job).into_iter().find(|sent| sent.attempt == Some(attempt))
            });
            exact.or_else(|| self.record.of_job(provider, job).pop())
        };
        let found = self.record.by_provider_id(&order.message);
        let accepted = found
            .or_else(|| by_job(Provider::Whatsapp))
            .or_else(|| by_job(Provider::Twilio))
            .ok_or("no such message was accepted")?;
        let copies = order.copies.unwrap_or(1);
        for _ in 0..copies {
            let status = Cow::Owned(order.status.clone());
            let step = statuses::Step { status, after: Duration::ZERO, code: order.code };
            courier::send(self, &accepted, step, Duration::ZERO);
        }
        Ok(copies)
    }

    async fn verify_webhook(&self) -> Result<(), String> {
        let base = self.settings.read().webhook_base.clone().ok_or("no webhook base is set")?;
        let challenge = format!("{}", rand::random::<u32>());
        let request = self.courier.client().get(format!("{base}/webhooks/whatsapp")).query(&[
            ("hub.mode", "subscribe"),
            ("hub.verify_token", self.config.verify_token.0.as_str()),
            ("hub.challenge", challenge.as_str()),
        ]);
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = response.status();
        let body = response.text().await.map_err(|error| error.without_url().to_string())?;
        if status == reqwest::StatusCode::OK && body == challenge {
            Ok(())
        } else {
            Err(format!("the webhook answered {status} without the challenge"))
        }
    }
}
