//! What a simulator is started with: its credentials, and how its numbers are called.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::settings::Settings;
use super::templates::Template;

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
    /// The message templates of the WhatsApp account.
    pub templates: Vec<Template>,
    /// The number that customers write to by SMS where the account names none.
    pub sms_number: String,
    pub settings: Settings,
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
/// The number that customers write to by SMS: one of Twilio's own for tests.
pub const DEV_SMS_NUMBER: &str = "+15005550006";
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
            templates: Template::of_development(),
            sms_number: DEV_SMS_NUMBER.to_owned(),
            settings: Settings::default(),
        }
    }
}
