//! A Redis, a stream, and workers whose jobs the test starts and ends by hand.

use std::future::Future;
use std::time::Duration;

use apalis::prelude::*;
use redis::aio::MultiplexedConnection;
use shared::queue::{GROUP, Queue, Wakeups};
use tests::servers::RedisServer;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use workers::backend::{RedisStreams, StreamConfig, Wakeup};

/// The longest wait for anything; far longer than any of it takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// One Redis and the settings of a stream in it.
pub(super) struct Rig {
    pub(super) server: RedisServer,
    pub(super) config: StreamConfig,
    pub(super) wakeups: Wakeups,
}

impl Rig {
    /// `min_idle` 300 ms, so that take-overs are quick; prefetch 8.
    pub(super) async fn start() -> Self {
        Self::on(RedisServer::start().await.unwrap())
    }

    pub(super) fn on(server: RedisServer) -> Self {
        let mut config = StreamConfig::new(server.url(), "conformance", Queue::Search);
        config.prefetch = 8;
        config.min_idle = Duration::from_millis(300);
        let wakeups = Wakeups::new(&server.url(), "conformance", 200_000).unwrap();
        Self { server, config, wakeups }
    }

    pub(super) async fn redis(&self) -> MultiplexedConnection {
        self.server.connection().await.unwrap()
    }

    /// Sends one command given as words.
    pub(super) async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.redis().await).await.unwrap()
    }

    pub(super) async fn push(&self, ids: &[&str]) {
        assert_eq!(self.wakeups.push(Queue::Search, ids).await.unwrap(), ids.len());
    }

    pub(super) async fn push_numbered(&self, count: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|number| format!("job-{number:06}")).collect();
        self.push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        ids
    }

    pub(super) async fn len(&self) -> usize {
        self.wakeups.len(Queue::Search).await.unwrap()
    }

    pub(super) async fn pending(&self) -> usize {
        self.wakeups.pending(Queue::Search).await.unwrap()
    }

    /// Names of the group's consumers.
    pub(super) async fn consumers(&self) -> Vec<String> {
        let stream = self.config.stream();
        let mut redis = self.redis().await;
        let reply: redis::streams::StreamInfoConsumersReply =
            redis::AsyncCommands::xinfo_consumers(&mut redis, stream, GROUP).await.unwrap();
        reply.consumers.into_iter().map(|consumer| consumer.name).collect()
    }

    /// Waits until nothing is waiting, nothing is pending, and only the (empty) stream is left.
    pub(super) async fn drained(&self) {
        eventually("the stream is empty", async || self.len().await == 0 && self.pending().await == 0).await;
        assert_eq!(
            self.ask::<Vec<String>>(&["KEYS", "*"]).await,
            [self.config.stream()],
            "no key is left over"
        );
    }

    /// Starts a worker called `name` that runs up to `concurrency` jobs at a time.
    pub(super) fn worker(&self, name: &str, concurrency: usize) -> Worker {
        Worker::start(&self.config, name, concurrency)
    }
}

/// A running worker, and the jobs it has started, in order.
pub(super) struct Worker {
    pub(super) context: WorkerContext,
    run: JoinHandle<Result<(), WorkerError>>,
    started: mpsc::UnboundedReceiver<Started>,
}

/// A job that runs until told how to end; dropping it ends it well.
pub(super) struct Started {
    pub(super) wakeup: Wakeup,
    end: oneshot::Sender<Result<(), BoxDynError>>,
}

impl Started {
    pub(super) fn job(&self) -> &str {
        &self.wakeup.job_id
    }

    pub(super) fn succeed(self) {
        self.end(Ok(()));
    }

    pub(super) fn fail(self, error: impl Into<BoxDynError>) {
        self.end(Err(error.into()));
    }

    fn end(self, result: Result<(), BoxDynError>) {
        // The worker may have been thrown away meanwhile.
        let _ = self.end.send(result);
    }
}

async fn run(wakeup: Wakeup, probe: Data<mpsc::UnboundedSender<Started>>) -> Result<(), BoxDynError> {
    let (end, ended) = oneshot::channel();
    probe.send(Started { wakeup, end })?;
    ended.await.unwrap_or(Ok(()))
}

impl Worker {
    fn start(config: &StreamConfig, name: &str, concurrency: usize) -> Self {
        let (probe, started) = mpsc::unbounded_channel();
        let context = WorkerContext::from(name);
        let worker = WorkerBuilder::new(&context)
            .backend(RedisStreams::new(config.clone()).unwrap())
            .data(probe)
            .concurrency(concurrency)
            .build(run);
        let run = shared::task::spawn("worker", worker.run());
        Self { context, run, started }
    }

    /// The next job that starts.
    pub(super) async fn next(&mut self) -> Started {
        let next = timeout(PATIENCE, self.started.recv()).await.expect("no job was started in time");
        next.expect("the worker is gone")
    }

    /// The next `count` jobs that start, each ended well at once; their ids.
    pub(super) async fn run_through(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let job = self.next().await;
            ids.push(job.job().to_owned());
            job.succeed();
        }
        ids
    }

    /// A job that has started and was not looked at yet.
    pub(super) fn surprise(&mut self) -> Option<String> {
        self.started.try_recv().ok().map(|job| job.job().to_owned())
    }

    /// Asks it to stop, as SIGTERM does, without waiting.
    pub(super) fn ask_to_stop(&self) {
        self.context.stop().unwrap();
    }

    /// Waits until it has ended, which must be without an error. Jobs that nobody looked at end at once.
    pub(super) async fn ended(self) {
        let Self { run, started, .. } = self;
        drop(started);
        timeout(PATIENCE, run).await.expect("the worker does not stop").unwrap().unwrap();
    }

    pub(super) async fn stop(self) {
        self.ask_to_stop();
        self.ended().await;
    }

    /// Throws it away without any goodbye.
    pub(super) fn abort(self) {
        self.run.abort();
    }

    pub(super) fn is_running(&self) -> bool {
        !self.run.is_finished()
    }
}

/// Waits until `holds` does.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "it did not come to pass that {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
