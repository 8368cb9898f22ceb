//! Telling Redis about committed jobs, off the request's path. What does not get through the dispatcher pushes.

use tokio::sync::mpsc;

use crate::queue::{Queue, Wakeups};
use crate::task;

/// Ids that may wait for Redis; beyond it they are left to the dispatcher.
const WAITING_MAX: usize = 20_000;
/// Ids in one round trip.
const BATCH_MAX: usize = 1_000;

/// A handle to the pushing task; clones share it.
#[derive(Clone)]
pub struct Pusher {
    ids: mpsc::Sender<(Queue, String)>,
}

impl Pusher {
    /// Starts the task, which ends when the last handle is dropped.
    pub fn start(wakeups: Wakeups) -> Self {
        let (ids, mut waiting) = mpsc::channel::<(Queue, String)>(WAITING_MAX);
        task::spawn("push", async move {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
                if let Err(error) = wakeups.push_many(&batch).await {
                    metrics::counter!("push_failed_total").increment(batch.len() as u64);
                    tracing::debug!(%error, jobs = batch.len(), "redis took no wake-ups; the dispatcher will push them");
                }
                batch.clear();
            }
        });
        Self { ids }
    }

    /// Hands ids over without waiting.
    pub fn push(&self, ids: impl IntoIterator<Item = (Queue, String)>) {
        for id in ids {
            if self.ids.try_send(id).is_err() {
                metrics::counter!("push_failed_total").increment(1);
            }
        }
    }
}
