//! The task that hands published events to Redis, many in one round trip, and waits for it while it is away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use super::LiveEvent;
use super::event::encode;
use crate::queue::Link;
use crate::task;

/// How long a round trip may take, connecting included.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// Events in one round trip.
const BATCH_MAX: usize = 256;

/// How long events are offered again. Older ones help nobody: who was away looks by itself what it missed.
const STALE: Duration = Duration::from_secs(10);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts the task, which ends with the last sender.
pub(super) fn start(link: Link, channel: String, origin: Arc<str>, waiting: Receiver<LiveEvent>) {
    task::spawn("live.publish", async move { Speaker { link, channel, origin }.run(waiting).await });
}

struct Speaker {
    link: Link,
    channel: String,
    origin: Arc<str>,
}

impl Speaker {
    async fn run(&self, mut waiting: Receiver<LiveEvent>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            match waiting.recv().await {
                Ok(event) => batch.push(encode(&self.origin, &event)),
                Err(RecvError::Lagged(lost)) => count_lost(lost),
                Err(RecvError::Closed) => return,
            }
            while batch.len() < BATCH_MAX {
                match waiting.try_recv() {
                    Ok(event) => batch.push(encode(&self.origin, &event)),
                    Err(TryRecvError::Lagged(lost)) => count_lost(lost),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            self.publish(&batch).await;
            batch.clear();
        }
    }

    async fn publish(&self, batch: &[String]) {
        let mut pipeline = redis::pipe();
        for event in batch {
            pipeline.cmd("PUBLISH").arg(&self.channel).arg(event).ignore();
        }
        let deadline = Instant::now() + STALE;
        while let Err(error) = self.link.pipeline::<()>(&pipeline).await {
            if Instant::now() + PAUSE > deadline {
                tracing::warn!(%error, events = batch.len(), "redis takes no live events; they are dropped");
                return count_lost(batch.len() as u64);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn count_lost(lost: u64) {
    metrics::counter!("live_dropped_total", "where" => "publish").increment(lost);
}
