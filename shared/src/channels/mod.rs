//! The lines by which an account sends and receives: a number or an address of ours with what signs in for it.
//!
//! An account's own channels come first, else the default ones of the configuration. What comes in is matched by the
//! number that it was sent to: several accounts may own one, and the default lines belong to all.

use std::sync::Arc;

use crate::config::{Config, Secret};
use crate::domain::contact::SHARED;
use crate::domain::ids::{AccountId, ChannelId};
use crate::providers::Trust;
use crate::providers::guest::GuestChannel;
use crate::providers::twilio::TwilioChannel;
use crate::providers::whatsapp::WhatsappChannel;
use crate::store::StoreError;

/// Whose line it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `None`: the default of every account.
    pub account: Option<AccountId>,
    /// The account's name for it; `None` for a default.
    pub channel: Option<ChannelId>,
}

impl Owner {
    const DEFAULT: Self = Self { account: None, channel: None };

    /// The account under which the line's contacts stand.
    pub fn of_contacts(&self) -> AccountId {
        match &self.account {
            Some(account) => account.clone(),
            None => AccountId::parse(SHARED).expect("the constant has the form of an account id"),
        }
    }

    /// Whether the line may speak for `account`.
    pub fn serves(&self, account: &AccountId) -> bool {
        self.account.as_ref().is_none_or(|owner| owner == account)
    }
}

/// A WhatsApp number.
#[derive(Debug, Clone)]
pub struct WhatsappLine {
    pub owner: Owner,
    pub channel: WhatsappChannel,
    /// Meta's id of the business account that owns the number: where its templates are listed.
    pub business_account_id: Option<String>,
    /// Verifies webhooks; without it they are refused.
    pub app_secret: Option<Secret>,
    /// Answers the subscription check.
    pub verify_token: Option<Secret>,
}

/// A sender of SMS.
#[derive(Debug, Clone)]
pub struct SmsLine {
    pub owner: Owner,
    pub channel: TwilioChannel,
}

/// A guest platform.
#[derive(Debug, Clone)]
pub struct GuestLine {
    pub owner: Owner,
    pub channel: GuestChannel,
}

impl WhatsappLine {
    /// What the line is called in contacts, circuits and paces: `whatsapp:{phone_number_id}`.
    pub fn name(&self) -> String {
        format!("whatsapp:{}", self.channel.phone_number_id)
    }
}

impl SmsLine {
    /// As [`WhatsappLine::name`]: `sms:{account sid}:{sender}`. Holds a number of ours.
    pub fn name(&self) -> String {
        format!("sms:{}:{}", self.channel.account_sid, self.channel.from)
    }
}

/// Finds lines. Clones share what was read.
#[derive(Debug, Clone)]
pub struct ChannelBook {
    defaults: Arc<Defaults>,
}

#[derive(Debug)]
struct Defaults {
    whatsapp: Option<Arc<WhatsappLine>>,
    sms: Option<Arc<SmsLine>>,
    guest: Option<Arc<GuestLine>>,
}

impl ChannelBook {
    /// The book of a process.
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
        Self { defaults: Arc::new(Defaults { whatsapp, sms, guest }) }
    }

    /// The WhatsApp number by which `account` sends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whatsapp(&self, _account: &AccountId) -> Result<Option<Arc<WhatsappLine>>, StoreError> {
        Ok(self.defaults.whatsapp.clone())
    }

    /// The sender of `account`'s SMS.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sms(&self, _account: &AccountId) -> Result<Option<Arc<SmsLine>>, StoreError> {
        Ok(self.defaults.sms.clone())
    }

    /// Where `account`'s messages are forwarded to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guest(&self, _account: &AccountId) -> Result<Option<Arc<GuestLine>>, StoreError> {
        Ok(self.defaults.guest.clone())
    }

    /// All WhatsApp numbers, whoever owns them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whatsapp_lines(&self) -> Result<Vec<Arc<WhatsappLine>>, StoreError> {
        Ok(self.defaults.whatsapp.iter().cloned().collect())
    }

    /// All lines with this number of Meta's, whoever owns them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whatsapp_by_number(&self, id: &str) -> Result<Vec<Arc<WhatsappLine>>, StoreError> {
        let default = self.defaults.whatsapp.iter().filter(|line| line.channel.phone_number_id == id);
        Ok(default.cloned().collect())
    }

    /// All lines that send as `to`, a number or messaging service, under `account_sid`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sms_by_sender(&self, account_sid: &str, to: &str) -> Result<Vec<Arc<SmsLine>>, StoreError> {
        let fits = |line: &&Arc<SmsLine>| line.channel.account_sid == account_sid && line.channel.from == to;
        Ok(self.defaults.sms.iter().filter(fits).cloned().collect())
    }

    /// All lines of Twilio's account `account_sid`: any of them verifies a status callback.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sms_by_account(&self, account_sid: &str) -> Result<Vec<Arc<SmsLine>>, StoreError> {
        let fits = |line: &&Arc<SmsLine>| line.channel.account_sid == account_sid;
        Ok(self.defaults.sms.iter().filter(fits).cloned().collect())
    }

    /// All guest platforms.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guests(&self) -> Result<Vec<Arc<GuestLine>>, StoreError> {
        Ok(self.defaults.guest.iter().cloned().collect())
    }

    /// Whether `token` answers the subscription check of some number; in constant time for each.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn knows_verify_token(&self, token: &str) -> Result<bool, StoreError> {
        use subtle::ConstantTimeEq as _;
        let wanted = self.defaults.whatsapp.iter().filter_map(|line| line.verify_token.as_ref());
        let same = |wanted: &Secret| bool::from(wanted.expose().as_bytes().ct_eq(token.as_bytes()));
        Ok(wanted.map(same).fold(false, std::ops::BitOr::bitor))
    }
}
