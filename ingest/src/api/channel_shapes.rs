//! How channels look in requests and answers. Answers have no field for a secret.

use poem_openapi::{Enum, Object};
use shared::config::{Secret, UnknownPolicy};
use shared::domain::time::rfc3339;
use shared::store::{AccountChannel, ChannelSettings, Flag};

use crate::channels::{ChannelPut, EmailPut, GuestPut, SettingsPut, SmsPut, WhatsappPut};
use crate::http::ApiError;

/// What a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(super) enum ChannelKind {
    /// A WhatsApp number.
    Whatsapp,
    /// A sender of SMS at Twilio.
    Sms,
    /// A guest platform.
    Guest,
    /// The sender of the account's e-mails.
    Email,
}

/// What follows when nobody knows whether a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum UnknownPolicyIn {
    /// An operator decides.
    Hold,
    /// It is sent a second time, once.
    ResendOnce,
}

/// A channel; the object that is called as `kind` must be there, and no other.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChannelIn {
    kind: ChannelKind,
    /// Whether it is used; true by default.
    enabled: Option<bool>,
    /// That of the installation when left out.
    unknown_policy: Option<UnknownPolicyIn>,
    whatsapp: Option<WhatsappIn>,
    sms: Option<SmsIn>,
    guest: Option<GuestIn>,
    email: Option<EmailIn>,
}

/// A WhatsApp number. The three secrets are needed once and never shown.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct WhatsappIn {
    /// Meta's id of the number.
    #[oai(validator(pattern = "^[0-9]{1,32}$"))]
    phone_number_id: String,
    /// Meta's id of the business account that owns the number: its templates are read from there.
    #[oai(validator(pattern = "^[0-9]{1,32}$"))]
    business_account_id: Option<String>,
    /// https, with the version; that of the installation when left out. With another one than before, `accessToken`
    /// is needed again.
    #[oai(validator(max_length = 2048))]
    base_url: Option<String>,
    /// Token of a system user.
    #[oai(validator(min_length = 1, max_length = 4096))]
    access_token: Option<String>,
    /// Verifies received webhooks.
    #[oai(validator(min_length = 1, max_length = 256))]
    app_secret: Option<String>,
    /// Answers the subscription check of the webhook.
    #[oai(validator(min_length = 1, max_length = 256))]
    verify_token: Option<String>,
    /// What WhatsApp cannot deliver is sent by SMS, once; false by default.
    fallback_to_sms: Option<bool>,
}

/// A sender of SMS at Twilio. The token is needed once and never shown.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct SmsIn {
    #[oai(validator(pattern = "^AC[0-9a-fA-F]{32}$"))]
    account_sid: String,
    /// Signs in, and verifies received webhooks.
    #[oai(validator(min_length = 1, max_length = 256))]
    auth_token: Option<String>,
    /// A number in E.164 or the id of a messaging service.
    #[oai(validator(max_length = 64))]
    from: String,
    /// https, without version; that of the installation when left out. With another one than before, `authToken` is
    /// needed again.
    #[oai(validator(max_length = 2048))]
    base_url: Option<String>,
}

/// A guest platform. The secret is needed once and never shown.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct GuestIn {
    /// https.
    #[oai(validator(max_length = 2048))]
    url: String,
    /// A Standard Webhooks secret: `whsec_` and the base64 of 24 to 64 bytes.
    #[oai(validator(max_length = 128))]
    secret: Option<String>,
}

/// Whom the account's e-mails come from.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct EmailIn {
    /// `a@example.com` or `Name <a@example.com>`.
    #[oai(validator(max_length = 320))]
    from: String,
    /// Where answers go.
    #[oai(validator(max_length = 320))]
    reply_to: Option<String>,
}

macro_rules! hidden {
    ($($type:ident),*) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        })*
    };
}

hidden!(WhatsappIn, SmsIn, GuestIn, EmailIn);

impl TryFrom<ChannelIn> for ChannelPut {
    type Error = ApiError;

    fn try_from(input: ChannelIn) -> Result<Self, ApiError> {
        let kind = input.kind;
        let given = [
            (ChannelKind::Whatsapp, "/whatsapp", input.whatsapp.is_some()),
            (ChannelKind::Sms, "/sms", input.sms.is_some()),
            (ChannelKind::Guest, "/guest", input.guest.is_some()),
            (ChannelKind::Email, "/email", input.email.is_some()),
        ];
        for (of, pointer, given) in given {
            match (of == kind, given) {
                (true, false) => return Err(ApiError::invalid_field(pointer, "is missing")),
                (false, true) => return Err(ApiError::invalid_field(pointer, "is of another kind")),
                _ => {}
            }
        }
        let settings = input.whatsapp.map(Into::into).or(input.sms.map(Into::into));
        let settings = settings.or(input.guest.map(Into::into)).or(input.email.map(Into::into));
        let missing = || ApiError::invalid_field("/kind", "is of no object in the body");
        Ok(Self {
            enabled: input.enabled.unwrap_or(true),
            unknown_policy: input.unknown_policy.map(|policy| match policy {
                UnknownPolicyIn::Hold => UnknownPolicy::Hold,
                UnknownPolicyIn::ResendOnce => UnknownPolicy::ResendOnce,
            }),
            settings: settings.ok_or_else(missing)?,
        })
    }
}

impl From<WhatsappIn> for SettingsPut {
    fn from(input: WhatsappIn) -> Self {
        Self::Whatsapp(WhatsappPut {
            phone_number_id: input.phone_number_id,
            business_account_id: input.business_account_id,
            base_url: input.base_url,
            access_token: input.access_token.map(Secret::new),
            app_secret: input.app_secret.map(Secret::new),
            verify_token: input.verify_token.map(Secret::new),
            fallback_to_sms: input.fallback_to_sms.unwrap_or(false),
        })
    }
}

impl From<SmsIn> for SettingsPut {
    fn from(input: SmsIn) -> Self {
        Self::Sms(SmsPut {
            account_sid: input.account_sid,
            auth_token: input.auth_token.map(Secret::new),
            from: input.from,
            base_url: input.base_url,
        })
    }
}

impl From<GuestIn> for SettingsPut {
    fn from(input: GuestIn) -> Self {
        Self::Guest(GuestPut { url: input.url, secret: input.secret.map(Secret::new) })
    }
}

impl From<EmailIn> for SettingsPut {
    fn from(input: EmailIn) -> Self {
        Self::Email(EmailPut { from: input.from, reply_to: input.reply_to })
    }
}

/// A channel as it is stored, without its secrets.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct AccountChannelOut {
    channel_id: String,
    kind: String,
    enabled: bool,
    /// Its credentials were refused: nothing is sent by it until they are changed.
    flag: Option<FlagOut>,
    unknown_policy: Option<String>,
    whatsapp: Option<WhatsappOut>,
    sms: Option<SmsOut>,
    guest: Option<GuestOut>,
    email: Option<EmailOut>,
    created_at: String,
    updated_at: String,
}

/// Why a channel is not used.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct FlagOut {
    reason: String,
    provider_error_code: Option<String>,
    since: String,
}

#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct WhatsappOut {
    phone_number_id: String,
    business_account_id: Option<String>,
    base_url: Option<String>,
    access_token_set: bool,
    app_secret_set: bool,
    verify_token_set: bool,
    fallback_to_sms: bool,
}

#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct SmsOut {
    account_sid: String,
    from: String,
    base_url: Option<String>,
    auth_token_set: bool,
}

#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct GuestOut {
    url: String,
    secret_set: bool,
}

#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct EmailOut {
    from: String,
    reply_to: Option<String>,
}

hidden!(SmsOut, EmailOut);

/// The account's channels.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct AccountChannelsOut {
    pub(super) channels: Vec<AccountChannelOut>,
}

impl From<Flag> for FlagOut {
    fn from(flag: Flag) -> Self {
        let Flag { reason, provider_error_code, since } = flag;
        Self { reason, provider_error_code, since: rfc3339(since) }
    }
}

impl From<AccountChannel> for AccountChannelOut {
    fn from(channel: AccountChannel) -> Self {
        let mut out = Self {
            channel_id: channel.channel_id.to_string(),
            kind: channel.settings.kind().to_owned(),
            enabled: channel.enabled,
            flag: channel.flag.map(Into::into),
            unknown_policy: channel.unknown_policy.map(|policy| policy.as_str().to_owned()),
            whatsapp: None,
            sms: None,
            guest: None,
            email: None,
            created_at: rfc3339(channel.created_at),
            updated_at: rfc3339(channel.updated_at),
        };
        // What is stored has all of its kind's secrets.
        match channel.settings {
            ChannelSettings::Whatsapp(s) => {
                out.whatsapp = Some(WhatsappOut {
                    phone_number_id: s.phone_number_id,
                    business_account_id: s.business_account_id,
                    base_url: s.base_url,
                    access_token_set: true,
                    app_secret_set: true,
                    verify_token_set: true,
                    fallback_to_sms: s.fallback_to_sms,
                });
            }
            ChannelSettings::Sms(s) => {
                let (account_sid, from, base_url) = (s.account_sid, s.from, s.base_url);
                out.sms = Some(SmsOut { account_sid, from, base_url, auth_token_set: true });
            }
            ChannelSettings::Guest(s) => out.guest = Some(GuestOut { url: s.url, secret_set: true }),
            ChannelSettings::Email(s) => {
                out.email = Some(EmailOut { from: s.from, reply_to: s.reply_to });
            }
        }
        out
    }
}
