//! What passed by: every request seen with its outcome, and every try to deliver a webhook.
//!
//! Both logs keep the newest [`KEPT`] entries; unlike the record of accepted sends they judge nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use super::record::Provider;

/// Entries kept per log.
const KEPT: usize = 200_000;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not answered yet.
    Pending,
    /// Accepted; answered, or about to be.
    Accepted,
    /// Answered with an error; nothing was accepted.
    Refused,
    /// A lookup that was answered.
    Answered,
    /// The connection was reset or closed before anything was accepted.
    ResetBefore,
    /// Accepted, then the connection was reset or closed.
    ResetAfter,
    /// Accepted, then left without an answer, or with one that is none.
    BrokenAfter,
    /// Not accepted, and answered with something that is no answer.
    BrokenBefore,
    /// The client left before anything was decided.
    ClientGone,
}

/// One request to a provider's endpoint.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    pub n: u64,
    pub at: DateTime<Utc>,
    pub provider: Provider,
    /// What was wanted.
    pub operation: Operation,
    pub key: Option<String>,
    pub outcome: Outcome,
    /// The HTTP status answered.
    pub status: Option<u16>,
    /// The provider's error code answered.
    pub code: Option<u32>,
    /// The number in the record of accepted sends.
    pub accepted: Option<u64>,
    /// The fault rule that acted; 0 is a magic recipient or marker.
    pub fault: Option<u64>,
}

/// What a request wants from a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    #[default]
    Send,
    /// Twilio's list and single messages.
    Lookup,
    /// A medium uploaded to WhatsApp.
    Upload,
    /// A medium looked up, fetched or deleted.
    Media,
    /// WhatsApp's template catalogue.
    Templates,
}

/// One try to deliver one webhook.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub n: u64,
    pub at: DateTime<Utc>,
    pub provider: Provider,
    /// `sent`, `delivered`, `read`, `failed` … or `message` and `template` of what is no status.
    pub status: String,
    pub provider_id: String,
    pub key: Option<String>,
    /// 1 for the first try of this webhook.
    pub attempt: u32,
    /// The HTTP status of the answer.
    pub answer: Option<u16>,
    /// `connect`, `timeout`, `broken` or `given_up` when there was no answer.
    pub error: Option<&'static str>,
    pub duration_ms: u64,
    /// How many statuses or messages the webhook told of; each has an entry of its own.
    pub together: u32,
    /// What was posted, when [`super::Settings::keep_webhooks`] asks for it.
    #[serde(skip)]
    pub request: Option<Arc<Posted>>,
}

/// A webhook as it was posted.
#[derive(Debug)]
pub struct Posted {
    /// The URL that was signed.
    pub url: String,
    pub headers: BTreeMap<&'static str, String>,
    pub body: Vec<u8>,
}

/// A bounded log with running numbers and a signal.
pub(super) struct Log<T> {
    entries: Mutex<Entries<T>>,
    changed: watch::Sender<u64>,
}

struct Entries<T> {
    kept: VecDeque<T>,
    dropped: u64,
}

impl<T: Clone> Log<T> {
    pub(super) fn new() -> Self {
        let entries = Mutex::new(Entries { kept: VecDeque::new(), dropped: 0 });
        Self { entries, changed: watch::Sender::new(0) }
    }

    /// Appends what `entry` makes of the number given to it, and returns that number (1, 2, 3 …).
    pub(super) fn push(&self, entry: impl FnOnce(u64) -> T) -> u64 {
        let mut entries = self.entries.lock();
        if entries.kept.len() == KEPT {
            entries.kept.pop_front();
            entries.dropped += 1;
        }
        let n = entries.dropped + entries.kept.len() as u64 + 1;
        entries.kept.push_back(entry(n));
        drop(entries);
        self.signal();
        n
    }

    /// Changes entry `n`, if it is still kept.
    pub(super) fn amend(&self, n: u64, change: impl FnOnce(&mut T)) {
        let mut entries = self.entries.lock();
        let index = n.checked_sub(entries.dropped + 1).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| entries.kept.get_mut(index)) {
            change(entry);
        }
        drop(entries);
        self.signal();
    }

    /// The entries above number `after`, at most `limit`.
    pub(super) fn after(&self, after: u64, limit: usize) -> Vec<T> {
        let entries = self.entries.lock();
        let skip = usize::try_from(after.saturating_sub(entries.dropped)).unwrap_or(usize::MAX);
        entries.kept.iter().skip(skip).take(limit).cloned().collect()
    }

    /// Runs `read` over what is kept, under the log's lock.
    pub(super) fn read<R>(&self, read: impl FnOnce(&[T]) -> R) -> R {
        read(self.entries.lock().kept.make_contiguous())
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn signal(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}
