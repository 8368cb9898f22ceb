//! The handle by which events are published: never waits, never fails.

use std::sync::Arc;

use tokio::sync::broadcast;
use ulid::Ulid;

use super::listener::{Carried, Ears, Heard};
use super::{LiveEvent, channel, speaker};
use crate::domain::message::Message;
use crate::domain::thread::Thread;
use crate::queue::{Link, QueueError};

/// Events that may wait for Redis; beyond it the oldest are dropped.
const WAITING_MAX: usize = 4096;

/// Publishes events. Clones share one queue.
#[derive(Clone)]
pub struct LivePublisher(Option<Arc<Voice>>);

struct Voice {
    /// The process, by which it knows its own echo.
    origin: Arc<str>,
    redis: broadcast::Sender<LiveEvent>,
    ears: Option<Ears>,
}

impl LivePublisher {
    /// For those who want nobody to hear.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Publishes to the Redis at `url`, which need not be there yet; for a process without listeners.
    ///
    /// # Errors
    /// [`QueueError::Url`] when the URL cannot be read.
    pub fn start(url: &str, prefix: &str) -> Result<Self, QueueError> {
        Ok(Self::with_ears(Link::new(url, speaker::TIMEOUT)?, prefix, None))
    }

    pub(super) fn with_ears(link: Link, prefix: &str, ears: Option<Ears>) -> Self {
        let origin: Arc<str> = Ulid::new().to_string().into();
        let (redis, waiting) = broadcast::channel(WAITING_MAX);
        speaker::start(link, channel(prefix), Arc::clone(&origin), waiting);
        Self(Some(Arc::new(Voice { origin, redis, ears })))
    }

    pub(super) fn origin(&self) -> Arc<str> {
        self.0.as_ref().map_or_else(|| Arc::from(""), |voice| Arc::clone(&voice.origin))
    }

    /// Publishes `event`: here at once, elsewhere as soon as Redis takes it.
    pub fn publish(&self, event: LiveEvent) {
        self.say(event, None);
    }

    /// Publishes `event` with the thread as it was just read or written, which saves a listener of this process
    /// the read.
    pub fn publish_with(&self, event: LiveEvent, thread: Arc<Thread>) {
        self.say(event, Some(Carried { thread, message: None }));
    }

    /// Publishes a committed message with its thread as of the commit.
    pub fn publish_message(&self, thread: &Arc<Thread>, message: Message) {
        let event = LiveEvent::Message {
            account: message.account_id.clone(),
            thread: message.thread_id.clone(),
            message: message.message_id.clone(),
        };
        let carried = Carried { thread: Arc::clone(thread), message: Some(Arc::new(message)) };
        self.say(event, Some(carried));
    }

    /// Whether nobody hears.
    pub fn is_silent(&self) -> bool {
        self.0.is_none()
    }

    fn say(&self, event: LiveEvent, carried: Option<Carried>) {
        let Some(voice) = &self.0 else { return };
        if let Some(ears) = &voice.ears {
            ears.hear(Heard::Event { event: event.clone(), carried });
        }
        // The receiving task lives as long as this sender.
        let _ = voice.redis.send(event);
    }
}
