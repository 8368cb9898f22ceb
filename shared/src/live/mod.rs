//! What happened just now, told to those who watch: ids between processes, over Redis pub/sub.
//!
//! Whoever commits publishes; each ingest process listens and shows its sockets what they may see, reading it from
//! MongoDB. Only ids travel: no text, no token. Nothing depends on an event: one that is lost costs a delay until the
//! client asks, and after an outage the listener is told from when on it may have missed some.
//!
//! An event reaches the listener of its own process at once and directly, so that sockets hear what was posted here
//! also while Redis is away; its echo from Redis is known by its origin and skipped.
//!
//! Channel: `{prefix}:live`. Failures never reach the publisher: events wait in a bounded queue, the oldest give way.

mod event;
mod listener;
mod publisher;
mod speaker;

use redis::Client;

pub use event::LiveEvent;
pub use listener::{Carried, Heard, LiveSubscriber, Missed};
pub use publisher::LivePublisher;

use crate::queue::{Link, QueueError};

/// The channel of all processes that share a prefix.
pub fn channel(prefix: &str) -> String {
    format!("{prefix}:live")
}

/// Begins to publish and to listen on the Redis at `url`; it need not be there yet. The listening ends when the
/// subscriber is dropped.
///
/// # Errors
/// [`QueueError::Url`] when the URL cannot be read.
pub fn connect(url: &str, prefix: &str) -> Result<(LivePublisher, LiveSubscriber), QueueError> {
    let client = Client::open(url).map_err(|_| QueueError::Url)?;
    let link = Link::new(url, speaker::TIMEOUT)?;
    let (subscriber, ears) = listener::subscriber();
    let publisher = LivePublisher::with_ears(link, prefix, Some(ears.clone()));
    listener::start(client, channel(prefix), publisher.origin(), ears);
    Ok((publisher, subscriber))
}
