//! The backend itself: starts the tasks, hands entries to apalis, and waits for the tasks at the end.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::queue::Queue as QueueName;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::context::WorkerContext;
use futures::FutureExt;
use shared::queue::{QueueError, Wakeups};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::held::Held;
use super::keeper::Keeper;
use super::sink::Outgoing;
use super::stream::Stream;
use super::{AckLayer, PushError, StreamConfig, Wakeup, acker, reader};

/// One queue's stream as an apalis backend, for one worker at a time.
///
/// A clone has the settings and nothing else: it becomes a consumer of its own when it is started. Dropping it
/// without having been closed leaves its entries pending, as a crash does; others take them over after `min_idle`.
pub struct RedisStreams {
    config: StreamConfig,
    name: QueueName,
    pub(super) outgoing: Outgoing,
    state: State,
}

enum State {
    /// Not given to a worker.
    Idle,
    /// Layers are built, nothing was polled.
    Built { held: Arc<Held>, to_ack: mpsc::UnboundedReceiver<String> },
    /// The tasks run.
    Running(Running),
    /// All is handed back.
    Closed,
}

struct Running {
    held: Arc<Held>,
    keeper: JoinHandle<()>,
    others: [AbortHandle; 2],
    finish: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.keeper.abort();
        for other in &self.others {
            other.abort();
        }
    }
}

impl RedisStreams {
    /// A backend for `config`'s stream. Opens no connection.
    ///
    /// # Errors
    /// [`QueueError::Url`] when the URL cannot be read; never because Redis is away.
    pub fn new(config: StreamConfig) -> Result<Self, QueueError> {
        let wakeups = Wakeups::new(&config.url, &config.prefix, config.cap)?;
        let outgoing = Outgoing::new(wakeups, config.queue);
        Ok(Self { name: QueueName::from(config.queue.as_str()), config, outgoing, state: State::Idle })
    }

    fn build(&mut self) -> Arc<Held> {
        let (held, to_ack) = Held::new(&self.config);
        let held = Arc::new(held);
        self.state = State::Built { held: held.clone(), to_ack };
        held
    }

    /// Starts reader, keeper and acker as a new consumer of the group.
    fn start(&mut self, worker: &WorkerContext) -> Result<(), QueueError> {
        if matches!(self.state, State::Idle) {
            self.build();
        }
        let State::Built { held, to_ack } = std::mem::replace(&mut self.state, State::Closed) else {
            return Ok(());
        };
        let config = self.config.clone();
        let consumer = format!("{}:{}", worker.name(), Ulid::new());
        let (stream, reading) = (Stream::new(&config, &consumer)?, Stream::blocking(&config, &consumer)?);
        let finish = CancellationToken::new();
        let read = reader::read(reading.clone(), held.clone(), config.clone());
        let reader = shared::task::spawn("queue-reader", read);
        let acknowledge =
            acker::acknowledge(stream.clone(), held.clone(), config.clone(), to_ack, finish.clone());
        let acker = shared::task::spawn("queue-acker", acknowledge);
        let others = [reader.abort_handle(), acker.abort_handle()];
        let (worker, held_by_keeper, done) = (worker.clone(), held.clone(), finish.clone());
        let keeper =
            Keeper { stream, reading, held: held_by_keeper, config, worker, reader, acker, finish: done };
        let keeper = shared::task::spawn("queue-keeper", keeper.keep());
        self.state = State::Running(Running { held, keeper, others, finish });
        Ok(())
    }
}

impl Clone for RedisStreams {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            name: self.name.clone(),
            outgoing: self.outgoing.fresh(),
            state: State::Idle,
        }
    }
}

impl fmt::Debug for RedisStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStreams").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Backend for RedisStreams {
    type Task = Task<Wakeup>;
    type Error = PushError;

    fn poll_ready(&mut self, _cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), PushError>> {
        if matches!(self.state, State::Idle | State::Built { .. }) {
            // Cannot fail: `new` has read the URL already.
            self.start(worker)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Wakeup>, PushError>>> {
        let State::Running(running) = &self.state else {
            return Poll::Ready(None);
        };
        running.held.poll_next(cx).map(|entry| {
            // The entry's id, not the job's: apalis wants it unique in the worker, and a job may be pushed twice.
            let task = TaskBuilder::new(entry.wakeup)
                .task_id(TaskId::from_string(entry.id))
                .queue(self.name.clone());
            Some(Ok(task.build()))
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _worker: &WorkerContext) -> Poll<Result<(), PushError>> {
        if let State::Running(running) = &mut self.state {
            running.finish.cancel();
            if running.keeper.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.state = State::Closed;
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for RedisStreams {
    type Args = Wakeup;
    type Id = String;
    type Kind = Ephemeral;
    type Config = StreamConfig;
    type Layer = AckLayer;

    fn config(&self) -> &StreamConfig {
        &self.config
    }

    fn middleware(&mut self, _worker: &mut WorkerContext) -> AckLayer {
        AckLayer { held: self.build() }
    }
}
