//! The reader: keeps the worker's hands full, and its group in existence.

use std::sync::Arc;

use shared::queue::QueueError;

use super::StreamConfig;
use super::entry::{Entry, RawEntry};
use super::held::Held;
use super::outage::Outage;
use super::stream::Stream;

/// Reads until the hands are closed. `stream` must have a connection of its own.
pub(super) async fn read(stream: Stream, held: Arc<Held>, config: StreamConfig) {
    let mut outage = Outage::new(config.queue, "reading");
    let mut grouped = false;
    while let Some(room) = held.room().await {
        match read_once(&stream, &held, &config, room, &mut grouped).await {
            Ok(()) => outage.over(),
            Err(error) => {
                if error.is_no_group() && grouped {
                    tracing::warn!(queue = %config.queue, "the {} stream lost its group; creating it", config.queue);
                    grouped = false;
                    continue;
                }
                grouped = false;
                outage.failed(&error);
                outage.pause().await;
            }
        }
    }
    stream.close();
}

async fn read_once(
    stream: &Stream,
    held: &Held,
    config: &StreamConfig,
    room: usize,
    grouped: &mut bool,
) -> Result<(), QueueError> {
    if !*grouped {
        stream.ensure_group().await?;
        *grouped = true;
    }
    let raw = stream.read(room, config.block()).await?;
    let entries = decode(stream, config, raw.into_iter().map(|raw| (raw, false))).await;
    held.add_fresh(entries);
    Ok(())
}

/// Decodes entries, and parks those that cannot be, so that one bad entry neither ends nor blocks the worker.
pub(super) async fn decode(
    stream: &Stream,
    config: &StreamConfig,
    raw: impl IntoIterator<Item = (RawEntry, bool)>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (raw, redelivered) in raw {
        match raw.decode(redelivered) {
            Ok(entry) => entries.push(entry),
            Err(raw) => park(stream, config, &raw).await,
        }
    }
    entries
}

async fn park(stream: &Stream, config: &StreamConfig, raw: &RawEntry) {
    let (queue, id) = (config.queue, &raw.id);
    metrics::counter!("redis_undecodable_total", "queue" => queue.as_str()).increment(1);
    match stream.park(raw).await {
        Ok(()) => tracing::warn!(%queue, entry.id = %id, "entry {id} of {queue} holds no job id; parked"),
        // It stays pending and is tried again after it was idle.
        Err(error) => {
            tracing::warn!(%queue, entry.id = %id, %error, "entry {id} of {queue} cannot be parked")
        }
    }
}
