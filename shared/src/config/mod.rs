//! Configuration: documented defaults < `bellhop.toml` < environment, read once, every problem named at once.
//!
//! `bellhop.default.toml` is the manual. A new key is a line with a comment there, a field and a read in
//! `sections.rs` or `channels.rs`; a test fails when the two differ.

mod channels;
mod error;
mod layers;
mod reader;
mod sections;
mod servers;
mod sockets;
#[cfg(test)]
mod tests;
mod values;

use std::path::Path;
use std::time::Duration;

use url::{Host, Url};

pub use channels::{Guest, ProviderUrls, SIGNING_SECRET, Smtp, Twilio, Whatsapp, is_signing_secret};
pub use error::{ConfigErrors, Problem};
pub use sections::{
    Auth, Commit, Delivery, Desk, Dispatcher, Email, Http, Jobs, Keys, Log, LogFormat, Net, QUEUES, Retry,
    Shutdown, UnknownPolicy, Workers,
};
pub use servers::{Elasticsearch, Mongodb, Redis};
pub use sockets::Sockets;
pub use values::{KeyBytes, Network, Rate, Secret, parse_duration};

use reader::Reader;

use crate::failpoint;

/// The defaults file, which is also the manual.
pub const DEFAULTS: &str = include_str!("../../bellhop.default.toml");

/// How much longer than a provider call a job must be held.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Everything that can be set. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// As providers and browsers see us.
    pub public_url: Url,
    /// Encryption of stored credentials.
    pub keys: Keys,
    /// Ingest's listeners and limits.
    pub http: Http,
    /// Live sockets.
    pub sockets: Sockets,
    /// The workers' listener and concurrency.
    pub workers: Workers,
    /// The truth.
    pub mongodb: Mongodb,
    /// The wake-up.
    pub redis: Redis,
    /// Search.
    pub elasticsearch: Elasticsearch,
    /// Who may call.
    pub auth: Auth,
    /// Where the providers are.
    pub provider_urls: ProviderUrls,
    /// WhatsApp, when it is configured.
    pub whatsapp: Option<Whatsapp>,
    /// SMS, when it is configured.
    pub twilio: Option<Twilio>,
    /// The guest platform, when it is configured.
    pub guest: Option<Guest>,
    /// The mail server, when it is configured.
    pub smtp: Option<Smtp>,
    /// Calls to providers.
    pub delivery: Delivery,
    /// How jobs are held.
    pub jobs: Jobs,
    /// How failures are tried again.
    pub retry: Retry,
    /// E-mail notifications.
    pub email: Email,
    /// The support desk.
    pub desk: Desk,
    /// Calls to addresses that clients name.
    pub net: Net,
    /// Logging.
    pub log: Log,
    /// The commit path.
    pub commit: Commit,
    /// The dispatcher.
    pub dispatcher: Dispatcher,
    /// How the programs stop.
    pub shutdown: Shutdown,
}

impl Default for Config {
    fn default() -> Self {
        Self::load(None, std::iter::empty()).expect("the built-in defaults are valid: a test loads them")
    }
}

impl Config {
    /// Reads the defaults, then `file`, then the `BELLHOP_*` variables of `env`.
    ///
    /// # Errors
    /// Every problem: unreadable file, unknown key, bad value, settings that do not go together.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let env: Vec<(String, String)> = env.collect();
        let (layers, problems) = layers::merge(file, &env);
        let mut reader = Reader::new(layers, problems);
        let config = Self::read(&mut reader);
        config.check_together(&mut reader);
        let armed = env.iter().find(|(name, _)| name == failpoint::VARIABLE).map(|(_, spec)| spec.as_str());
        config.check_failpoints(armed, &mut reader);
        if reader.problems.is_empty() { Ok(config) } else { Err(ConfigErrors(reader.problems)) }
    }

    /// Reads the configuration of this process; without `file`, `bellhop.toml` where the program was
    /// started counts if it is there.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_process(file: Option<&Path>) -> Result<Self, ConfigErrors> {
        let usual = Path::new("bellhop.toml");
        let file = file.or_else(|| usual.exists().then_some(usual));
        let texts =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::load(file, texts)
    }

    fn read(r: &mut Reader) -> Self {
        let provider_urls = ProviderUrls::read(r);
        Self {
            public_url: sections::public_url(r),
            keys: Keys::read(r),
            http: Http::read(r),
            sockets: Sockets::read(r),
            workers: Workers::read(r),
            mongodb: Mongodb::read(r),
            redis: Redis::read(r),
            elasticsearch: Elasticsearch::read(r),
            auth: Auth::read(r),
            whatsapp: Whatsapp::read(r, &provider_urls),
            twilio: Twilio::read(r, &provider_urls),
            provider_urls,
            guest: Guest::read(r),
            smtp: Smtp::read(r),
            delivery: Delivery::read(r),
            jobs: Jobs::read(r),
            retry: Retry::read(r),
            email: Email::read(r),
            desk: Desk::read(r),
            net: Net::read(r),
            log: Log::read(r),
            commit: Commit::read(r),
            dispatcher: Dispatcher::read(r),
            shutdown: Shutdown::read(r),
        }
    }

    /// Whether the outside reaches us by a loopback address only, as in development and tests.
    pub fn is_loopback(&self) -> bool {
        match self.public_url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    fn check_together(&self, r: &mut Reader) {
        if self.jobs.lease < self.delivery.timeout + LEASE_MARGIN {
            r.problem("jobs.lease", "must be longer than BELLHOP_DELIVERY__TIMEOUT by 5s or more");
        }
        if self.dispatcher.lease < self.dispatcher.tick * 2 {
            r.problem("dispatcher.lease", "must be at least twice BELLHOP_DISPATCHER__TICK");
        }
        if self.dispatcher.push_again < self.dispatcher.push_grace {
            r.problem("dispatcher.push_again", "must not be shorter than BELLHOP_DISPATCHER__PUSH_GRACE");
        }
        if self.commit.queue_max < self.commit.batch_max {
            r.problem("commit.queue_max", "must not be less than BELLHOP_COMMIT__BATCH_MAX");
        }
        if self.desk.session_ttl < self.desk.session_renewal * 2 {
            r.problem("desk.session_ttl", "must be at least twice BELLHOP_DESK__SESSION_RENEWAL");
        }
        if self.keys.current.is_none() && !self.keys.old.is_empty() {
            r.problem("secrets_key", "is needed, since BELLHOP_SECRETS_KEYS_OLD is set");
        }
        if self.smtp.is_some() && self.keys.current.is_none() && self.auth.hs256_secret.is_none() {
            r.problem(
                "secrets_key",
                "is needed, since BELLHOP_SMTP__URL is set (it signs the links in mails)",
            );
        }
        let short = self.auth.hs256_secret.as_ref().is_some_and(|secret| secret.expose().len() < 32);
        if short && !self.is_loopback() {
            r.problem(
                "auth.hs256_secret",
                "must have 32 bytes or more unless BELLHOP_PUBLIC_URL is loopback",
            );
        }
    }

    fn check_failpoints(&self, armed: Option<&str>, r: &mut Reader) {
        let Some(spec) = armed.filter(|spec| !spec.trim().is_empty()) else { return };
        let message = match failpoint::parse(spec) {
            Err(wanted) => wanted,
            Ok(_) if !self.is_loopback() => {
                "failpoints are for tests: refused unless BELLHOP_PUBLIC_URL is loopback".into()
            }
            Ok(_) => return,
        };
        r.problems.push(Problem { name: failpoint::VARIABLE.into(), message });
    }

    /// What ingest needs beyond a valid configuration: a key that tokens can be verified with.
    ///
    /// # Errors
    /// When neither a secret nor a key set is configured.
    pub fn check_ingest(&self) -> Result<(), ConfigErrors> {
        if self.auth.hs256_secret.is_some() || self.auth.jwks.is_some() {
            return Ok(());
        }
        let message = "this or BELLHOP_AUTH__JWKS must be set, else no token can be verified";
        Err(ConfigErrors(vec![Problem {
            name: "BELLHOP_AUTH__HS256_SECRET".into(),
            message: message.into(),
        }]))
    }
}
