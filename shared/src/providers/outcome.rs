//! What one attempt to send came to: accepted, refused, or nobody knows.

use std::sync::Arc;
use std::time::Duration;

use super::circuit::Verdict;
use super::classes::{Class, Decision, Rule, Scope};
use crate::domain::delivery::Reason;

/// The result of one attempt. Dropping it loses the message.
#[derive(Debug, Clone)]
#[must_use]
pub enum SendOutcome {
    /// The provider took it; whether it arrives comes by webhook.
    Accepted {
        /// The provider's id of the message.
        provider_id: String,
        /// The provider's id of the recipient where it names one (WhatsApp `wa_id` or `user_id`). Personal.
        recipient_id: Option<String>,
    },
    /// It was surely not taken.
    Refused(Refusal),
    /// It may or may not have been taken.
    Unknown {
        /// What was seen.
        cause: UnknownCause,
        /// HTTP status, if an answer began.
        http_status: Option<u16>,
        /// The provider's code, if the answer held one.
        code: Option<String>,
        /// Somebody should look: the code is not in the table.
        alarm: bool,
    },
}

/// Why it was not taken and what to do about it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Never [`Class::Unknown`].
    pub class: Class,
    /// The provider's code, or none when the failure was below it.
    pub code: Option<String>,
    pub http_status: Option<u16>,
    /// The provider's own wish, 1 s to 24 h.
    pub retry_after: Option<Duration>,
    /// `delivery.reason` if the message comes to rest with this.
    pub reason: Reason,
    /// For operators and agents; holds no phone number, text or token.
    pub detail: String,
    pub scope: Scope,
    /// Somebody should look: the rule says so, or the code is not in the table.
    pub alarm: bool,
    /// The rule that decided, for attempts and waits.
    pub rule: Arc<Rule>,
}

/// What made an outcome unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownCause {
    /// No answer within the deadline.
    Timeout,
    /// The connection broke after writing may have begun.
    ConnectionLost,
    /// The provider failed without saying whether it took the message.
    ServerError,
    /// Success was announced, but the answer was cut short, too large, or not what it should be.
    UnreadableAnswer,
}

impl UnknownCause {
    /// The name in the ledger and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectionLost => "connection_lost",
            Self::ServerError => "server_error",
            Self::UnreadableAnswer => "unreadable_answer",
        }
    }
}

impl SendOutcome {
    /// The label of metrics and logs: `accepted` or a class.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused(refusal) => refusal.class.as_str(),
            Self::Unknown { .. } => Class::Unknown.as_str(),
        }
    }

    /// What the circuit of the credential should learn from it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Accepted { .. } => Verdict::Healthy,
            Self::Unknown { .. } => Verdict::Failing,
            Self::Refused(refusal) => match (refusal.class, refusal.scope) {
                (Class::NeedsOperator | Class::Retry, Scope::Channel) => Verdict::Failing,
                _ if refusal.http_status.is_some_and(|status| status >= 500) => Verdict::Failing,
                (Class::WaitUntil, _) => Verdict::Neutral,
                _ => Verdict::Healthy,
            },
        }
    }
}

impl Refusal {
    pub(super) fn new(decision: Decision, detail: String) -> Self {
        let rule = decision.rule;
        Self {
            class: rule.class,
            code: None,
            http_status: None,
            retry_after: None,
            reason: rule.reason,
            detail: if detail.is_empty() { rule.text.clone() } else { detail },
            scope: rule.scope,
            alarm: decision.alarm,
            rule,
        }
    }
}
