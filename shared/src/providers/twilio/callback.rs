//! The status callback of a message.

use std::fmt;

/// What a status callback says, with our own job and attempt from the query of its URL.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusCallback {
    pub message_sid: String,
    pub account_sid: Option<String>,
    pub status: MessageStatus,
    /// As text; empty and `0` are none.
    pub error_code: Option<String>,
    /// Personal.
    pub to: Option<String>,
    /// Our number.
    pub from: Option<String>,
    /// `job` of the callback URL.
    pub job_id: Option<String>,
    /// `a` of the callback URL.
    pub attempt: Option<u32>,
}

/// The lifecycle of a message; callbacks come in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageStatus {
    Accepted,
    Scheduled,
    Queued,
    Sending,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    Canceled,
    Read,
    /// A word that is not known yet.
    Other(String),
}

impl MessageStatus {
    /// Reads Twilio's word.
    pub fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "accepted" => Self::Accepted,
            "scheduled" => Self::Scheduled,
            "queued" => Self::Queued,
            "sending" => Self::Sending,
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "undelivered" => Self::Undelivered,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            "read" => Self::Read,
            other => Self::Other(other.chars().take(64).collect()),
        }
    }
}

impl StatusCallback {
    /// Reads the form `params` and the `query` pairs of the URL; none without a message id and a status.
    /// Unknown parameters are ignored: the set grows without notice.
    pub fn parse(params: &[(String, String)], query: &[(String, String)]) -> Option<Self> {
        let get = |name: &str| find(params, name);
        Some(Self {
            message_sid: get("MessageSid").or_else(|| get("SmsSid"))?,
            account_sid: get("AccountSid"),
            status: MessageStatus::parse(&get("MessageStatus").or_else(|| get("SmsStatus"))?),
            error_code: get("ErrorCode").filter(|code| code != "0"),
            to: get("To"),
            from: get("From"),
            job_id: find(query, "job"),
            attempt: find(query, "a").and_then(|attempt| attempt.parse().ok()),
        })
    }
}

fn find(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.clone())
}

impl fmt::Debug for StatusCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusCallback")
            .field("message_sid", &self.message_sid)
            .field("status", &self.status)
            .field("error_code", &self.error_code)
            .field("job_id", &self.job_id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::twilio::parse_form;

    #[test]
    fn reads_status_error_and_our_own_ids() {
        let raw = b"MessageSid=SM1&AccountSid=AC1&MessageStatus=undelivered&ErrorCode=30003&ErrorMessage=&\
            To=%2B15005550009&From=%2B15005550006&RawDlrDoneDate=2611211000&Novelty=1";
        let callback = StatusCallback::parse(&parse_form(raw), &parse_form(b"job=01J&a=2")).unwrap();
        assert_eq!(callback.status, MessageStatus::Undelivered);
        assert_eq!(callback.error_code.as_deref(), Some("30003"));
        assert_eq!((callback.job_id.as_deref(), callback.attempt), (Some("01J"), Some(2)));
        assert!(!format!("{callback:?}").contains("1500"));
    }

    #[test]
    fn takes_the_old_names_and_empty_values() {
        let callback =
            StatusCallback::parse(&parse_form(b"SmsSid=SM1&SmsStatus=SENT&ErrorCode="), &[]).unwrap();
        assert_eq!(
            (callback.status, callback.error_code, callback.attempt),
            (MessageStatus::Sent, None, None)
        );
        assert_eq!(StatusCallback::parse(&parse_form(b"MessageSid=SM1"), &[]), None);
        assert_eq!(StatusCallback::parse(&parse_form(b"MessageStatus=sent"), &[]), None);
    }
}
