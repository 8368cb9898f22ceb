//! The micro-batcher behind the index jobs: a lone document goes out at once; while a bulk is in flight, and for a
//! moment after it, the next one fills.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::bulk::Indexed;
use super::connection::SearchIndex;
use super::document::IndexOp;
use super::error::IndexError;
use super::mapping::IndexKind;

type Outcome = Result<Indexed, IndexError>;

/// Bounds of a batcher.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most documents of one bulk. Default 500.
    pub docs_max: usize,
    /// Documents that may wait; further callers wait for room. Default 2,000.
    pub waiting_max: usize,
    /// Rest after a bulk that was not full. A bulk of three documents costs Elasticsearch nearly as much as one of
    /// a hundred, and nothing is found before the next refresh anyway. Default none.
    pub rest: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { docs_max: 500, waiting_max: 2_000, rest: Duration::ZERO }
    }
}

struct Waiting {
    op: IndexOp,
    answer: oneshot::Sender<Outcome>,
}

/// Gathers documents of many callers into bulks, one in flight at a time; each caller gets its own result.
///
/// Cheap to clone. Callers that go away do not hinder the others; their document is still written.
#[derive(Clone)]
pub struct Batcher {
    waiting: mpsc::Sender<Waiting>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Batcher {
    /// Starts the task that writes to `index`. It ends with [`Batcher::close`] or when all clones are dropped.
    pub fn start(index: SearchIndex, limits: BatchLimits) -> Self {
        let (waiting, inbox) = mpsc::channel(limits.waiting_max.max(1));
        let stop = CancellationToken::new();
        let task = crate::task::spawn("search_batcher", run(index, inbox, stop.clone(), limits));
        Self { waiting, stop, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Writes one document with whatever else waits, and returns when Elasticsearch has answered for it.
    ///
    /// # Errors
    /// Those of [`SearchIndex::bulk`] for this document; `Closed` once the batcher is closing.
    pub async fn submit(&self, op: impl Into<IndexOp>) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        self.waiting.send(Waiting { op: op.into(), answer }).await.map_err(|_| IndexError::Closed)?;
        outcome.await.unwrap_or(Err(IndexError::Closed))
    }

    /// Takes no more documents, writes those that wait, answers them and ends.
    pub async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task
            && task.await.is_err()
        {
            tracing::error!("the search batcher panicked");
        }
    }
}

async fn run(
    index: SearchIndex,
    mut inbox: mpsc::Receiver<Waiting>,
    stop: CancellationToken,
    limits: BatchLimits,
) {
    let docs_max = limits.docs_max.max(1);
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            () = stop.cancelled(), if !inbox.is_closed() => inbox.close(), // what waits is still received below
            taken = inbox.recv_many(&mut batch, docs_max) => {
                if taken == 0 {
                    return;
                }
                write(&index, batch).await;
                if taken < docs_max / 2 && !limits.rest.is_zero() {
                    let rest = tokio::time::sleep(limits.rest);
                    tokio::select! { () = rest => {}, () = stop.cancelled() => {} }
                }
            }
        }
    }
}

/// Writes one batch: of several versions of a document only the highest goes out and answers for all.
async fn write(index: &SearchIndex, batch: Vec<Waiting>) {
    let mut ops: Vec<IndexOp> = Vec::with_capacity(batch.len());
    let mut slots: HashMap<(IndexKind, String), usize> = HashMap::with_capacity(batch.len());
    let mut callers = Vec::with_capacity(batch.len());
    for Waiting { op, answer } in batch {
        let version = op.version();
        let slot = *slots.entry((op.kind(), op.id())).or_insert(ops.len());
        callers.push((slot, version, answer));
        match ops.get_mut(slot) {
            Some(kept) if kept.version() > version => {}
            Some(kept) => *kept = op,
            None => ops.push(op),
        }
    }
    let outcomes = index.bulk(&ops).await;
    for (slot, version, answer) in callers {
        let outcome = match &outcomes {
            Err(down) => Err(IndexError::Down(down.clone())),
            Ok(outcomes) if version == ops[slot].version() => outcomes[slot].clone(),
            Ok(outcomes) => superseded(&outcomes[slot]),
        };
        // A caller that went away has no use for its answer.
        let _ = answer.send(outcome);
    }
}

/// The answer for an older version that was left out because a newer one of its document went.
fn superseded(newest: &Outcome) -> Outcome {
    match newest {
        Ok(_) => Ok(Indexed::Stale),
        // The newer one is bad, this one need not be: it comes again without it.
        Err(IndexError::Permanent { .. }) => {
            Err(IndexError::Retry { status: 409, kind: "superseded".to_owned() })
        }
        Err(other) => Err(other.clone()),
    }
}
