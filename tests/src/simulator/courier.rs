//! Posts status webhooks back to the product, and tries again while nobody takes them.
//!
//! Each webhook is a small sleeping task until it is due. At most [`SLOTS`] are on the wire at once, and while
//! the product cannot be reached they wait together, so that an outage does not become a storm of connects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use parking_lot::Mutex;
use reqwest::header::CONTENT_TYPE;
use shared::task;
use tokio::sync::Semaphore;

use super::Sim;
use super::record::Accepted;
use super::statuses::{self, Step, Webhook};
use super::traffic::Delivery;

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
        Ok(Self { client, slots: Semaphore::new(SLOTS), reach: Mutex::new(Reach::default()) })
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    async fn post(&self, url: &str, webhook: &Webhook, token: &str) -> Tried {
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, webhook.content_type)
            .header(webhook.signature_header, &webhook.signature)
            .header("I-Twilio-Idempotency-Token", token)
            .body(webhook.body.clone());
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
            send(sim, accepted, step.clone(), after);
        }
    }
}

/// Posts one webhook after `after`, in the background.
pub(super) fn send(sim: &Arc<Sim>, accepted: &Arc<Accepted>, step: Step, after: Duration) {
    let (sim, accepted) = (sim.clone(), accepted.clone());
    task::spawn("simulator-webhook", async move {
        let mut stop = sim.stop.subscribe();
        tokio::select! {
            () = deliver(&sim, &accepted, &step, after) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}

async fn deliver(sim: &Sim, accepted: &Accepted, step: &Step, after: Duration) {
    tokio::time::sleep(after).await;
    let started = Instant::now();
    let retry_for = Duration::from_millis(sim.settings.read().webhook_retry_for_ms);
    let token = format!("{:032x}", rand::random::<u128>());
    let mut attempt = 0;
    loop {
        attempt += 1;
        let Some(outcome) = try_once(sim, accepted, step, attempt, &token).await else { return };
        if !is_worth_another(&outcome) {
            return;
        }
        let wait = backoff(attempt);
        if started.elapsed() + wait > retry_for {
            log(sim, accepted, step, attempt, &Tried::Nothing("given_up"), Duration::ZERO);
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// `None` when there is no address to post to.
async fn try_once(sim: &Sim, accepted: &Accepted, step: &Step, attempt: u32, token: &str) -> Option<Tried> {
    let _slot = sim.courier.slots.acquire().await.ok()?;
    while let Some(pause) = sim.courier.pause() {
        tokio::time::sleep(pause).await;
    }
    let webhook = statuses::webhook(sim, accepted, step)?;
    let url = reachable(sim, &webhook.url);
    let started = Instant::now();
    let tried = sim.courier.post(&url, &webhook, token).await;
    log(sim, accepted, step, attempt, &tried, started.elapsed());
    Some(tried)
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

fn is_worth_another(tried: &Tried) -> bool {
    match tried {
        Tried::Answered(status) => matches!(status, 408 | 429 | 500..=599),
        Tried::Nothing(_) => true,
    }
}

fn backoff(attempt: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

fn log(sim: &Sim, accepted: &Accepted, step: &Step, attempt: u32, tried: &Tried, took: Duration) {
    let (answer, error) = match tried {
        Tried::Answered(status) => (Some(*status), None),
        Tried::Nothing(error) => (None, Some(*error)),
    };
    sim.deliveries.push(|n| Delivery {
        n,
        at: Utc::now(),
        provider: accepted.provider,
        status: step.status.clone().into_owned(),
        provider_id: accepted.provider_id.clone(),
        key: accepted.key.clone(),
        attempt,
        answer,
        error,
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
}
