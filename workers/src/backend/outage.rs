//! One warning when Redis goes, one line when it is back, and growing pauses in between.

use std::time::Duration;

use shared::queue::{Queue, QueueError};
use tokio::time::{Instant, sleep};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The state of one loop's dealings with Redis.
pub(super) struct Outage {
    queue: Queue,
    doing: &'static str,
    since: Option<Instant>,
    pause: Duration,
}

impl Outage {
    /// None yet, for the loop that is `doing` something for `queue`.
    pub(super) fn new(queue: Queue, doing: &'static str) -> Self {
        Self { queue, doing, since: None, pause: PAUSE_MIN }
    }

    /// A call failed.
    pub(super) fn failed(&mut self, error: &QueueError) {
        let (queue, doing) = (self.queue, self.doing);
        if self.since.is_none() {
            self.since = Some(Instant::now());
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%queue, doing, %error, cause, "redis fails the {queue} worker while {doing}: {error}");
        } else {
            tracing::debug!(%queue, doing, %error, "redis still fails the {queue} worker");
        }
    }

    /// A call succeeded.
    pub(super) fn over(&mut self) {
        if let Some(since) = self.since.take() {
            let (queue, doing, ms) = (self.queue, self.doing, since.elapsed().as_millis());
            tracing::info!(%queue, doing, duration_ms = ms, "redis serves the {queue} worker again after {ms} ms");
        }
        self.pause = PAUSE_MIN;
    }

    /// Waits before the next try, longer each time, with half of the wait left to chance.
    pub(super) async fn pause(&mut self) {
        sleep(self.pause.mul_f64(rand::random_range(0.5..=1.0))).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}
