//! The default channel of every account towards each provider; a channel without its main key is off.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::reader::{Reader, variable};
use super::sections::WEB;
use super::values::Secret;

/// Where the providers are, for the channels of accounts that name no address of their own.
#[derive(Debug, Clone)]
pub struct ProviderUrls {
    /// WhatsApp Cloud API, with its version.
    pub whatsapp: Url,
    /// Twilio, without version.
    pub twilio: Url,
}

impl ProviderUrls {
    pub(super) fn read(r: &mut Reader) -> Self {
        let whatsapp = r.required_url("whatsapp.base_url", WEB);
        Self { whatsapp, twilio: r.required_url("twilio.base_url", WEB) }
    }
}

/// WhatsApp Cloud API.
#[derive(Debug, Clone)]
pub struct Whatsapp {
    /// With its version, without a trailing slash needed.
    pub base_url: Url,
    /// Meta's id of our number.
    pub phone_number_id: String,
    /// Meta's id of the business account that owns the number: its templates are listed there.
    pub business_account_id: Option<String>,
    /// Signs in.
    pub access_token: Secret,
    /// Verifies webhooks; without it they are refused.
    pub app_secret: Option<Secret>,
    /// Answers the subscription check; without it the check is refused.
    pub verify_token: Option<Secret>,
}

impl Whatsapp {
    pub(super) fn read(r: &mut Reader, urls: &ProviderUrls) -> Option<Self> {
        let phone_number_id = r.optional("whatsapp.phone_number_id");
        let business_account_id = r.optional("whatsapp.business_account_id");
        let access_token = r.secret("whatsapp.access_token");
        let app_secret = r.secret("whatsapp.app_secret");
        let verify_token = r.secret("whatsapp.verify_token");
        if phone_number_id.is_none()
            && [&access_token, &app_secret, &verify_token].iter().any(|s| s.is_some())
        {
            missing(r, "whatsapp.phone_number_id", "whatsapp.*");
        }
        let phone_number_id = phone_number_id?;
        if access_token.is_none() {
            missing(r, "whatsapp.access_token", "whatsapp.phone_number_id");
        }
        Some(Self {
            base_url: urls.whatsapp.clone(),
            phone_number_id,
            business_account_id,
            access_token: access_token?,
            app_secret,
            verify_token,
        })
    }
}

/// SMS by Twilio.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// Without version.
    pub base_url: Url,
    /// Twilio's id of the account.
    pub account_sid: String,
    /// Signs in and verifies webhooks.
    pub auth_token: Secret,
    /// The sender.
    pub from: String,
}

impl Twilio {
    pub(super) fn read(r: &mut Reader, urls: &ProviderUrls) -> Option<Self> {
        let account_sid = r.optional("twilio.account_sid");
        let auth_token = r.secret("twilio.auth_token");
        let from = r.optional("twilio.from");
        let keys = ["twilio.account_sid", "twilio.auth_token", "twilio.from"];
        together(r, &keys, [account_sid.is_some(), auth_token.is_some(), from.is_some()]);
        let base_url = urls.twilio.clone();
        Some(Self { base_url, account_sid: account_sid?, auth_token: auth_token?, from: from? })
    }
}

/// What a secret of the Standard Webhooks scheme must be.
pub const SIGNING_SECRET: &str = "must be \"whsec_\" and the base64 of 24 to 64 bytes";

/// Whether `secret` is what [`SIGNING_SECRET`] says.
pub fn is_signing_secret(secret: &Secret) -> bool {
    let body = secret.expose().strip_prefix("whsec_").and_then(|body| STANDARD.decode(body).ok());
    body.is_some_and(|bytes| (24..=64).contains(&bytes.len()))
}

/// The guest platform.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Where messages are forwarded to.
    pub url: Url,
    /// Signs and verifies, `whsec_…`.
    pub secret: Secret,
}

impl Guest {
    pub(super) fn read(r: &mut Reader) -> Option<Self> {
        let before = r.problems.len();
        let url = r.url("guest.url", WEB);
        let url_given = url.is_some() || r.problems.len() > before;
        let secret = r.secret("guest.secret");
        together(r, &["guest.url", "guest.secret"], [url_given, secret.is_some()]);
        if secret.as_ref().is_some_and(|secret| !is_signing_secret(secret)) {
            r.problem("guest.secret", SIGNING_SECRET);
        }
        Some(Self { url: url?, secret: secret? })
    }
}

/// The mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// The server; it may hold a password.
    pub url: Secret,
    /// The sender, with or without a name.
    pub from: String,
}

impl Smtp {
    pub(super) fn read(r: &mut Reader) -> Option<Self> {
        let before = r.problems.len();
        let url = r.url("smtp.url", &["smtp", "smtps"]);
        let url_given = url.is_some() || r.problems.len() > before;
        let from = r.optional("smtp.from");
        together(r, &["smtp.url", "smtp.from"], [url_given, from.is_some()]);
        if from.as_deref().is_some_and(|from| crate::mail::sender(from).is_none()) {
            r.problem("smtp.from", "must be a mail address, \"a@example.com\" or \"Name <a@example.com>\"");
        }
        if let Some(Err(wanted)) = url.as_ref().map(crate::mail::Server::parse) {
            r.problem("smtp.url", wanted);
        }
        Some(Self { url: Secret::new(url?.as_str()), from: from? })
    }
}

fn missing(r: &mut Reader, key: &str, because: &str) {
    r.problem(key, format!("is needed, since {} is set", variable(because)));
}

/// All of `keys` or none: names each that is missing while another is given.
fn together<const N: usize>(r: &mut Reader, keys: &[&str; N], given: [bool; N]) {
    let Some(first) = given.iter().position(|given| *given) else { return };
    for (key, given) in keys.iter().zip(given) {
        if !given {
            missing(r, key, keys[first]);
        }
    }
}
