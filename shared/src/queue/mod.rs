//! Redis wake-ups: the ids of jobs that should be looked at now, one stream per queue.
//!
//! The job ledger in MongoDB is the truth; what stands in Redis may be lost, repeated or late without losing a
//! job. Only job ids travel: no message text, no phone number.
//!
//! Keys, all under one prefix (`bellhop` by default):
//!
//! | key | what |
//! |-----|------|
//! | `{prefix}:{q:search}` | stream of entries `{j: job id}`, read by the consumer group [`GROUP`] |
//! | `{prefix}:{q:whatsapp}:accounts` | hash: how many entries of the stream each account holds |
//! | `{prefix}:{q:search}:dead` | the last entries that could not be read, at most some hundred |
//! | `{prefix}:{pace}:{name}` | how fast a number of ours may send, and to whom; see [`Pacer`] |
//! | `{prefix}:marker` | present since the last dispatch; absent = Redis was emptied |
//!
//! The braces are a hash tag, so that in Redis Cluster all keys of a queue live in one slot.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod error;
mod link;
mod pace;
mod wakeups;

pub use error::QueueError;
pub use link::Link;
pub use pace::{Pace, Pacer};
pub use wakeups::{DEFAULT_TIMEOUT, Due, Wakeups};

/// The one consumer group of every stream. An entry is deleted when it is acknowledged, which is right only
/// while there is one group.
pub const GROUP: &str = "workers";

/// The field of a stream entry that holds the job id.
pub const JOB_FIELD: &str = "j";

/// A kind of work with its own stream, worker pool and pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Projections into the search index.
    Search,
    /// The append-only trail of who did what.
    Audit,
    /// Messages to the guest platform.
    Guest,
    /// Messages to WhatsApp.
    Whatsapp,
    /// Messages by SMS.
    Sms,
    /// Mails.
    Email,
    /// Raw provider events, media and templates on their way in.
    Inbound,
}

impl Queue {
    /// Every queue, in the order in which they are listed to operators.
    pub const ALL: [Queue; 7] = [
        Queue::Search,
        Queue::Audit,
        Queue::Guest,
        Queue::Whatsapp,
        Queue::Sms,
        Queue::Email,
        Queue::Inbound,
    ];

    /// The name on the wire, in the ledger, in metrics and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Queue::Search => "search",
            Queue::Audit => "audit",
            Queue::Guest => "guest",
            Queue::Whatsapp => "whatsapp",
            Queue::Sms => "sms",
            Queue::Email => "email",
            Queue::Inbound => "inbound",
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue \"{0}\"; queues are search, audit, guest, whatsapp, sms, email, inbound")]
pub struct UnknownQueue(pub String);

impl Queue {
    /// Whether its jobs have an effect outside: each takes its time, and accounts share the workers.
    pub fn has_effects(self) -> bool {
        matches!(self, Queue::Guest | Queue::Whatsapp | Queue::Sms | Queue::Email)
    }
}

impl FromStr for Queue {
    type Err = UnknownQueue;

    fn from_str(text: &str) -> Result<Self, UnknownQueue> {
        Queue::ALL
            .into_iter()
            .find(|queue| queue.as_str() == text)
            .ok_or_else(|| UnknownQueue(text.chars().take(64).collect()))
    }
}

/// The stream of `queue`.
pub fn stream_key(prefix: &str, queue: Queue) -> String {
    format!("{prefix}:{{q:{queue}}}")
}

/// The bounded stream beside `stream` that keeps entries which could not be read.
pub fn dead_key(stream: &str) -> String {
    format!("{stream}:dead")
}

/// The key whose absence says that Redis has lost its data.
pub fn marker_key(prefix: &str) -> String {
    format!("{prefix}:marker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_written_and_read_by_the_same_name() {
        for queue in Queue::ALL {
            assert_eq!(queue.as_str().parse::<Queue>(), Ok(queue));
            assert_eq!(serde_json::to_value(queue).unwrap(), serde_json::json!(queue.as_str()));
            assert_eq!(queue.to_string(), queue.as_str());
        }
        assert!("Search".parse::<Queue>().is_err());
        assert!("".parse::<Queue>().is_err());
    }

    #[test]
    fn all_keys_of_a_queue_share_a_hash_tag() {
        let stream = stream_key("bellhop", Queue::Sms);
        assert_eq!(stream, "bellhop:{q:sms}");
        assert_eq!(dead_key(&stream), "bellhop:{q:sms}:dead");
        assert_eq!(marker_key("bellhop"), "bellhop:marker");
    }
}
