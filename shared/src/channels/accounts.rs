//! The accounts' own lines: read from MongoDB, opened, and kept for some seconds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use url::Url;

use super::line::Line;
use super::{EmailLine, GuestLine, Owner, SmsLine, WhatsappLine};
use crate::config::{Config, ProviderUrls, Secret};
use crate::domain::ids::ChannelId;
use crate::providers::Trust;
use crate::providers::guest::GuestChannel;
use crate::providers::twilio::TwilioChannel;
use crate::providers::whatsapp::WhatsappChannel;
use crate::secrets::{Sealed, SecretsError, Vault};
use crate::store::{
    AccountChannel, ChannelSettings, EmailSettings, GuestSettings, SmsSettings, Sought, Store, StoreError,
    WhatsappSettings,
};

/// Accounts and numbers whose lines are kept.
const CACHED: usize = 20_000;

/// Reads the accounts' lines. Clones share what was read.
#[derive(Clone)]
pub(super) struct Accounts(Arc<Inner>);

struct Inner {
    store: Store,
    vault: Vault,
    urls: ProviderUrls,
    found: Cache<Sought, (Instant, Arc<Lines>)>,
    /// How long it is kept.
    fresh: Duration,
    /// Grows with [`Accounts::forget`]: what was read before is not kept after it.
    changes: AtomicU64,
    /// How many people one flag is told.
    told_max: usize,
}

/// What was found, each kind in the order of the channels' ids.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) whatsapp: Vec<Own<WhatsappLine>>,
    pub(super) sms: Vec<Own<SmsLine>>,
    pub(super) guest: Vec<Own<GuestLine>>,
    pub(super) email: Vec<Own<EmailLine>>,
}

/// An account's line, or that it has one which cannot be used: a secret does not open.
pub(super) struct Own<L> {
    pub(super) channel: ChannelId,
    pub(super) line: Option<Arc<L>>,
}

/// What an account has of a kind.
pub(super) enum Choice<L> {
    Own(Arc<L>),
    Unreadable,
    None,
}

/// The one called `id`, else the first.
pub(super) fn choose<L>(lines: &[Own<L>], id: Option<&ChannelId>) -> Choice<L> {
    let wanted = id.and_then(|id| lines.iter().find(|own| own.channel == *id));
    match wanted.or(lines.first()) {
        None => Choice::None,
        Some(own) => own.line().map_or(Choice::Unreadable, Choice::Own),
    }
}

impl<L> Own<L> {
    pub(super) fn line(&self) -> Option<Arc<L>> {
        self.line.clone()
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

impl Accounts {
    pub(super) fn new(config: &Config, store: &Store, vault: &Vault, fresh: Duration) -> Self {
        Self(Arc::new(Inner {
            store: store.clone(),
            vault: vault.clone(),
            urls: config.provider_urls.clone(),
            found: Cache::new(CACHED),
            fresh,
            changes: AtomicU64::new(0),
            told_max: config.smtp.as_ref().map_or(0, |_| config.email.recipients_max),
        }))
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    /// How many people one flag is told by e-mail; 0 without a mail server.
    pub(super) fn told_max(&self) -> usize {
        self.0.told_max
    }

    pub(super) fn forget(&self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
        self.0.found.clear();
    }

    /// What was read a moment ago.
    pub(super) fn cached(&self, sought: &Sought) -> Option<Arc<Lines>> {
        let (at, lines) = self.0.found.get(sought)?;
        (at.elapsed() < self.0.fresh).then_some(lines)
    }

    /// As [`Accounts::cached`], or read now.
    pub(super) async fn find(&self, sought: Sought) -> Result<Arc<Lines>, StoreError> {
        match self.cached(&sought) {
            Some(lines) => Ok(lines),
            None => self.read(sought).await,
        }
    }

    /// Reads and opens, whatever is cached.
    pub(super) async fn read(&self, sought: Sought) -> Result<Arc<Lines>, StoreError> {
        let changes = self.0.changes.load(Ordering::Acquire);
        let found = self.0.store.channels_sought(&sought).await?;
        let mut lines = Lines::default();
        for channel in &found {
            self.add(channel, &mut lines);
        }
        let lines = Arc::new(lines);
        // Between the look and the write a change may slip in: what is stale then is so for `fresh` at most.
        if self.0.changes.load(Ordering::Acquire) == changes {
            self.0.found.insert(sought, (Instant::now(), Arc::clone(&lines)));
        }
        Ok(lines)
    }

    fn add(&self, channel: &AccountChannel, lines: &mut Lines) {
        let id = &channel.channel_id;
        let opener = Opener { channel, vault: &self.0.vault };
        match &channel.settings {
            ChannelSettings::Whatsapp(s) => {
                let line = opener.whatsapp(s, &self.0.urls.whatsapp);
                WhatsappLine::add(lines, id, opener.usable(line));
            }
            ChannelSettings::Sms(s) => {
                SmsLine::add(lines, id, opener.usable(opener.sms(s, &self.0.urls.twilio)))
            }
            ChannelSettings::Guest(s) => GuestLine::add(lines, id, opener.usable(opener.guest(s))),
            ChannelSettings::Email(s) => EmailLine::add(lines, id, opener.usable(opener.email(s))),
        }
    }
}

/// Why a stored channel is no line.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Secret(#[from] SecretsError),
    /// It was checked when it was stored.
    #[error("a stored address cannot be read")]
    Address,
}

/// Makes a line of a stored channel.
struct Opener<'a> {
    channel: &'a AccountChannel,
    vault: &'a Vault,
}

impl Opener<'_> {
    /// The line; where there is none, somebody must act.
    fn usable<L>(&self, line: Result<L, Unusable>) -> Option<L> {
        line.map_err(|error| {
            let AccountChannel { account_id, channel_id, settings, .. } = self.channel;
            metrics::counter!("channel_unusable_total", "kind" => settings.kind()).increment(1);
            tracing::error!(account.id = %account_id, channel.id = %channel_id, %error, "a channel cannot be used");
        })
        .ok()
    }

    fn owner(&self) -> Owner {
        Owner {
            account: Some(self.channel.account_id.clone()),
            channel: Some(self.channel.channel_id.clone()),
            credentials: self.channel.credentials,
            unknown_policy: self.channel.unknown_policy,
            flag: self.channel.flag.clone(),
        }
    }

    fn open(&self, field: &str, sealed: &Sealed) -> Result<Secret, SecretsError> {
        let place = AccountChannel::place(&self.channel.account_id, &self.channel.channel_id, field);
        self.vault.open(place, sealed)
    }

    fn whatsapp(&self, settings: &WhatsappSettings, usual: &Url) -> Result<WhatsappLine, Unusable> {
        let (base_url, trust) = address(settings.base_url.as_deref(), usual)?;
        Ok(WhatsappLine {
            owner: self.owner(),
            channel: WhatsappChannel {
                base_url,
                phone_number_id: settings.phone_number_id.clone(),
                access_token: self.open("accessToken", &settings.access_token)?,
                trust,
            },
            business_account_id: settings.business_account_id.clone(),
            app_secret: Some(self.open("appSecret", &settings.app_secret)?),
            verify_token: Some(self.open("verifyToken", &settings.verify_token)?),
            fallback_to_sms: settings.fallback_to_sms,
        })
    }

    fn sms(&self, settings: &SmsSettings, usual: &Url) -> Result<SmsLine, Unusable> {
        let (base_url, trust) = address(settings.base_url.as_deref(), usual)?;
        let channel = TwilioChannel {
            base_url,
            account_sid: settings.account_sid.clone(),
            auth_token: self.open("authToken", &settings.auth_token)?,
            from: settings.from.clone(),
            trust,
        };
        Ok(SmsLine { owner: self.owner(), channel })
    }

    fn guest(&self, settings: &GuestSettings) -> Result<GuestLine, Unusable> {
        let url = Url::parse(&settings.url).map_err(|_| Unusable::Address)?;
        let secret = self.open("secret", &settings.secret)?;
        Ok(GuestLine { owner: self.owner(), channel: GuestChannel { url, secret, trust: Trust::FromClient } })
    }

    fn email(&self, settings: &EmailSettings) -> Result<EmailLine, Unusable> {
        let read = |text: &str| crate::mail::sender(text).ok_or(Unusable::Address);
        let reply_to = settings.reply_to.as_deref().map(read).transpose()?;
        Ok(EmailLine { owner: self.owner(), from: read(&settings.from)?, reply_to })
    }
}

/// The account's own address, which passes the guard, or the usual one.
fn address(own: Option<&str>, usual: &Url) -> Result<(Url, Trust), Unusable> {
    match own {
        Some(own) => Ok((Url::parse(own).map_err(|_| Unusable::Address)?, Trust::FromClient)),
        None => Ok((usual.clone(), Trust::Configured)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(id: &str, line: Option<&'static str>) -> Own<&'static str> {
        Own { channel: ChannelId::parse(id).expect("an id"), line: line.map(Arc::new) }
    }

    fn chosen(lines: &[Own<&'static str>], id: Option<&str>) -> &'static str {
        let id = id.map(|id| ChannelId::parse(id).expect("an id"));
        match choose(lines, id.as_ref()) {
            Choice::Own(line) => *line,
            Choice::Unreadable => "unreadable",
            Choice::None => "none",
        }
    }

    #[test]
    fn the_one_asked_for_is_taken_else_the_first() {
        let lines = [own("a", Some("first")), own("b", Some("second")), own("c", None)];
        assert_eq!(chosen(&lines, None), "first");
        assert_eq!(chosen(&lines, Some("b")), "second");
        assert_eq!(chosen(&lines, Some("unknown")), "first");
        assert_eq!(chosen(&lines, Some("c")), "unreadable", "not by another number instead");
        assert_eq!(chosen(&[], Some("a")), "none");
    }

    #[test]
    fn an_accounts_own_address_is_guarded_and_the_usual_one_is_not() {
        let usual: Url = "https://graph.facebook.com/v23.0".parse().expect("a URL");
        let (url, trust) = address(None, &usual).expect("the usual one");
        assert_eq!((&url, trust), (&usual, Trust::Configured));
        let (url, trust) = address(Some("https://proxy.example/v1"), &usual).expect("its own");
        assert_eq!((url.as_str(), trust), ("https://proxy.example/v1", Trust::FromClient));
        assert!(address(Some("nonsense"), &usual).is_err());
    }
}
