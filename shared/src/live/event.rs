//! An event and its form on the wire: compact JSON with ids, `{"o": origin, "k": kind, …}`.
//!
//! A reader skips what it does not know: kinds and fields of later versions.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, MessageId, ThreadId, Uid};

/// Longest event that is read, in bytes; ours are some hundred.
const EVENT_MAX: usize = 4 * 1024;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub enum LiveEvent {
    /// A message was committed.
    Message { account: AccountId, thread: ThreadId, message: MessageId },
    /// A message's delivery changed.
    MessageUpdated { account: AccountId, thread: ThreadId, message: MessageId },
    /// A thread changed, or is new. `staff_only`: in nothing that a guest may know of, not even by the time.
    ThreadUpdated {
        account: AccountId,
        thread: ThreadId,
        #[serde(default)]
        staff_only: bool,
    },
    /// Somebody has read.
    Unread { account: AccountId, thread: ThreadId, uid: Uid },
    /// Somebody is writing, or no longer. `staff_only`: a note.
    Typing {
        account: AccountId,
        thread: ThreadId,
        uid: Uid,
        typing: bool,
        #[serde(default)]
        staff_only: bool,
    },
    /// A customer's session is at its end.
    SessionRevoked { account: AccountId, session_id: String },
}

impl LiveEvent {
    /// Whose it is.
    pub fn account(&self) -> &AccountId {
        match self {
            Self::Message { account, .. }
            | Self::MessageUpdated { account, .. }
            | Self::ThreadUpdated { account, .. }
            | Self::Unread { account, .. }
            | Self::Typing { account, .. }
            | Self::SessionRevoked { account, .. } => account,
        }
    }

    /// The name on the wire and in metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::MessageUpdated { .. } => "message_updated",
            Self::ThreadUpdated { .. } => "thread_updated",
            Self::Unread { .. } => "unread",
            Self::Typing { .. } => "typing",
            Self::SessionRevoked { .. } => "session_revoked",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<E> {
    /// The process that published it.
    o: String,
    #[serde(flatten)]
    event: E,
}

/// The event as it is published.
pub(super) fn encode(origin: &str, event: &LiveEvent) -> String {
    let envelope = Envelope { o: origin.to_owned(), event };
    serde_json::to_string(&envelope).expect("ids are JSON")
}

/// Origin and event; `None` for what this version does not know.
pub(super) fn decode(text: &str) -> Option<(String, LiveEvent)> {
    if text.len() > EVENT_MAX {
        return None;
    }
    let envelope: Envelope<LiveEvent> = serde_json::from_str(text).ok()?;
    Some((envelope.o, envelope.event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> LiveEvent {
        LiveEvent::Message {
            account: AccountId::parse("acme").unwrap(),
            thread: ThreadId::parse("t1").unwrap(),
            message: MessageId::parse("m1").unwrap(),
        }
    }

    #[test]
    fn an_event_is_compact_and_comes_back() {
        let text = encode("p1", &message());
        assert_eq!(text, r#"{"o":"p1","k":"message","account":"acme","thread":"t1","message":"m1"}"#);
        assert_eq!(decode(&text), Some(("p1".to_owned(), message())));
    }

    #[test]
    fn what_a_later_version_says_is_skipped() {
        let more = r#"{"o":"p1","k":"message","account":"acme","thread":"t1","message":"m1","hue":3}"#;
        assert_eq!(decode(more).map(|(_, event)| event), Some(message()));
        let old = r#"{"o":"p1","k":"thread_updated","account":"acme","thread":"t1"}"#;
        assert!(matches!(decode(old), Some((_, LiveEvent::ThreadUpdated { staff_only: false, .. }))));
        let long = format!(r#"{{"o":"{}","k":"message"}}"#, "x".repeat(EVENT_MAX));
        for foreign in [r#"{"o":"p1","k":"waved","account":"acme"}"#, "", "{", "[]", &long] {
            assert_eq!(decode(foreign), None, "{foreign:.40}");
        }
    }

    #[test]
    fn ids_of_another_form_are_no_event() {
        let spaced = r#"{"o":"p1","k":"message","account":"a b","thread":"t1","message":"m1"}"#;
        assert_eq!(decode(spaced), None);
    }
}
