//! The lines by which an account sends and receives: a number or an address of ours with what signs in for it.
//!
//! An account's own channels come first, else the default ones of the configuration. Of several the one that is asked
//! for is taken, else the one whose id comes first. What comes in is matched by the number that it was sent to:
//! several accounts may own one, and the default lines belong to all.

mod accounts;
mod flagging;
mod line;

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Secret};
use crate::domain::ids::{AccountId, ChannelId};
use crate::providers::Trust;
use crate::providers::guest::GuestChannel;
use crate::providers::twilio::TwilioChannel;
use crate::providers::whatsapp::WhatsappChannel;
use crate::secrets::Vault;
use crate::store::{Sought, Store, StoreError};

pub use flagging::Flagging;
pub use line::{EmailLine, GuestLine, Owner, SmsLine, WhatsappLine};

use accounts::{Accounts, Choice, Own};
use line::Line;

/// How long another process's change may go unnoticed.
const FRESH: Duration = Duration::from_secs(3);

/// Finds lines. Clones share what was read.
#[derive(Debug, Clone)]
pub struct ChannelBook {
    defaults: Arc<Defaults>,
    accounts: Option<Accounts>,
}

#[derive(Debug)]
struct Defaults {
    whatsapp: Option<Arc<WhatsappLine>>,
    sms: Option<Arc<SmsLine>>,
    guest: Option<Arc<GuestLine>>,
}

impl ChannelBook {
    /// A book of the default lines alone.
    pub fn new(config: &Config) -> Self {
        let whatsapp = config.whatsapp.as_ref().map(|w| {
            Arc::new(WhatsappLine {
                owner: Owner::DEFAULT,
                channel: WhatsappChannel {
                    base_url: w.base_url.clone(),
                    phone_number_id: w.phone_number_id.clone(),
                    access_token: w.access_token.clone(),
                    trust: Trust::Configured,
                },
                business_account_id: w.business_account_id.clone(),
                app_secret: w.app_secret.clone(),
                verify_token: w.verify_token.clone(),
                fallback_to_sms: false,
            })
        });
        let sms = config.twilio.as_ref().map(|t| {
            Arc::new(SmsLine {
                owner: Owner::DEFAULT,
                channel: TwilioChannel {
                    base_url: t.base_url.clone(),
                    account_sid: t.account_sid.clone(),
                    auth_token: t.auth_token.clone(),
                    from: t.from.clone(),
                    trust: Trust::Configured,
                },
            })
        });
        let guest = config.guest.as_ref().map(|g| {
            let (url, secret) = (g.url.clone(), g.secret.clone());
            let channel = GuestChannel { url, secret, trust: Trust::Configured };
            Arc::new(GuestLine { owner: Owner::DEFAULT, channel })
        });
        Self { defaults: Arc::new(Defaults { whatsapp, sms, guest }), accounts: None }
    }

    /// The book of a process: the accounts' own lines in `store`, then the default ones.
    pub fn open(config: &Config, store: &Store) -> Self {
        Self::open_keeping(config, store, FRESH)
    }

    /// As [`ChannelBook::open`]; what is read is kept for `fresh`.
    pub fn open_keeping(config: &Config, store: &Store, fresh: Duration) -> Self {
        let vault = Vault::new(&config.keys);
        Self { accounts: Some(Accounts::new(config, store, &vault, fresh)), ..Self::new(config) }
    }

    /// Forgets what was read: this process has changed a channel. Others find out within some seconds.
    pub fn forget(&self) {
        if let Some(accounts) = &self.accounts {
            accounts.forget();
        }
    }

    /// The WhatsApp number by which `account` sends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whatsapp(&self, account: &AccountId) -> Result<Option<Arc<WhatsappLine>>, StoreError> {
        self.whatsapp_of(account, None).await
    }

    /// As [`ChannelBook::whatsapp`]; the account's channel `id` where it has one of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whatsapp_of(
        &self,
        account: &AccountId,
        id: Option<&ChannelId>,
    ) -> Result<Option<Arc<WhatsappLine>>, StoreError> {
        self.line(account, id, self.defaults.whatsapp.clone()).await
    }

    /// The sender of `account`'s SMS.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sms(&self, account: &AccountId) -> Result<Option<Arc<SmsLine>>, StoreError> {
        self.sms_of(account, None).await
    }

    /// As [`ChannelBook::sms`]; the account's channel `id` where it has one of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sms_of(
        &self,
        account: &AccountId,
        id: Option<&ChannelId>,
    ) -> Result<Option<Arc<SmsLine>>, StoreError> {
        self.line(account, id, self.defaults.sms.clone()).await
    }

    /// Where `account`'s messages are forwarded to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guest(&self, account: &AccountId) -> Result<Option<Arc<GuestLine>>, StoreError> {
        self.line(account, None, self.defaults.guest.clone()).await
    }

    /// Whom `account`'s e-mails come from; `None`: the sender of the configuration.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn email(&self, account: &AccountId) -> Result<Option<Arc<EmailLine>>, StoreError> {
        self.line(account, None, None).await
    }

    /// All WhatsApp numbers, whoever owns them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whatsapp_lines(&self) -> Result<Vec<Arc<WhatsappLine>>, StoreError> {
        self.lines(Sought::WhatsappNumbers, self.defaults.whatsapp.iter()).await
    }

    /// All lines with this number of Meta's, whoever owns them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whatsapp_by_number(&self, id: &str) -> Result<Vec<Arc<WhatsappLine>>, StoreError> {
        let default = self.defaults.whatsapp.iter().filter(|line| line.channel.phone_number_id == id);
        self.lines(Sought::WhatsappNumber(id.to_owned()), default).await
    }

    /// All lines that send as `to`, a number or messaging service, under `account_sid`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sms_by_sender(&self, account_sid: &str, to: &str) -> Result<Vec<Arc<SmsLine>>, StoreError> {
        let fits = |line: &&Arc<SmsLine>| line.channel.account_sid == account_sid && line.channel.from == to;
        let sought = Sought::SmsSender { account_sid: account_sid.to_owned(), from: to.to_owned() };
        self.lines(sought, self.defaults.sms.iter().filter(fits)).await
    }

    /// All lines of Twilio's account `account_sid`: any of them verifies a status callback.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sms_by_account(&self, account_sid: &str) -> Result<Vec<Arc<SmsLine>>, StoreError> {
        let fits = |line: &&Arc<SmsLine>| line.channel.account_sid == account_sid;
        let default = self.defaults.sms.iter().filter(fits);
        self.lines(Sought::SmsAccount(account_sid.to_owned()), default).await
    }

    /// All guest platforms.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guests(&self) -> Result<Vec<Arc<GuestLine>>, StoreError> {
        self.lines(Sought::Guests, self.defaults.guest.iter()).await
    }

    /// Whether `token` answers the subscription check of some number; in constant time for each.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn knows_verify_token(&self, token: &str) -> Result<bool, StoreError> {
        let lines = self.lines(Sought::WhatsappNumbers, self.defaults.whatsapp.iter()).await?;
        let wanted = lines.iter().filter_map(|line| line.verify_token.as_ref());
        let same = |wanted: &Secret| wanted.matches(token.as_bytes());
        Ok(wanted.map(same).fold(false, std::ops::BitOr::bitor))
    }

    /// The account's own line of a kind, else `default`. What would hold a message up — no line, or a flagged one —
    /// is read anew, whatever is cached: it may have been repaired a moment ago, and nothing would wake the message.
    async fn line<L: Line>(
        &self,
        account: &AccountId,
        id: Option<&ChannelId>,
        default: Option<Arc<L>>,
    ) -> Result<Option<Arc<L>>, StoreError> {
        let Some(accounts) = &self.accounts else { return Ok(default) };
        let sought = Sought::OfAccount(account.clone());
        if let Some(lines) = accounts.cached(&sought) {
            match accounts::choose(L::among(&lines), id) {
                Choice::Own(line) if !line.owner().is_flagged() => return Ok(Some(line)),
                Choice::None if default.is_some() => return Ok(default),
                _ => {}
            }
        }
        let lines = accounts.read(sought).await?;
        Ok(match accounts::choose(L::among(&lines), id) {
            Choice::Own(line) => Some(line),
            // Not by another number: the account has one, it cannot be used for now.
            Choice::Unreadable => None,
            Choice::None => default,
        })
    }

    /// `default` and the accounts' lines that `sought` names.
    async fn lines<'a, L: Line + 'a>(
        &self,
        sought: Sought,
        default: impl Iterator<Item = &'a Arc<L>>,
    ) -> Result<Vec<Arc<L>>, StoreError> {
        let mut lines: Vec<Arc<L>> = default.cloned().collect();
        if let Some(accounts) = &self.accounts {
            let found = accounts.find(sought).await?;
            lines.extend(L::among(&found).iter().filter_map(Own::line));
        }
        Ok(lines)
    }
}
