//! Reads a webhook body leniently: what is understood becomes events, the rest is kept as it came.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::code;
use crate::providers::scrub::scrub;

/// Everything one body held. Nothing of it is dropped: what has an unknown shape stands in `strange`.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    pub statuses: Vec<StatusEvent>,
    pub messages: Vec<InboundMessage>,
    pub strange: Vec<Strange>,
}

/// A status of a message we sent.
#[derive(Clone, PartialEq)]
pub struct StatusEvent {
    /// The number of ours that sent it.
    pub phone_number_id: Option<String>,
    pub wamid: String,
    pub status: Status,
    pub timestamp: Option<DateTime<Utc>>,
    /// Our `{jobId}.{attempt}`.
    pub opaque: Option<String>,
    /// `wa_id`, or the business-scoped id. Personal.
    pub recipient: Option<String>,
    pub errors: Vec<StatusError>,
}

/// What a status says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Sent,
    Delivered,
    Read,
    Failed,
    /// A word that is not known yet.
    Other(String),
}

/// Why a message failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusError {
    pub code: Option<String>,
    /// Scrubbed.
    pub title: String,
}

/// A message of a customer, unread.
#[derive(Clone)]
pub struct InboundMessage {
    pub phone_number_id: Option<String>,
    /// The message as it came.
    pub message: Value,
    /// `contacts` of the same change.
    pub contacts: Value,
}

/// A part that has no known shape.
#[derive(Clone)]
pub struct Strange {
    pub phone_number_id: Option<String>,
    pub value: Value,
}

impl Batch {
    /// Reads `raw`; an error only if it is no JSON object with entries.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let body: Value = serde_json::from_slice(raw)?;
        let mut batch = Self::default();
        let Some(entries) = body.get("entry").and_then(Value::as_array) else {
            batch.keep(None, &body);
            return Ok(batch);
        };
        for entry in entries {
            match entry.get("changes").and_then(Value::as_array) {
                Some(changes) => changes.iter().for_each(|change| batch.take_change(change)),
                None => batch.keep(None, entry),
            }
        }
        Ok(batch)
    }

    /// The numbers of ours that the body names, each once: every one of them must verify.
    pub fn phone_number_ids(&self) -> Vec<&str> {
        let statuses = self.statuses.iter().map(|s| &s.phone_number_id);
        let messages = self.messages.iter().map(|m| &m.phone_number_id);
        let strange = self.strange.iter().map(|s| &s.phone_number_id);
        let mut ids: Vec<&str> =
            statuses.chain(messages).chain(strange).flatten().map(String::as_str).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn take_change(&mut self, change: &Value) {
        let value = change.get("value").unwrap_or(&Value::Null);
        let number = text(value.pointer("/metadata/phone_number_id"));
        let list =
            |name: &str| value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (statuses, messages) = (list("statuses"), list("messages"));
        for status in statuses {
            match StatusEvent::read(number.clone(), status) {
                Some(event) => self.statuses.push(event),
                None => self.keep(number.as_deref(), status),
            }
        }
        for message in messages {
            self.messages.push(InboundMessage {
                phone_number_id: number.clone(),
                message: message.clone(),
                contacts: value.get("contacts").cloned().unwrap_or(Value::Null),
            });
        }
        let odd_list = |name: &str| value.get(name).is_some_and(|list| !list.is_array());
        if statuses.is_empty() && messages.is_empty() || odd_list("statuses") || odd_list("messages") {
            self.keep(number.as_deref(), change);
        }
    }

    fn keep(&mut self, number: Option<&str>, value: &Value) {
        self.strange.push(Strange { phone_number_id: number.map(str::to_owned), value: value.clone() });
    }
}

impl StatusEvent {
    fn read(phone_number_id: Option<String>, status: &Value) -> Option<Self> {
        let word = text(status.get("status"))?;
        let errors = status.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Some(Self {
            phone_number_id,
            wamid: text(status.get("id"))?,
            status: match word.as_str() {
                "sent" => Status::Sent,
                "delivered" => Status::Delivered,
                "read" => Status::Read,
                "failed" => Status::Failed,
                _ => Status::Other(word.chars().take(64).collect()),
            },
            timestamp: status.get("timestamp").and_then(timestamp),
            opaque: text(status.get("biz_opaque_callback_data")),
            recipient: text(status.get("recipient_id")).or(text(status.get("recipient_user_id"))),
            errors: errors.iter().map(StatusError::read).collect(),
        })
    }
}

impl StatusError {
    fn read(error: &Value) -> Self {
        let word = |name: &str| error.get(name).and_then(Value::as_str);
        let title = word("title").or(word("message")).unwrap_or_default();
        Self { code: error.get("code").and_then(code), title: scrub(title, &[]) }
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Unix seconds, as text or number.
fn timestamp(value: &Value) -> Option<DateTime<Utc>> {
    let secs = match value {
        Value::String(text) => text.parse().ok()?,
        other => other.as_i64()?,
    };
    DateTime::from_timestamp(secs, 0)
}

impl fmt::Debug for StatusEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusEvent")
            .field("wamid", &self.wamid)
            .field("status", &self.status)
            .field("opaque", &self.opaque)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMessage")
            .field("phone_number_id", &self.phone_number_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Strange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strange").field("phone_number_id", &self.phone_number_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn body(changes: Value) -> Vec<u8> {
        let entry = json!([{"id": "WABA", "changes": changes}]);
        json!({"object": "whatsapp_business_account", "entry": entry}).to_string().into_bytes()
    }

    #[test]
    fn reads_every_entry_and_keeps_what_it_does_not_know() {
        let batch = Batch::parse(&body(json!([
            {"field": "messages", "value": {"metadata": {"phone_number_id": "1"}, "statuses": [
                {"id": "wamid.a", "status": "failed", "timestamp": "1760000000", "recipient_id": "15005550009",
                 "biz_opaque_callback_data": "01J.2", "errors": [{"code": 131026, "title": "Undeliverable"}]},
                {"id": "wamid.b", "status": "played", "timestamp": 1760000001},
                {"status": "sent"}, 7]}},
            {"field": "messages", "value": {"metadata": {"phone_number_id": "2"},
                "contacts": [{"wa_id": "15005550009"}], "messages": [{"id": "wamid.c", "type": "hologram"}]}},
            {"field": "account_update", "value": {"event": "x"}},
            "noise",
            {"field": "messages", "value": {"metadata": {"phone_number_id": 3}, "statuses": {"id": "x"}}},
        ])))
        .unwrap();
        assert_eq!(batch.statuses.len(), 2);
        let failed = &batch.statuses[0];
        assert_eq!(failed.status, Status::Failed);
        assert_eq!(failed.opaque.as_deref(), Some("01J.2"));
        assert_eq!(failed.timestamp.unwrap().timestamp(), 1_760_000_000);
        assert_eq!(failed.recipient.as_deref(), Some("15005550009"));
        assert_eq!(failed.errors[0].code.as_deref(), Some("131026"));
        assert_eq!(batch.statuses[1].status, Status::Other("played".into()));
        assert_eq!(batch.messages.len(), 1);
        assert_eq!(batch.messages[0].contacts[0]["wa_id"], "15005550009");
        assert_eq!(batch.strange.len(), 5);
        assert_eq!(batch.phone_number_ids(), ["1", "2", "3"]);
        assert!(!format!("{batch:?}").contains("15005550009"));
    }

    #[test]
    fn only_a_body_that_is_no_json_is_an_error() {
        assert!(Batch::parse(b"").is_err());
        assert!(Batch::parse(b"{\"entry\":[").is_err());
        for odd in ["null", "[]", "7", "{}", r#"{"entry":{}}"#, r#"{"entry":[1,null]}"#] {
            assert!(!Batch::parse(odd.as_bytes()).unwrap().strange.is_empty(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(raw in ".{0,400}", inner in "[\\[\\]{}:,\"a-z0-9]{0,80}") {
            let _ = Batch::parse(raw.as_bytes());
            let _ = Batch::parse(format!("{{\"entry\":[{{\"changes\":[{{\"value\":{inner}}}]}}]}}").as_bytes());
        }
    }
}
