//! Channels of the accounts: their own numbers and addresses, with sealed credentials.
//!
//! Collection `channels`, key `{accountId}/{channelId}`. Every change grows `version` and names the one it saw.
//! `credentials` is the version at which what signs in last changed: by it a flag that is late is known.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::transaction::{Write, Wrote};
use super::{AuditRow, Scope, Store, StoreError, duplicate_index};
use crate::config::UnknownPolicy;
use crate::domain::ids::{AccountId, ChannelId};
use crate::domain::time::Time;
use crate::ledger::JobRow;
use crate::secrets::{Place, Sealed};

/// Most channels of an account.
pub const CHANNELS_MAX: usize = 50;

/// The collection.
const CHANNELS: &str = "channels";

/// A channel of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountChannel {
    /// `{accountId}/{channelId}`.
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    pub channel_id: ChannelId,
    /// Nothing goes by a channel that is not.
    pub enabled: bool,
    /// What follows an unknown outcome; the configuration's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_policy: Option<UnknownPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<Flag>,
    pub created_at: Time,
    pub updated_at: Time,
    pub version: i64,
    /// The version at which the credentials last changed.
    pub credentials: i64,
    /// By its kind: `whatsapp`, `sms`, `guest` or `email`.
    #[serde(flatten)]
    pub settings: ChannelSettings,
}

/// Why a channel is not used until its credentials are changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flag {
    /// As in the contract's `delivery.reason`.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_error_code: Option<String>,
    pub since: Time,
}

/// What a channel of each kind is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelSettings {
    Whatsapp(WhatsappSettings),
    Sms(SmsSettings),
    Guest(GuestSettings),
    Email(EmailSettings),
}

/// A WhatsApp number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhatsappSettings {
    pub phone_number_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_account_id: Option<String>,
    /// The configuration's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    pub access_token: Sealed,
    pub app_secret: Sealed,
    pub verify_token: Sealed,
    /// What WhatsApp cannot deliver may go out by SMS.
    #[serde(default)]
    pub fallback_to_sms: bool,
}

/// A sender of SMS. `Debug` does not show the number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SmsSettings {
    pub account_sid: String,
    pub from: String,
    /// The configuration's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    pub auth_token: Sealed,
}

/// A guest platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSettings {
    pub url: String,
    pub secret: Sealed,
}

/// The sender of an account's e-mails. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailSettings {
    pub from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// What became of a channel that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Yes,
    /// Somebody made one of this name meanwhile.
    Exists,
    /// The account has [`CHANNELS_MAX`].
    TooMany,
}

/// Which channels are looked for, over all accounts. Holds numbers: not to be printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Sought {
    OfAccount(AccountId),
    WhatsappNumber(String),
    SmsSender { account_sid: String, from: String },
    SmsAccount(String),
    Guests,
    WhatsappNumbers,
}

impl std::fmt::Debug for SmsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmsSettings").field("account_sid", &self.account_sid).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for EmailSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmailSettings").finish_non_exhaustive()
    }
}

impl AccountChannel {
    /// Where the secret in `field` is kept.
    pub fn place<'a>(account: &'a AccountId, channel: &'a ChannelId, field: &'a str) -> Place<'a> {
        Place { account, collection: CHANNELS, record: channel.as_str(), field }
    }
}

impl ChannelSettings {
    /// The wire form of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Whatsapp(_) => "whatsapp",
            Self::Sms(_) => "sms",
            Self::Guest(_) => "guest",
            Self::Email(_) => "email",
        }
    }

    /// The sealed secrets with the names of their fields.
    pub fn secrets_mut(&mut self) -> Vec<(&'static str, &mut Sealed)> {
        match self {
            Self::Whatsapp(w) => vec![
                ("accessToken", &mut w.access_token),
                ("appSecret", &mut w.app_secret),
                ("verifyToken", &mut w.verify_token),
            ],
            Self::Sms(s) => vec![("authToken", &mut s.auth_token)],
            Self::Guest(g) => vec![("secret", &mut g.secret)],
            Self::Email(_) => Vec::new(),
        }
    }

    /// Whether `other` signs in at the same place, as the same and with the same: what one was refused, so is the
    /// other. A secret that was given anew counts as another.
    pub fn signs_in_as(&self, other: &Self) -> bool {
        self.without_wishes() == other.without_wishes()
    }

    /// Without what says nothing of signing in.
    fn without_wishes(&self) -> Self {
        match self.clone() {
            Self::Whatsapp(settings) => Self::Whatsapp(WhatsappSettings {
                business_account_id: None,
                fallback_to_sms: false,
                ..settings
            }),
            other => other,
        }
    }
}

impl Sought {
    fn filter(&self) -> Document {
        let mut filter = match self {
            Self::OfAccount(account) => doc! { "accountId": account.as_str() },
            Self::WhatsappNumber(id) => doc! { "whatsapp.phoneNumberId": id },
            Self::SmsSender { account_sid, from } => doc! { "sms.accountSid": account_sid, "sms.from": from },
            Self::SmsAccount(account_sid) => doc! { "sms.accountSid": account_sid },
            Self::Guests => doc! { "guest.url": { "$exists": true } },
            Self::WhatsappNumbers => doc! { "whatsapp.phoneNumberId": { "$exists": true } },
        };
        filter.insert("enabled", true);
        filter
    }
}

impl Scope {
    /// Channel `id`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channel(&self, id: &ChannelId) -> Result<Option<AccountChannel>, StoreError> {
        let channels = self.store.collection::<AccountChannel>(CHANNELS);
        Ok(channels.find_one(doc! { "_id": self.key(id) }).await?)
    }

    /// The account's channels in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channels(&self) -> Result<Vec<AccountChannel>, StoreError> {
        let channels = self.store.collection::<AccountChannel>(CHANNELS);
        let find = channels.find(doc! { "accountId": self.account.as_str() });
        Ok(find.sort(doc! { "_id": 1 }).limit(2 * CHANNELS_MAX as i64).await?.try_collect().await?)
    }

    /// Stores a new channel. Two at once may pass [`CHANNELS_MAX`] by one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_channel(&self, channel: &AccountChannel) -> Result<Added, StoreError> {
        let channels = self.store.collection::<AccountChannel>(CHANNELS);
        let known = channels.count_documents(doc! { "accountId": self.account.as_str() }).await?;
        if known >= CHANNELS_MAX as u64 {
            return Ok(Added::TooMany);
        }
        match channels.insert_one(channel).await {
            Ok(_) => Ok(Added::Yes),
            Err(error) if duplicate_index(&error).is_some() => Ok(Added::Exists),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts `next` in the place of the version before it; answers whether that still stood there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_channel(&self, next: &AccountChannel) -> Result<bool, StoreError> {
        let channels = self.store.collection::<AccountChannel>(CHANNELS);
        let guard = doc! { "_id": self.key(&next.channel_id), "version": next.version - 1 };
        Ok(channels.replace_one(guard, next).await?.matched_count == 1)
    }

    /// Deletes channel `id`; answers whether it was there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_channel(&self, id: &ChannelId) -> Result<bool, StoreError> {
        let channels = self.store.collection::<Document>(CHANNELS);
        Ok(channels.delete_one(doc! { "_id": self.key(id) }).await?.deleted_count == 1)
    }

    /// Flags channel `id` where it still has `credentials` and no flag, together with what follows from it. Answers
    /// whether it did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn flag_channel(
        &self,
        id: &ChannelId,
        credentials: i64,
        flag: &Flag,
        row: &AuditRow,
        jobs: &[JobRow],
    ) -> Result<bool, StoreError> {
        let filter = doc! {
            "_id": self.key(id), "credentials": credentials, "flag": { "$exists": false },
        };
        let set = doc! { "flag": mongodb::bson::serialize_to_bson(flag)?, "updatedAt": flag.since };
        let update = doc! { "$set": set, "$inc": { "version": 1_i64 } };
        let writes = [
            Write::Update { of: CHANNELS, filter, update: update.into(), upsert: false },
            Write::insert("audit", std::slice::from_ref(row))?,
            Write::insert("jobs", jobs)?,
        ];
        Ok(self.store.transact(&writes).await? != Wrote::Nothing)
    }
}

impl Store {
    /// The enabled channels that `sought` names, whoever owns them, in the order of their keys.
    pub(crate) async fn channels_sought(&self, sought: &Sought) -> Result<Vec<AccountChannel>, StoreError> {
        let channels = self.collection::<AccountChannel>(CHANNELS);
        Ok(channels.find(sought.filter()).sort(doc! { "_id": 1 }).await?.try_collect().await?)
    }

    /// Channels of all accounts after `key`, in the order of their keys.
    pub(crate) async fn channels_after(
        &self,
        key: &str,
        limit: i64,
    ) -> Result<Vec<AccountChannel>, StoreError> {
        let channels = self.collection::<AccountChannel>(CHANNELS);
        let find = channels.find(doc! { "_id": { "$gt": key } }).sort(doc! { "_id": 1 }).limit(limit);
        Ok(find.await?.try_collect().await?)
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{deserialize_from_document, serialize_to_document};

    use super::*;
    use crate::config::{KeyBytes, Keys, Secret};
    use crate::secrets::Vault;

    fn channel() -> AccountChannel {
        let account = AccountId::parse("acme").expect("an id");
        let channel = ChannelId::parse("main").expect("an id");
        let vault = Vault::new(&Keys { current: Some(KeyBytes::new([1; 32])), old: Vec::new() });
        let sealed = |field| {
            let place = AccountChannel::place(&account, &channel, field);
            vault.seal(place, &Secret::new("canary")).expect("sealed")
        };
        let settings = WhatsappSettings {
            phone_number_id: "1".to_owned(),
            business_account_id: None,
            base_url: None,
            access_token: sealed("accessToken"),
            app_secret: sealed("appSecret"),
            verify_token: sealed("verifyToken"),
            fallback_to_sms: true,
        };
        AccountChannel {
            key: "acme/main".to_owned(),
            account_id: account.clone(),
            channel_id: channel.clone(),
            enabled: true,
            unknown_policy: Some(UnknownPolicy::ResendOnce),
            flag: None,
            created_at: Time::from_millis(1),
            updated_at: Time::from_millis(2),
            version: 3,
            credentials: 2,
            settings: ChannelSettings::Whatsapp(settings),
        }
    }

    #[test]
    fn a_channel_is_stored_without_its_secrets_and_read_back_as_it_was() {
        let channel = channel();
        let document = serialize_to_document(&channel).expect("a document");
        let number = document.get_document("whatsapp").expect("its settings").get_str("phoneNumberId");
        assert_eq!(number.expect("a text"), "1");
        assert!(!document.to_string().contains("canary") && !format!("{channel:?}").contains("canary"));
        let read: AccountChannel = deserialize_from_document(document).expect("read");
        assert_eq!(read, channel);
    }

    #[test]
    fn wishes_are_no_credentials() {
        let channel = channel();
        let changed = |change: fn(&mut WhatsappSettings)| {
            let ChannelSettings::Whatsapp(mut settings) = channel.settings.clone() else {
                panic!("the sample is a WhatsApp number")
            };
            change(&mut settings);
            ChannelSettings::Whatsapp(settings).signs_in_as(&channel.settings)
        };
        assert!(changed(|settings| settings.fallback_to_sms = false));
        assert!(changed(|settings| settings.business_account_id = Some("2".to_owned())));
        assert!(!changed(|settings| settings.phone_number_id = "2".to_owned()));
        assert!(!changed(|settings| settings.base_url = Some("https://example.com".to_owned())));
        assert!(!changed(|settings| settings.access_token = settings.app_secret.clone()));
    }
}
