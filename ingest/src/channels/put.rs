//! What a `PUT` says of a channel: checked, then sealed, with what is stored already kept where it says nothing.

use shared::config::{SIGNING_SECRET, Secret, UnknownPolicy, is_signing_secret};
use shared::domain::ids::{AccountId, ChannelId};
use shared::mail;
use shared::providers::{Phone, ssrf};
use shared::secrets::{Sealed, Vault};
use shared::store::{
    AccountChannel, ChannelSettings, EmailSettings, GuestSettings, SmsSettings, WhatsappSettings,
};
use url::Url;

use crate::http::{ApiError, Code};

/// A channel to be stored.
#[derive(Debug)]
pub(crate) struct ChannelPut {
    pub(crate) enabled: bool,
    pub(crate) unknown_policy: Option<UnknownPolicy>,
    pub(crate) settings: SettingsPut,
}

/// What it is made of; a secret that is absent is kept as it is stored.
#[derive(Debug)]
pub(crate) enum SettingsPut {
    Whatsapp(WhatsappPut),
    Sms(SmsPut),
    Guest(GuestPut),
    Email(EmailPut),
}

#[derive(Debug)]
pub(crate) struct WhatsappPut {
    pub(crate) phone_number_id: String,
    pub(crate) business_account_id: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) access_token: Option<Secret>,
    pub(crate) app_secret: Option<Secret>,
    pub(crate) verify_token: Option<Secret>,
    pub(crate) fallback_to_sms: bool,
}

pub(crate) struct SmsPut {
    pub(crate) account_sid: String,
    pub(crate) auth_token: Option<Secret>,
    pub(crate) from: String,
    pub(crate) base_url: Option<String>,
}

#[derive(Debug)]
pub(crate) struct GuestPut {
    pub(crate) url: String,
    pub(crate) secret: Option<Secret>,
}

pub(crate) struct EmailPut {
    pub(crate) from: String,
    pub(crate) reply_to: Option<String>,
}

impl std::fmt::Debug for SmsPut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmsPut").field("account_sid", &self.account_sid).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for EmailPut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmailPut").finish_non_exhaustive()
    }
}

impl ChannelPut {
    /// Refuses what can never be used.
    pub(super) fn check(&self, allow_private: bool) -> Result<(), ApiError> {
        match &self.settings {
            SettingsPut::Whatsapp(put) => {
                check_header("/whatsapp/accessToken", put.access_token.as_ref())?;
                check_text("/whatsapp/appSecret", put.app_secret.as_ref())?;
                check_text("/whatsapp/verifyToken", put.verify_token.as_ref())?;
                check_base("/whatsapp/baseUrl", put.base_url.as_deref(), allow_private)
            }
            SettingsPut::Sms(put) => {
                check_header("/sms/authToken", put.auth_token.as_ref())?;
                check_sender(&put.from)?;
                check_base("/sms/baseUrl", put.base_url.as_deref(), allow_private)
            }
            SettingsPut::Guest(put) => {
                if put.secret.as_ref().is_some_and(|secret| !is_signing_secret(secret)) {
                    return Err(refused("/guest/secret", SIGNING_SECRET));
                }
                check_url("/guest/url", &put.url, allow_private)
            }
            SettingsPut::Email(put) => {
                check_mailbox("/email/from", &put.from)?;
                put.reply_to.as_deref().map_or(Ok(()), |text| check_mailbox("/email/replyTo", text))
            }
        }
    }
}

impl SettingsPut {
    /// The wire form of the kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Whatsapp(_) => "whatsapp",
            Self::Sms(_) => "sms",
            Self::Guest(_) => "guest",
            Self::Email(_) => "email",
        }
    }

    /// As they are stored for channel `id`, in whose place `before` stands.
    pub(super) fn sealed(
        &self,
        vault: &Vault,
        account: &AccountId,
        id: &ChannelId,
        before: Option<&ChannelSettings>,
    ) -> Result<ChannelSettings, ApiError> {
        let sealer = Sealer { vault, account, id };
        Ok(match (self, before) {
            (Self::Whatsapp(put), Some(ChannelSettings::Whatsapp(before))) => {
                ChannelSettings::Whatsapp(sealer.whatsapp(put, Some(before))?)
            }
            (Self::Whatsapp(put), _) => ChannelSettings::Whatsapp(sealer.whatsapp(put, None)?),
            (Self::Sms(put), Some(ChannelSettings::Sms(before))) => {
                ChannelSettings::Sms(sealer.sms(put, Some(before))?)
            }
            (Self::Sms(put), _) => ChannelSettings::Sms(sealer.sms(put, None)?),
            (Self::Guest(put), before) => {
                let before = before.and_then(|before| match before {
                    ChannelSettings::Guest(before) => Some(&before.secret),
                    _ => None,
                });
                let secret = sealer.seal("/guest/secret", put.secret.as_ref(), before)?;
                ChannelSettings::Guest(GuestSettings { url: put.url.clone(), secret })
            }
            (Self::Email(put), _) => ChannelSettings::Email(EmailSettings {
                from: put.from.clone(),
                reply_to: put.reply_to.clone(),
            }),
        })
    }
}

/// Seals the secrets of one channel.
struct Sealer<'a> {
    vault: &'a Vault,
    account: &'a AccountId,
    id: &'a ChannelId,
}

impl Sealer<'_> {
    fn whatsapp(
        &self,
        put: &WhatsappPut,
        before: Option<&WhatsappSettings>,
    ) -> Result<WhatsappSettings, ApiError> {
        let moved = before.is_some_and(|before| before.base_url != put.base_url);
        check_moved("/whatsapp/accessToken", moved, put.access_token.as_ref())?;
        let kept = |field: fn(&WhatsappSettings) -> &Sealed| before.map(field);
        let token = put.access_token.as_ref();
        Ok(WhatsappSettings {
            phone_number_id: put.phone_number_id.clone(),
            business_account_id: put.business_account_id.clone(),
            base_url: put.base_url.clone(),
            access_token: self.seal("/whatsapp/accessToken", token, kept(|s| &s.access_token))?,
            app_secret: self.seal("/whatsapp/appSecret", put.app_secret.as_ref(), kept(|s| &s.app_secret))?,
            verify_token: self.seal(
                "/whatsapp/verifyToken",
                put.verify_token.as_ref(),
                kept(|s| &s.verify_token),
            )?,
            fallback_to_sms: put.fallback_to_sms,
        })
    }

    fn sms(&self, put: &SmsPut, before: Option<&SmsSettings>) -> Result<SmsSettings, ApiError> {
        let moved = before.is_some_and(|before| before.base_url != put.base_url);
        check_moved("/sms/authToken", moved, put.auth_token.as_ref())?;
        let kept = before.map(|before| &before.auth_token);
        Ok(SmsSettings {
            account_sid: put.account_sid.clone(),
            from: put.from.clone(),
            base_url: put.base_url.clone(),
            auth_token: self.seal("/sms/authToken", put.auth_token.as_ref(), kept)?,
        })
    }

    /// The secret at `pointer`, whose last step is the field that it is bound to.
    fn seal(&self, pointer: &str, given: Option<&Secret>, kept: Option<&Sealed>) -> Result<Sealed, ApiError> {
        let field = pointer.rsplit('/').next().unwrap_or_default();
        match (given, kept) {
            (Some(_), _) if !self.vault.can_seal() => {
                Err(refused(pointer, "cannot be stored: this installation has no key to encrypt it with"))
            }
            (Some(secret), _) => {
                let place = AccountChannel::place(self.account, self.id, field);
                self.vault.seal(place, secret).map_err(ApiError::internal)
            }
            (None, Some(kept)) => Ok(kept.clone()),
            (None, None) => Err(refused(pointer, "is needed: none is stored")),
        }
    }
}

/// What is stored goes to the address it was given for. Whoever names another one must know it.
fn check_moved(pointer: &str, moved: bool, given: Option<&Secret>) -> Result<(), ApiError> {
    match (moved, given) {
        (true, None) => {
            Err(refused(pointer, "is needed: it would go to another baseUrl than it was set for"))
        }
        _ => Ok(()),
    }
}

/// What stands in a header of a request.
fn check_header(pointer: &str, secret: Option<&Secret>) -> Result<(), ApiError> {
    let fits = |secret: &Secret| secret.expose().bytes().all(|byte| byte.is_ascii_graphic());
    match secret {
        Some(secret) if !fits(secret) => Err(refused(pointer, "must be visible ASCII characters")),
        _ => Ok(()),
    }
}

fn check_text(pointer: &str, secret: Option<&Secret>) -> Result<(), ApiError> {
    match secret {
        Some(secret) if secret.expose().chars().any(char::is_control) => {
            Err(refused(pointer, "must have no control characters"))
        }
        _ => Ok(()),
    }
}

/// A number that can exist, or a messaging service.
fn check_sender(from: &str) -> Result<(), ApiError> {
    let service = from.strip_prefix("MG").is_some_and(|id| id.len() == 32 && is_hex(id));
    if service {
        return Ok(());
    }
    match from.parse::<Phone>() {
        Ok(phone) if phone.is_possible() => Ok(()),
        Ok(_) => {
            Err(refused("/sms/from", "is a number that cannot exist: look at its length and country code"))
        }
        Err(_) => Err(refused("/sms/from", "must be E.164, such as +41791234567, or a messaging service")),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An address to which paths are appended.
fn check_base(pointer: &str, url: Option<&str>, allow_private: bool) -> Result<(), ApiError> {
    let Some(text) = url else { return Ok(()) };
    check_url(pointer, text, allow_private)?;
    let plain = Url::parse(text).is_ok_and(|url| url.query().is_none() && url.fragment().is_none());
    if plain { Ok(()) } else { Err(refused(pointer, "must have no query and no fragment")) }
}

fn check_url(pointer: &str, url: &str, allow_private: bool) -> Result<(), ApiError> {
    ssrf::check_url_static(url, allow_private).map_err(|why| refused(pointer, why.as_str()))
}

fn check_mailbox(pointer: &str, text: &str) -> Result<(), ApiError> {
    match mail::sender(text) {
        Some(mailbox) if AsRef::<str>::as_ref(&mailbox.email).is_ascii() => Ok(()),
        _ => Err(refused(pointer, "must be an address, \"a@example.com\" or \"Name <a@example.com>\"")),
    }
}

fn refused(pointer: &str, why: &str) -> ApiError {
    let mut error = ApiError::invalid_field(pointer, why);
    error.code = Code::Unprocessable;
    error
}
