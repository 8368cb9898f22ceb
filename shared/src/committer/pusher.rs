//! Telling Redis about committed jobs, off the request's path. What does not get through the dispatcher pushes.
//!
//! Effects wait here in a line per account while their account has its share of the stream: one that posts thousands at
//! once holds nobody else up.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::domain::ids::AccountId;
use crate::ledger::JobRow;
use crate::queue::{Due, Queue, QueueError, Wakeups};
use crate::task;

/// Jobs that may wait for Redis; beyond it they are left to the dispatcher.
const WAITING_MAX: usize = 20_000;
/// Jobs in one round trip.
const BATCH_MAX: usize = 1_000;
/// How many of one account's line are offered at once.
const OFFER: usize = 64;
/// Between two offers.
const PAUSE: Duration = Duration::from_millis(10);

/// A job that is to be looked at.
struct Wake {
    queue: Queue,
    account: AccountId,
    id: String,
}

/// A handle to the pushing task; clones share it.
#[derive(Clone)]
pub struct Pusher {
    jobs: mpsc::Sender<Wake>,
}

impl Pusher {
    /// Starts the task, which ends when the last handle is dropped. `share` is what an account may hold of a stream of
    /// effects, for each worker.
    pub fn start(wakeups: Wakeups, share: usize) -> Self {
        let (jobs, mut waiting) = mpsc::channel::<Wake>(WAITING_MAX);
        task::spawn("push", async move {
            let mut lines = Lines { wakeups, share, waiting: HashMap::new(), length: 0 };
            let mut batch = Vec::with_capacity(BATCH_MAX);
            let mut pause = interval(PAUSE);
            pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    count = waiting.recv_many(&mut batch, BATCH_MAX) => {
                        if count == 0 {
                            return;
                        }
                        lines.take(batch.drain(..)).await;
                    }
                    _ = pause.tick(), if lines.length > 0 => {}
                }
                lines.offer().await;
            }
        });
        Self { jobs }
    }

    /// Hands jobs over without waiting.
    pub fn push(&self, jobs: impl IntoIterator<Item = JobRow>) {
        for job in jobs {
            let wake = Wake { queue: job.queue, account: job.account_id, id: job.id };
            if self.jobs.try_send(wake).is_err() {
                metrics::counter!("push_failed_total").increment(1);
            }
        }
    }
}

/// Effects that wait for their account's share, by queue and account.
struct Lines {
    wakeups: Wakeups,
    share: usize,
    waiting: HashMap<(Queue, AccountId), VecDeque<String>>,
    length: usize,
}

impl Lines {
    /// Takes effects into their lines; pushes the rest at once.
    async fn take(&mut self, batch: impl Iterator<Item = Wake>) {
        let mut at_once = Vec::new();
        for wake in batch {
            if !wake.queue.has_effects() {
                at_once.push((wake.queue, wake.id));
            } else if self.length < WAITING_MAX {
                self.length += 1;
                self.waiting.entry((wake.queue, wake.account)).or_default().push_back(wake.id);
            } else {
                metrics::counter!("push_failed_total").increment(1);
            }
        }
        if let Err(error) = self.wakeups.push_many(&at_once).await {
            failed(&error, at_once.len());
        }
    }

    /// Offers the first of each line; those that are refused stay. With Redis away the dispatcher will push them.
    async fn offer(&mut self) {
        for queue in Queue::ALL {
            let offered: Vec<(AccountId, Vec<String>)> = self
                .waiting
                .iter()
                .filter(|((of, _), _)| *of == queue)
                .map(|((_, account), line)| (account.clone(), line.iter().take(OFFER).cloned().collect()))
                .collect();
            let jobs: Vec<Due<'_>> = offered
                .iter()
                .flat_map(|(account, ids)| ids.iter().map(|id| Due { id, account: account.as_str() }))
                .collect();
            if jobs.is_empty() {
                continue;
            }
            match self.wakeups.push_fairly(queue, &jobs, self.share).await {
                Ok(refused) => self.keep(queue, &offered, &refused),
                Err(error) => {
                    failed(&error, jobs.len());
                    self.keep(queue, &offered, &[]);
                }
            }
        }
    }

    /// Removes what was offered from the lines, but for what was refused.
    fn keep(&mut self, queue: Queue, offered: &[(AccountId, Vec<String>)], refused: &[String]) {
        for (account, ids) in offered {
            let key = (queue, account.clone());
            let Some(line) = self.waiting.get_mut(&key) else { continue };
            let back: Vec<String> = ids.iter().filter(|id| refused.contains(id)).cloned().collect();
            line.drain(..ids.len().min(line.len()));
            self.length -= ids.len() - back.len();
            for id in back.into_iter().rev() {
                line.push_front(id);
            }
            if line.is_empty() {
                self.waiting.remove(&key);
            }
        }
    }
}

fn failed(error: &QueueError, jobs: usize) {
    metrics::counter!("push_failed_total").increment(jobs as u64);
    tracing::debug!(%error, jobs, "redis took no wake-ups; the dispatcher will push them");
}
