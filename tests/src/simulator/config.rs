//! What a simulator is started with: its credentials, and the settings that may change while it runs.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A credential; its `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// One WhatsApp business number and the app it belongs to.
#[derive(Debug, Clone)]
pub struct WhatsappNumber {
    pub phone_number_id: String,
    /// Digits only, as Meta shows it in `metadata.display_phone_number`.
    pub display_phone_number: String,
    pub access_token: Secret,
    /// Signs the webhooks of this number.
    pub app_secret: Secret,
}

/// One Twilio account.
#[derive(Debug, Clone)]
pub struct TwilioAccount {
    /// `AC` and 32 hex digits.
    pub account_sid: String,
    /// Basic password, and the key of the webhook signatures.
    pub auth_token: Secret,
    /// The senders this account owns; empty = any valid number may send.
    pub numbers: Vec<String>,
}

/// Everything a simulator needs at start. `Default` holds the development credentials.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    pub whatsapp: Vec<WhatsappNumber>,
    /// The id of the WhatsApp business account in webhook envelopes.
    pub waba_id: String,
    /// Sent as `hub.verify_token` by the subscription handshake.
    pub verify_token: Secret,
    pub twilio: Vec<TwilioAccount>,
    /// `whsec_` and base64: verifies what reaches the guest platform, signs what it sends.
    pub guest_secret: Secret,
    /// Appends each accepted send as one JSON line.
    pub record: Option<PathBuf>,
    pub settings: Settings,
}

/// What may be changed while the simulator runs, by [`super::Simulator::configure`] or `POST /_sim/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Where the product is reached, without a trailing slash; `None` = no WhatsApp webhooks.
    pub webhook_base: Option<String>,
    /// Connect to `webhook_base` for Twilio callbacks too, while signing the URL as it was given.
    pub rewrite_callbacks: bool,
    /// How long an accepted request waits for its answer, in milliseconds.
    pub answer_delay_ms: u64,
    /// Obey the markers and magic recipients of docs/SIMULATOR.md.
    pub magic: bool,
    pub statuses: StatusPlan,
    pub limits: Limits,
    /// How long Twilio's message list hides a new message, in milliseconds.
    pub twilio_list_lag_ms: u64,
    /// How long a webhook that finds nobody, or a 5xx, is tried again, in milliseconds.
    pub webhook_retry_for_ms: u64,
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

/// The phone number id of the development number.
pub const DEV_PHONE_NUMBER_ID: &str = "100000000000001";
/// The display number of the development number.
pub const DEV_DISPLAY_NUMBER: &str = "15550783881";
/// The bearer token of the development number.
pub const DEV_ACCESS_TOKEN: &str = "dev-access-token";
/// The app secret of the development number.
pub const DEV_APP_SECRET: &str = "dev-app-secret";
/// The webhook verify token.
pub const DEV_VERIFY_TOKEN: &str = "dev-verify-token";
/// The Twilio account of development.
pub const DEV_ACCOUNT_SID: &str = "AC00000000000000000000000000000001";
/// Its auth token.
pub const DEV_AUTH_TOKEN: &str = "dev-auth-token";
/// The guest platform's signing secret in development.
pub const DEV_GUEST_SECRET: &str = "whsec_ZGV2ZWxvcG1lbnQtZ3Vlc3QtcGxhdGZvcm0tc2VjcmV0";

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            whatsapp: vec![WhatsappNumber {
                phone_number_id: DEV_PHONE_NUMBER_ID.to_owned(),
                display_phone_number: DEV_DISPLAY_NUMBER.to_owned(),
                access_token: DEV_ACCESS_TOKEN.into(),
                app_secret: DEV_APP_SECRET.into(),
            }],
            waba_id: "102290129340398".to_owned(),
            verify_token: DEV_VERIFY_TOKEN.into(),
            twilio: vec![TwilioAccount {
                account_sid: DEV_ACCOUNT_SID.to_owned(),
                auth_token: DEV_AUTH_TOKEN.into(),
                numbers: Vec::new(),
            }],
            guest_secret: DEV_GUEST_SECRET.into(),
            record: None,
            settings: Settings::default(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            webhook_base: None,
            rewrite_callbacks: false,
            answer_delay_ms: 0,
            magic: true,
            statuses: StatusPlan::default(),
            limits: Limits::default(),
            twilio_list_lag_ms: 0,
            webhook_retry_for_ms: 600_000,
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
        }
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
