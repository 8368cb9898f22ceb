//! The WhatsApp Cloud API: sending, and reading its webhooks.

mod catalogue;
mod payload;
mod signature;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

pub use catalogue::CatalogueError;
pub use payload::{File, Outgoing, Payload, Recipient};
pub use signature::verify_signature;

use super::classes::{Classes, Provider};
use super::judge::{ErrorBody, Judge};
use super::outcome::SendOutcome;
use super::retry_after;
use super::scrub::scrub;
use super::transport::{self, Lost, Reply, Transport, Trust};
use crate::config::Secret;

/// The longest message id that is believed; Meta's have at most 128 characters.
const ID_BYTES_MAX: usize = 256;

/// A number we send from.
#[derive(Debug, Clone)]
pub struct WhatsappChannel {
    /// With the version, for example `https://graph.facebook.com/v24.0`.
    pub base_url: Url,
    pub phone_number_id: String,
    pub access_token: Secret,
    pub trust: Trust,
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
        Self { transport, judge: Judge { classes, provider: Provider::Whatsapp } }
    }

    /// Sends a text of at most 4096 characters. `opaque` (at most 512) comes back in every status webhook;
    /// `reply_to` is the provider id of the message that is quoted.
    pub async fn send_text(
        &self,
        channel: &WhatsappChannel,
        to: Recipient<'_>,
        body: &str,
        opaque: &str,
        reply_to: Option<&str>,
    ) -> SendOutcome {
        let payload = Payload::Text { body, preview_url: true };
        self.send(channel, &Outgoing { to, payload, opaque, reply_to, marketing: false }).await
    }

    /// Sends one message; makes at most one request. An answer of success without a message id is unknown.
    pub async fn send(&self, channel: &WhatsappChannel, message: &Outgoing<'_>) -> SendOutcome {
        let outcome = match self.post(channel, message).await {
            Err(lost) => self.judge.lost(lost),
            Ok(reply) => self.read(&reply, channel, message),
        };
        self.judge.count(outcome)
    }

    async fn post(&self, channel: &WhatsappChannel, message: &Outgoing<'_>) -> Result<Reply, Lost> {
        let url = transport::join(&channel.base_url, &[&channel.phone_number_id, "messages"])
            .ok_or(Lost::Blocked("base URL cannot have a path"))?;
        let request = self.transport.client(channel.trust).post(url);
        let request = request.bearer_auth(channel.access_token.expose()).json(&message.request_body());
        self.transport.exchange(channel.trust, request).await
    }

    fn read(&self, reply: &Reply, channel: &WhatsappChannel, message: &Outgoing<'_>) -> SendOutcome {
        let body = reply.json().unwrap_or(Value::Null);
        if reply.is_success()
            && let Some(id) = id_at(&body, "/messages/0/id")
        {
            let recipient_id = id_at(&body, "/contacts/0/wa_id").or(id_at(&body, "/contacts/0/user_id"));
            return SendOutcome::Accepted { provider_id: id, recipient_id };
        }
        let mut private = message.private_texts();
        private.push(channel.access_token.expose());
        let mut error = error_body(&body, &private);
        error.wait = usage_wait(reply);
        self.judge.answered(reply, error, message.marketing)
    }
}

fn id_at(body: &Value, pointer: &str) -> Option<String> {
    let id = body.pointer(pointer)?.as_str()?;
    (!id.is_empty() && id.len() <= ID_BYTES_MAX).then(|| id.to_owned())
}

/// `{error: {message, code, error_data: {details}, fbtrace_id}}`; decides on `code`, keeps `fbtrace_id`.
fn error_body(body: &Value, private: &[&str]) -> ErrorBody {
    let Some(error) = body.get("error").filter(|error| error.is_object()) else {
        return ErrorBody::default();
    };
    let text = |pointer: &str| error.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let details = text("/error_data/details");
    let mut detail = scrub(details.or(text("/message")).unwrap_or_default(), private);
    let trace = text("/fbtrace_id").filter(|id| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_graphic()));
    if let Some(trace) = trace {
        detail.push_str(" (fbtrace_id ");
        detail.push_str(trace);
        detail.push(')');
    }
    let detail = detail.trim_start().to_owned();
    ErrorBody { code: error.get("code").and_then(code), detail, has_details: details.is_some(), wait: None }
}

fn code(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.as_u64().map(|code| code.to_string()),
        Value::String(text) => text.parse::<u64>().ok().map(|code| code.to_string()),
        _ => None,
    }
}

/// Meta's estimate, in minutes, of when an exhausted call limit opens again.
fn usage_wait(reply: &Reply) -> Option<Duration> {
    let header = reply.headers.get("x-business-use-case-usage")?.to_str().ok()?;
    let usage: Value = serde_json::from_str(header).ok()?;
    let uses = usage.as_object()?.values().filter_map(Value::as_array).flatten();
    let minutes =
        uses.filter_map(|use_case| use_case.get("estimated_time_to_regain_access")?.as_u64()).max()?;
    let wait = Duration::from_secs(minutes.saturating_mul(60));
    (minutes > 0).then(|| wait.clamp(retry_after::MIN, retry_after::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_an_error_and_keeps_its_trace() {
        let body = json!({"error": {"message": "(#131008) Required parameter is missing", "type": "OAuthException",
            "code": 131008, "error_data": {"messaging_product": "whatsapp",
            "details": "Parameter of +4915112345612 is missing"}, "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam"}});
        let error = error_body(&body, &[]);
        assert_eq!(error.code.as_deref(), Some("131008"));
        assert!(error.has_details);
        assert_eq!(error.detail, "Parameter of … is missing (fbtrace_id Az8or2yhqkZfEZ-_4Qn_Bam)");
    }

    #[test]
    fn odd_errors_have_no_code() {
        for body in [json!(null), json!([]), json!({"error": "x"}), json!({"error": {"code": {}}}), json!("")]
        {
            let error = error_body(&body, &[]);
            assert_eq!((error.code, error.detail.as_str()), (None, ""), "{body}");
        }
    }
}
