//! The pushing side of the backend: apalis's `TaskSink` over [`Wakeups`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use apalis_core::task::Task;
use futures::future::BoxFuture;
use futures::{FutureExt, Sink};
use parking_lot::Mutex;
use shared::queue::{Queue, QueueError, Wakeups};

use super::{RedisStreams, Wakeup};

/// Wake-ups collected before they are sent without being asked to.
const BATCH_MAX: usize = 500;

/// A wake-up was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The stream is at its cap; the last ones of the batch were refused.
    #[error("the stream is full: {refused} of {offered} wake-ups were refused")]
    Full {
        /// How many were refused.
        refused: usize,
        /// How many were offered.
        offered: usize,
    },
    /// Redis is away, late, or refuses.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Wake-ups on their way into the stream.
pub(super) struct Outgoing {
    wakeups: Wakeups,
    queue: Queue,
    waiting: Vec<String>,
    /// Behind a lock that is never taken, so that the backend is `Sync` as apalis's monitor wants it.
    sending: Mutex<Option<BoxFuture<'static, Result<(), PushError>>>>,
}

impl Outgoing {
    pub(super) fn new(wakeups: Wakeups, queue: Queue) -> Self {
        Self { wakeups, queue, waiting: Vec::new(), sending: Mutex::new(None) }
    }

    /// The same way, with nothing on it.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.wakeups.clone(), self.queue)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PushError>> {
        let sending = self.sending.get_mut();
        loop {
            if let Some(push) = sending {
                let sent = ready!(push.poll_unpin(cx));
                *sending = None;
                sent?;
            }
            if self.waiting.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let batch = std::mem::take(&mut self.waiting);
            *sending = Some(push(self.wakeups.clone(), self.queue, batch).boxed());
        }
    }
}

async fn push(wakeups: Wakeups, queue: Queue, batch: Vec<String>) -> Result<(), PushError> {
    let ids: Vec<&str> = batch.iter().map(String::as_str).collect();
    match ids.len() - wakeups.push(queue, &ids).await?.min(ids.len()) {
        0 => Ok(()),
        refused => Err(PushError::Full { refused, offered: ids.len() }),
    }
}

impl Sink<Task<Wakeup>> for RedisStreams {
    type Error = PushError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), PushError>> {
        let outgoing = &mut self.get_mut().outgoing;
        if outgoing.waiting.len() < BATCH_MAX { Poll::Ready(Ok(())) } else { outgoing.poll_flush(cx) }
    }

    fn start_send(self: Pin<&mut Self>, task: Task<Wakeup>) -> Result<(), PushError> {
        self.get_mut().outgoing.waiting.push(task.args.job_id);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), PushError>> {
        self.get_mut().outgoing.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), PushError>> {
        self.get_mut().outgoing.poll_flush(cx)
    }
}
