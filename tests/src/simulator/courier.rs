//! Posts webhooks to the product, and tries again while nobody takes them.
//!
//! Each is a small sleeping task until it is due; then it goes out alone, or waits a moment for others of its batch.
//! At most [`SLOTS`] are on the wire at once, and while the product cannot be reached they wait together, so that an
//! outage does not become a storm of connects.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use parking_lot::Mutex;
use rand::Rng as _;
use shared::task;
use tokio::sync::Semaphore;

use super::Sim;
use super::customer::GuestReply;
use super::inbound::Inbound;
use super::letters::{self, Item, Webhook};
use super::record::Accepted;
use super::statuses::{self, Step};
use super::templates::Template;
use super::traffic::{Delivery, Posted};

/// Webhooks on the wire at once.
const SLOTS: usize = 32;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The longest common wait while the product cannot be reached.
const PAUSE_MAX: Duration = Duration::from_secs(1);

pub(super) struct Courier {
    client: reqwest::Client,
    slots: Semaphore,
    reach: Mutex<Reach>,
    /// What waits for others to share a webhook with.
    batches: Mutex<HashMap<String, Vec<Item>>>,
}

/// Whether connections to the product succeed.
#[derive(Default)]
struct Reach {
    failures: u32,
    paused_until: Option<Instant>,
}

/// What came of one try.
enum Tried {
    /// Answered with this status.
    Answered(u16),
    /// No answer: `connect`, `timeout` or `broken`.
    Nothing(&'static str),
}

impl Courier {
    /// # Errors
    /// When the HTTP client cannot be built.
    pub(super) fn new() -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIMEOUT)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(SLOTS)
            .user_agent("provider-simulator/1")
            .build()?;
        let (reach, batches) = (Mutex::new(Reach::default()), Mutex::default());
        Ok(Self { client, slots: Semaphore::new(SLOTS), reach, batches })
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    async fn post(&self, url: &str, webhook: &Webhook, token: &str) -> Tried {
        let request = self.client.post(url).header("I-Twilio-Idempotency-Token", token);
        let with = |request: reqwest::RequestBuilder, (name, value): &(&'static str, String)| {
            request.header(*name, value)
        };
        let request = webhook.headers.iter().fold(request, with).body(webhook.body.clone());
        match Box::pin(request.send()).await {
            Ok(response) => {
                self.reach.lock().failures = 0;
                let status = response.status().as_u16();
                // Reading the body to its end lets the connection be used again.
                let _body = response.bytes().await;
                Tried::Answered(status)
            }
            Err(error) if error.is_connect() => {
                let mut reach = self.reach.lock();
                reach.failures = reach.failures.saturating_add(1);
                reach.paused_until = Some(Instant::now() + backoff(reach.failures).min(PAUSE_MAX));
                Tried::Nothing("connect")
            }
            Err(error) if error.is_timeout() => Tried::Nothing("timeout"),
            Err(_) => Tried::Nothing("broken"),
        }
    }

    /// How long everybody waits because the product could not be reached.
    fn pause(&self) -> Option<Duration> {
        let mut reach = self.reach.lock();
        let left = reach.paused_until?.checked_duration_since(Instant::now());
        if left.is_none() {
            reach.paused_until = None;
        }
        left
    }
}

/// Schedules all webhooks of an accepted message.
pub(super) fn announce(sim: &Arc<Sim>, accepted: &Arc<Accepted>) {
    let plan = sim.settings.read().statuses.clone();
    if !plan.enabled || accepted.steps.is_empty() {
        return;
    }
    let times = statuses::schedule(&plan, &accepted.steps, accepted.n);
    for (step, after) in accepted.steps.iter().zip(times) {
        for _ in 0..plan.copies {
            tell(sim, accepted, step.clone(), after);
        }
    }
}

/// Tells one step of a message after `after`, in the background.
pub(super) fn tell(sim: &Arc<Sim>, accepted: &Arc<Accepted>, step: Step, after: Duration) {
    send(sim, Item::Status(accepted.clone(), step), after);
}

/// Brings a customer's message, as often and in such order as the plan says.
pub(super) fn bring(sim: &Arc<Sim>, inbound: Inbound) {
    let plan = sim.settings.read().inbound.clone();
    let mut dice = plan.shuffle_seed.map(|seed| statuses::dice(seed, inbound.n));
    let inbound = Arc::new(inbound);
    for _ in 0..plan.copies {
        let after = dice.as_mut().map_or(0, |dice| dice.random_range(0..=plan.spread_ms));
        send(sim, Item::Inbound(inbound.clone()), Duration::from_millis(after));
    }
}

/// Brings a reply of the guest platform, likewise; answers its webhook id.
pub(super) fn bring_reply(sim: &Arc<Sim>, reply: GuestReply) -> String {
    let plan = sim.settings.read().inbound.clone();
    let n = sim.next_inbound();
    let mut dice = plan.shuffle_seed.map(|seed| statuses::dice(seed, n));
    let id: Arc<str> = format!("msg_{}{n:x}", sim.record.run()).into();
    let (reply, at) = (Arc::new(reply), Utc::now());
    for _ in 0..plan.copies {
        let after = dice.as_mut().map_or(0, |dice| dice.random_range(0..=plan.spread_ms));
        send(sim, Item::Reply(reply.clone(), id.clone(), at), Duration::from_millis(after));
    }
    id.to_string()
}

/// Tells that a template came into another status.
pub(super) fn tell_template(sim: &Arc<Sim>, template: Template) {
    send(sim, Item::Template(Arc::new(template)), Duration::ZERO);
}

fn send(sim: &Arc<Sim>, item: Item, after: Duration) {
    in_background(sim, |sim| async move {
        tokio::time::sleep(after).await;
        match batch_of(&sim, &item) {
            Some((batch, most, wait)) => join(&sim, item, batch, most, wait).await,
            None => deliver(&sim, &[item]).await,
        }
    });
}

/// Runs until the end, or until the simulator stops.
fn in_background<F: Future<Output = ()> + Send + 'static>(sim: &Arc<Sim>, work: impl FnOnce(Arc<Sim>) -> F) {
    let (mut stop, work) = (sim.stop.subscribe(), work(sim.clone()));
    task::spawn("simulator-webhook", async move {
        tokio::select! {
            () = work => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}

/// The batch that `item` may go with, how many that holds, and how long its first waits; `None` to go alone.
fn batch_of(sim: &Sim, item: &Item) -> Option<(String, usize, Duration)> {
    let settings = sim.settings.read();
    let (most, wait) = match item {
        Item::Inbound(_) => (settings.inbound.batch, settings.inbound.batch_ms),
        _ => (settings.statuses.batch, settings.statuses.batch_ms),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    (most > 1).then(|| item.batch()).flatten().map(|batch| (batch, most, Duration::from_millis(wait)))
}

/// Waits with others of the batch; the one that fills it, or the first after its wait, brings them all.
async fn join(sim: &Arc<Sim>, item: Item, batch: String, most: usize, wait: Duration) {
    let waiting = {
        let mut batches = sim.courier.batches.lock();
        let waiting = batches.entry(batch.clone()).or_default();
        waiting.push(item);
        match waiting.len() {
            full if full >= most => batches.remove(&batch),
            1 => None,
            _ => return,
        }
    };
    let together = match waiting {
        Some(full) => full,
        None => {
            tokio::time::sleep(wait).await;
            sim.courier.batches.lock().remove(&batch).unwrap_or_default()
        }
    };
    deliver(sim, &together).await;
}

async fn deliver(sim: &Sim, items: &[Item]) {
    let started = Instant::now();
    let token = format!("{:032x}", rand::random::<u128>());
    let mut attempt = 0;
    loop {
        attempt += 1;
        let Some(outcome) = try_once(sim, items, attempt, &token).await else { return };
        let (retry_for, any) = {
            let settings = sim.settings.read();
            (Duration::from_millis(settings.webhook_retry_for_ms), settings.webhook_retry_refusals)
        };
        if !is_worth_another(&outcome, any) {
            return;
        }
        let wait = backoff(attempt);
        if started.elapsed() + wait > retry_for {
            log(sim, items, attempt, &Tried::Nothing("given_up"), Duration::ZERO, None);
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// `None` when there is no address to post to.
async fn try_once(sim: &Sim, items: &[Item], attempt: u32, token: &str) -> Option<Tried> {
    let _slot = sim.courier.slots.acquire().await.ok()?;
    while let Some(pause) = sim.courier.pause() {
        tokio::time::sleep(pause).await;
    }
    let webhook = letters::write(sim, items)?;
    let url = reachable(sim, &webhook.url);
    let started = Instant::now();
    let tried = sim.courier.post(&url, &webhook, token).await;
    let kept = sim.settings.read().keep_webhooks.then(|| Arc::new(posted(webhook)));
    log(sim, items, attempt, &tried, started.elapsed(), kept);
    Some(tried)
}

fn posted(webhook: Webhook) -> Posted {
    let headers: BTreeMap<&'static str, String> = webhook.headers.into_iter().collect();
    Posted { url: webhook.url, headers, body: webhook.body }
}

/// The URL to connect to: as signed, or its path on the webhook base when callbacks are rewritten.
fn reachable(sim: &Sim, url: &str) -> String {
    let settings = sim.settings.read();
    match (&settings.webhook_base, url::Url::parse(url)) {
        (Some(base), Ok(parsed)) if settings.rewrite_callbacks => {
            let query = parsed.query().map(|query| format!("?{query}")).unwrap_or_default();
            format!("{base}{}{query}", parsed.path())
        }
        _ => url.to_owned(),
    }
}

fn is_worth_another(tried: &Tried, any_refusal: bool) -> bool {
    match tried {
        Tried::Answered(200..=299) => false,
        Tried::Answered(status) => any_refusal || matches!(status, 408 | 429 | 500..=599),
        Tried::Nothing(_) => true,
    }
}

fn backoff(attempt: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

/// One entry for each of the items, which share what was posted.
fn log(sim: &Sim, items: &[Item], attempt: u32, tried: &Tried, took: Duration, posted: Option<Arc<Posted>>) {
    let (answer, error) = match tried {
        Tried::Answered(status) => (Some(*status), None),
        Tried::Nothing(error) => (None, Some(*error)),
    };
    for item in items {
        sim.deliveries.push(|n| Delivery {
            n,
            at: Utc::now(),
            provider: item.provider(),
            status: item.status().to_owned(),
            provider_id: item.provider_id().to_owned(),
            key: item.key().cloned(),
            attempt,
            answer,
            error,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            together: u32::try_from(items.len()).unwrap_or(u32::MAX),
            request: posted.clone(),
        });
    }
}
