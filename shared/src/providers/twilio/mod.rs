//! Twilio Messaging: sending SMS, finding what was sent, and reading its callbacks.

mod callback;
mod lookup;
mod signature;

use std::sync::Arc;

use serde_json::Value;
use url::{Url, form_urlencoded};

pub use callback::{MessageStatus, StatusCallback};
pub use lookup::{Listing, LookupError, SentMessage};
pub use signature::{parse_form, verify_json_signature, verify_signature};

use super::classes::{Classes, Provider};
use super::judge::{ErrorBody, Judge};
use super::outcome::SendOutcome;
use super::phone::Phone;
use super::scrub::scrub;
use super::transport::{self, Lost, Reply, Transport, Trust};
use crate::config::Secret;

/// The longest message sid that is believed; Twilio's have 34 characters.
const SID_BYTES_MAX: usize = 64;

/// A number we send from.
#[derive(Clone)]
pub struct TwilioChannel {
    /// Without a version, for example `https://api.twilio.com`.
    pub base_url: Url,
    pub account_sid: String,
    pub auth_token: Secret,
    /// Our number, or a messaging service (`MG…`).
    pub from: String,
    pub trust: Trust,
}

impl std::fmt::Debug for TwilioChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TwilioChannel").field("account_sid", &self.account_sid).finish_non_exhaustive()
    }
}

/// Sends messages.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    judge: Judge,
}

impl Client {
    /// Shares the connections of `transport`.
    pub fn new(transport: Transport, classes: Arc<Classes>) -> Self {
        Self { transport, judge: Judge { classes, provider: Provider::Twilio } }
    }

    /// Sends an SMS of at most 1600 characters with at most ten media; makes at most one request.
    ///
    /// `status_callback` carries our job and attempt in its query, which is the only way to match a status that
    /// comes before, or instead of, the answer. An answer of success without a sid is unknown.
    pub async fn send(
        &self,
        channel: &TwilioChannel,
        to: &Phone,
        body: &str,
        media_urls: &[String],
        status_callback: &str,
    ) -> SendOutcome {
        let form = form(channel, to, body, media_urls, status_callback);
        let outcome = match self.post(channel, form).await {
            Err(lost) => self.judge.lost(lost),
            Ok(reply) => {
                let secret = channel.auth_token.expose();
                self.read(&reply, &[body, to.expose(), to.digits(), &channel.from, secret])
            }
        };
        self.judge.count(outcome)
    }

    async fn post(&self, channel: &TwilioChannel, form: String) -> Result<Reply, Lost> {
        let url = messages_url(channel).ok_or(Lost::Blocked("base URL cannot have a path"))?;
        let request = self.transport.client(channel.trust).post(url);
        let request = request
            .basic_auth(&channel.account_sid, Some(channel.auth_token.expose()))
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        self.transport.exchange(channel.trust, request).await
    }

    fn read(&self, reply: &Reply, private: &[&str]) -> SendOutcome {
        let body = reply.json().unwrap_or(Value::Null);
        let sid = body.get("sid").and_then(Value::as_str);
        match sid.filter(|sid| !sid.is_empty() && sid.len() <= SID_BYTES_MAX) {
            Some(sid) if reply.is_success() => {
                SendOutcome::Accepted { provider_id: sid.to_owned(), recipient_id: None }
            }
            _ => self.judge.answered(reply, error_body(&body, private), false),
        }
    }
}

fn messages_url(channel: &TwilioChannel) -> Option<Url> {
    let path = ["2010-04-01", "Accounts", &channel.account_sid, "Messages.json"];
    transport::join(&channel.base_url, &path)
}

fn form(channel: &TwilioChannel, to: &Phone, body: &str, media: &[String], callback: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("To", to.expose());
    let sender = if is_service(&channel.from) { "MessagingServiceSid" } else { "From" };
    form.append_pair(sender, &channel.from);
    if !body.is_empty() {
        form.append_pair("Body", body);
    }
    for url in media {
        form.append_pair("MediaUrl", url);
    }
    form.append_pair("StatusCallback", callback);
    form.finish()
}

/// Whether a sender is a messaging service rather than a number.
fn is_service(from: &str) -> bool {
    from.starts_with("MG") && from.len() == 34
}

/// `{code, message, more_info, status}`.
fn error_body(body: &Value, private: &[&str]) -> ErrorBody {
    let code = body.get("code").or_else(|| body.get("error_code")).and_then(|code| match code {
        Value::Number(number) => number.as_u64().map(|code| code.to_string()),
        Value::String(text) => text.parse::<u64>().ok().map(|code| code.to_string()),
        _ => None,
    });
    let detail = body.get("message").and_then(Value::as_str).unwrap_or_default();
    ErrorBody { code, detail: scrub(detail, private), has_details: !detail.is_empty(), wait: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn channel(from: &str) -> TwilioChannel {
        TwilioChannel {
            base_url: "https://api.twilio.com/".parse().unwrap(),
            account_sid: "AC1".into(),
            auth_token: Secret::new("token-canary"),
            from: from.into(),
            trust: Trust::Configured,
        }
    }

    #[test]
    fn writes_the_form_and_the_url() {
        let to: Phone = "+15005550009".parse().unwrap();
        let media = ["https://m/1".to_owned(), "https://m/2".to_owned()];
        let sms = channel("+15005550006");
        let form = form(&sms, &to, "a & b", &media, "https://us/status?job=J&a=1");
        insta::assert_snapshot!(form, @"To=%2B15005550009&From=%2B15005550006&Body=a+%26+b&MediaUrl=https%3A%2F%2Fm%2F1&MediaUrl=https%3A%2F%2Fm%2F2&StatusCallback=https%3A%2F%2Fus%2Fstatus%3Fjob%3DJ%26a%3D1");
        let url = messages_url(&sms).unwrap();
        assert_eq!(url.as_str(), "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json");
        let service = channel(&format!("MG{}", "0".repeat(32)));
        assert!(super::form(&service, &to, "", &[], "x").contains("&MessagingServiceSid=MG"));
        let shown = format!("{sms:?}");
        assert!(!shown.contains("canary") && !shown.contains("15005550006"));
    }

    #[test]
    fn reads_an_error_without_the_number() {
        let body = json!({"code": 21211, "message": "The 'To' number +15005550009 is not valid.",
            "more_info": "https://www.twilio.com/docs/errors/21211", "status": 400});
        let error = error_body(&body, &["+15005550009"]);
        assert_eq!(error.code.as_deref(), Some("21211"));
        assert!(!error.detail.contains("1500"));
    }
}
