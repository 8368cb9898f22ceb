//! One small struct per concern of the configuration; what a key means stands in `bellhop.default.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::reader::Reader;
use super::values::{KeyBytes, Network, Rate, Secret};

const MS: Duration = Duration::from_millis(1);
pub(super) const WEB: &[&str] = &["http", "https"];

/// Ingest's listeners and limits.
#[derive(Debug, Clone)]
pub struct Http {
    /// The public port.
    pub listen: SocketAddr,
    /// Metrics and health.
    pub admin_listen: SocketAddr,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Requests per caller.
    pub rate_limit: Rate,
    /// Requests at once per caller.
    pub rate_burst: NonZeroU32,
    /// After which a request is answered 503.
    pub request_timeout: Duration,
    /// Open connections at once.
    pub connections_max: usize,
    /// After which a connection without a request is closed.
    pub idle_timeout: Duration,
}

impl Http {
    pub(super) fn read(r: &mut Reader) -> Self {
        let one = NonZeroU32::MIN;
        Self {
            listen: r.address("http.listen"),
            admin_listen: r.address("http.admin_listen"),
            trusted_proxies: r.list("http.trusted_proxies"),
            rate_limit: r.own("http.rate_limit", SLOWEST),
            rate_burst: NonZeroU32::new(r.number("http.rate_burst", 1..=1_000_000)).unwrap_or(one),
            request_timeout: r.duration("http.request_timeout", Duration::from_millis(100)),
            connections_max: r.number("http.connections_max", 1..=1_000_000) as usize,
            idle_timeout: r.duration("http.idle_timeout", Duration::from_secs(1)),
        }
    }
}

/// The queues, by the names used in configuration, on the command line and in metrics.
pub const QUEUES: [&str; 7] = ["search", "audit", "guest", "whatsapp", "sms", "email", "inbound"];

/// The workers' listener and how much they do at once.
#[derive(Debug, Clone)]
pub struct Workers {
    /// Metrics and health.
    pub listen: SocketAddr,
    /// Jobs at once per process, by queue name; has every name of [`QUEUES`].
    pub concurrency: BTreeMap<&'static str, usize>,
}

impl Workers {
    pub(super) fn read(r: &mut Reader) -> Self {
        let read =
            |r: &mut Reader, queue| r.number(&format!("workers.concurrency.{queue}"), 1..=4096) as usize;
        Self {
            listen: r.address("workers.listen"),
            concurrency: QUEUES.iter().map(|queue| (*queue, read(r, *queue))).collect(),
        }
    }
}

/// Who may call.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Verifies HS256 tokens.
    pub hs256_secret: Option<Secret>,
    /// Path or URL of a key set for RS256, ES256, EdDSA.
    pub jwks: Option<String>,
    /// The `iss` of every token.
    pub issuer: String,
    /// The `aud` of every token.
    pub audience: String,
}

impl Auth {
    pub(super) fn read(r: &mut Reader) -> Self {
        let jwks = r.optional("auth.jwks");
        if jwks.as_deref().is_some_and(|jwks| jwks.contains("://")) {
            r.url("auth.jwks", WEB);
        }
        Self {
            hs256_secret: r.secret("auth.hs256_secret"),
            jwks,
            issuer: r.required("auth.issuer"),
            audience: r.required("auth.audience"),
        }
    }
}

/// Calls to providers.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// After which a call is given up.
    pub timeout: Duration,
    /// How long an unknown outcome waits for a proof.
    pub unknown_grace: Duration,
    /// What follows then.
    pub unknown_policy: UnknownPolicy,
    /// How long a message may be parked.
    pub parked_max: Duration,
    /// How old a template catalogue may be.
    pub template_refresh: Duration,
    /// How fast a WhatsApp number may send.
    pub whatsapp_rate: Rate,
    /// How fast it may send to one person, in the long run.
    pub whatsapp_pair_rate: Rate,
    /// How many messages to one person may come at once.
    pub whatsapp_pair_burst: u32,
    /// How fast an SMS sender may send.
    pub sms_rate: Rate,
    /// Rules of errors that replace the built-in ones.
    pub error_classes: Option<PathBuf>,
}

/// What stands in for a rate that cannot be read; the program does not start with it.
const SLOWEST: Rate = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(1) };

impl Delivery {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            timeout: r.duration("delivery.timeout", 10 * MS),
            unknown_grace: r.duration("delivery.unknown_grace", Duration::ZERO),
            unknown_policy: r.own("delivery.unknown_policy", UnknownPolicy::Hold),
            parked_max: r.duration("delivery.parked_max", Duration::from_secs(1)),
            template_refresh: r.duration("delivery.template_refresh", Duration::from_secs(1)),
            whatsapp_rate: r.own("delivery.whatsapp_rate", SLOWEST),
            whatsapp_pair_rate: r.own("delivery.whatsapp_pair_rate", SLOWEST),
            whatsapp_pair_burst: r.number("delivery.whatsapp_pair_burst", 1..=10_000),
            sms_rate: r.own("delivery.sms_rate", SLOWEST),
            error_classes: r.optional("delivery.error_classes").map(PathBuf::from),
        }
    }
}

/// What follows when the outcome of a send stays unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPolicy {
    /// An operator decides.
    Hold,
    /// It is sent a second time, once.
    ResendOnce,
}

impl UnknownPolicy {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::ResendOnce => "resend_once",
        }
    }
}

impl FromStr for UnknownPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "hold" => Ok(Self::Hold),
            "resend_once" => Ok(Self::ResendOnce),
            _ => Err("must be \"hold\" or \"resend_once\""),
        }
    }
}

/// How jobs are held.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// After which a silent worker's job is given to another.
    pub lease: Duration,
}

impl Jobs {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self { lease: r.duration("jobs.lease", Duration::from_secs(1)) }
    }
}

/// How failures are tried again.
#[derive(Debug, Clone)]
pub struct Retry {
    /// The first pause.
    pub base: Duration,
}

impl Retry {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self { base: r.duration("retry.base", MS) }
    }
}

/// E-mail notifications.
#[derive(Debug, Clone)]
pub struct Email {
    /// After which an unread message is mailed.
    pub delay: Duration,
    /// Most messages that one mail shows.
    pub messages_max: usize,
    /// Longest part of a message that is shown, in characters.
    pub excerpt_chars: usize,
    /// Most people whom one message notifies.
    pub recipients_max: usize,
}

impl Email {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            delay: r.duration("email.delay", Duration::ZERO),
            messages_max: r.number("email.messages_max", 1..=100) as usize,
            excerpt_chars: r.number("email.excerpt_chars", 1..=4000) as usize,
            recipients_max: r.number("email.recipients_max", 1..=200) as usize,
        }
    }
}

/// The support desk.
#[derive(Debug, Clone)]
pub struct Desk {
    /// After which a session that is not used ends.
    pub session_ttl: Duration,
    /// How often the end of a session in use is moved, at most.
    pub session_renewal: Duration,
}

impl Desk {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            session_ttl: r.duration("desk.session_ttl", Duration::from_secs(1)),
            session_renewal: r.duration("desk.session_renewal", MS),
        }
    }
}

/// Calls to addresses that clients name.
#[derive(Debug, Clone)]
pub struct Net {
    /// Lets them be private; for tests.
    pub allow_private: bool,
}

impl Net {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self { allow_private: r.switch("net.allow_private") }
    }
}

/// Logging.
#[derive(Debug, Clone)]
pub struct Log {
    /// For machines or for people.
    pub format: LogFormat,
    /// A tracing filter.
    pub filter: String,
}

impl Log {
    pub(super) fn read(r: &mut Reader) -> Self {
        let filter = r.required("log.filter");
        if filter.parse::<tracing_subscriber::EnvFilter>().is_err() {
            r.problem("log.filter", "must be a tracing filter such as \"info,ingest=debug\"");
        }
        Self { format: r.own("log.format", LogFormat::Json), filter }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// For people.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("must be \"json\" or \"pretty\""),
        }
    }
}

/// The commit path.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Committers that threads are spread over.
    pub slots: usize,
    /// Messages per transaction.
    pub batch_max: usize,
    /// Messages that may wait for one committer.
    pub queue_max: usize,
    /// After which a commit is given up.
    pub deadline: Duration,
}

impl Commit {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            slots: r.number("commit.slots", 1..=1024) as usize,
            batch_max: r.number("commit.batch_max", 1..=1000) as usize,
            queue_max: r.number("commit.queue_max", 1..=1_000_000) as usize,
            deadline: r.duration("commit.deadline", 10 * MS),
        }
    }
}

/// The dispatcher, which pushes what is due.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    /// How often it looks.
    pub tick: Duration,
    /// How long a new job is left to its request's own push.
    pub push_grace: Duration,
    /// After which a pushed job is pushed again.
    pub push_again: Duration,
    /// After which a silent leader is replaced.
    pub lease: Duration,
    /// How many entries of a stream of effects one account may hold, for each worker.
    pub account_share: usize,
}

impl Dispatcher {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            tick: r.duration("dispatcher.tick", MS),
            push_grace: r.duration("dispatcher.push_grace", Duration::ZERO),
            push_again: r.duration("dispatcher.push_again", MS),
            lease: r.duration("dispatcher.lease", 10 * MS),
            account_share: r.number("dispatcher.account_share", 1..=10_000) as usize,
        }
    }
}

/// How the programs stop.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// How long it still serves while it says that it is not ready.
    pub drain: Duration,
    /// How long running work may go on.
    pub grace: Duration,
}

impl Shutdown {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            drain: r.duration("shutdown.drain", Duration::ZERO),
            grace: r.duration("shutdown.grace", Duration::ZERO),
        }
    }
}

/// Encryption of stored credentials.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Encrypts and decrypts; without it, storing credentials is refused.
    pub current: Option<KeyBytes>,
    /// Decrypt only.
    pub old: Vec<KeyBytes>,
}

impl Keys {
    pub(super) fn read(r: &mut Reader) -> Self {
        let current = r.optional("secrets_key").and_then(|text| {
            let parsed = text.parse();
            parsed.map_err(|wanted: &str| r.problem("secrets_key", wanted)).ok()
        });
        Self { current, old: r.list("secrets_keys_old") }
    }
}

/// Reads the address under which the outside reaches us.
pub(super) fn public_url(r: &mut Reader) -> Url {
    let url = r.required_url("public_url", WEB);
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        r.problem("public_url", "must have no query, fragment or user name");
    }
    url
}
