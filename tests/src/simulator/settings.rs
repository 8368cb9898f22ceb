//! The settings of a simulator that may change while it runs: what it sends by itself, and how strictly it judges.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What may be changed while the simulator runs, by [`super::Simulator::configure`] or `POST /_sim/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Where the product is reached, without a trailing slash; `None` = no WhatsApp webhooks.
    pub webhook_base: Option<String>,
    /// The product's public URL, for which Twilio signs customers' messages; `None` = `webhook_base`.
    pub public_url: Option<String>,
    /// Connect to `webhook_base` for Twilio callbacks too, while signing the URL as it was given.
    pub rewrite_callbacks: bool,
    /// How long an accepted request waits for its answer, in milliseconds.
    pub answer_delay_ms: u64,
    /// Obey the markers and magic recipients of docs/SIMULATOR.md.
    pub magic: bool,
    pub statuses: StatusPlan,
    pub inbound: InboundPlan,
    pub limits: Limits,
    pub fidelity: Fidelity,
    /// How long Twilio's message list hides a new message, in milliseconds.
    pub twilio_list_lag_ms: u64,
    /// How long a webhook that finds nobody, or a 5xx, is tried again, in milliseconds.
    pub webhook_retry_for_ms: u64,
    /// Try again after any answer but a 2xx, as Meta does, not only after 408, 429 and 5xx.
    pub webhook_retry_refusals: bool,
    /// Keep what each webhook held, for [`super::Delivery::request`]; memory grows with each.
    pub keep_webhooks: bool,
}

/// Which status webhooks follow an accepted send, and when, in milliseconds after the acceptance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusPlan {
    pub enabled: bool,
    pub sent_ms: u64,
    pub delivered_ms: u64,
    pub read_ms: u64,
    /// Also send `read` (WhatsApp).
    pub read: bool,
    /// How often each webhook is posted; 2 and more make duplicates.
    pub copies: u32,
    /// Set: each message's statuses arrive in an order drawn from this seed and its number.
    pub shuffle_seed: Option<u64>,
    /// WhatsApp statuses of one number that are put into one webhook at most; 1 = each alone.
    pub batch: u32,
    /// How long the first of a batch waits for others, in milliseconds.
    pub batch_ms: u64,
    /// The answer to a send waits until the webhook of its first status was taken (two seconds at most).
    pub before_answer: bool,
    /// Of 100 accepted sends so many fail in a status, with a code drawn from `fail_codes`.
    pub fail_percent: u32,
    /// Codes that fit the provider; none: 131026 and 30003.
    pub fail_codes: Vec<u32>,
    /// Of 100 status webhooks so many come late.
    pub late_percent: u32,
    /// How late they are, in milliseconds.
    pub late_ms: u64,
    /// Decides with the message's number which fail and which are late.
    pub seed: u64,
}

/// How customers' messages reach the product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboundPlan {
    /// How often each webhook is posted.
    pub copies: u32,
    /// Set: each is delayed by up to `spread_ms`, drawn from this seed and its number, so that they arrive shuffled.
    pub shuffle_seed: Option<u64>,
    pub spread_ms: u64,
    /// WhatsApp messages to one number that are put into one webhook at most; 1 = each alone.
    pub batch: u32,
    /// How long the first of a batch waits for others, in milliseconds.
    pub batch_ms: u64,
}

/// What is judged as strictly as the providers do. Everything is off by default: the tests of the product's other
/// parts are not about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fidelity {
    /// What becomes of a WhatsApp message that is no template, outside the customer's window.
    pub windows: WindowRule,
    /// Templates must be in the catalogue, approved, and filled as they ask.
    pub templates: bool,
    /// Media ids must be known and not expired; limits of type and size.
    pub media: bool,
    /// 21610 after STOP; 131050 for marketing templates to who stopped them.
    pub opt_outs: bool,
}

/// What becomes of a message outside the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowRule {
    /// It is accepted.
    #[default]
    Off,
    /// It is refused with 131047.
    Refuse,
    /// It is accepted, and a status tells of 131047.
    Fail,
}

impl Fidelity {
    /// As strict as the providers.
    pub fn full() -> Self {
        Self { windows: WindowRule::Refuse, templates: true, media: true, opt_outs: true }
    }
}

/// The providers' rate limits; off by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    pub enabled: bool,
    /// WhatsApp messages per second and sender number; above: 130429.
    pub whatsapp_per_sec: u32,
    /// Seconds that one message to one recipient costs.
    pub whatsapp_pair_secs: u32,
    /// Messages to one recipient that may be borrowed from the future; above: 131056.
    pub whatsapp_pair_burst: u32,
    /// Twilio requests per second and account; above: 20429.
    pub twilio_per_sec: u32,
    /// Twilio sends in flight per simulator; above: 20429. 0 = no limit.
    pub twilio_concurrency: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            webhook_base: None,
            public_url: None,
            rewrite_callbacks: false,
            answer_delay_ms: 0,
            magic: true,
            statuses: StatusPlan::default(),
            inbound: InboundPlan::default(),
            limits: Limits::default(),
            fidelity: Fidelity::default(),
            twilio_list_lag_ms: 0,
            webhook_retry_for_ms: 600_000,
            webhook_retry_refusals: false,
            keep_webhooks: false,
        }
    }
}

impl Settings {
    pub(super) fn answer_delay(&self) -> Duration {
        Duration::from_millis(self.answer_delay_ms)
    }
}

impl Default for StatusPlan {
    fn default() -> Self {
        Self {
            enabled: true,
            sent_ms: 20,
            delivered_ms: 50,
            read_ms: 90,
            read: false,
            copies: 1,
            shuffle_seed: None,
            batch: 1,
            batch_ms: 50,
            before_answer: false,
            fail_percent: 0,
            fail_codes: Vec::new(),
            late_percent: 0,
            late_ms: 2_000,
            seed: 0,
        }
    }
}

impl Default for InboundPlan {
    fn default() -> Self {
        Self { copies: 1, shuffle_seed: None, spread_ms: 200, batch: 1, batch_ms: 50 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: false,
            whatsapp_per_sec: 80,
            whatsapp_pair_secs: 6,
            whatsapp_pair_burst: 45,
            twilio_per_sec: 100,
            twilio_concurrency: 0,
        }
    }
}
