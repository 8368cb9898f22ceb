//! What a stream's worker may hold and how long it may be silent.

use std::fmt;
use std::time::Duration;

use shared::queue::{Queue, dead_key, stream_key};

/// Settings of one [`RedisStreams`](super::RedisStreams). Values out of range are brought into it.
#[derive(Clone)]
pub struct StreamConfig {
    /// `redis://[user:password@]host[:port][/db]`.
    pub url: String,
    /// First part of every key.
    pub prefix: String,
    /// Whose stream is read; also the label of the metrics.
    pub queue: Queue,
    /// Entries held ready and not yet started, at least 2 (default 64). They wait in this process, so times the
    /// run time of a job, divided by the concurrency, they are its added latency.
    pub prefetch: usize,
    /// A claim that was not renewed for this long is taken over by another worker (default 5 s, at most 1 h). It is
    /// renewed three times as often, however long the job runs.
    pub min_idle: Duration,
    /// How long one read waits for entries (default 2 s).
    pub block: Duration,
    /// A consumer that owns nothing and was silent for this long belongs to a dead process and is deleted (default
    /// 10 min, at least 10 × `block`).
    pub forget_after: Duration,
    /// Entries that the stream may hold when this backend pushes (default 100,000).
    pub cap: usize,
}

/// The part of the prefetch that is kept for entries taken over: one in four.
const RECLAIM_SHARE: usize = 4;
const MIN_IDLE_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3_600));
const BLOCK_RANGE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));

impl StreamConfig {
    /// The defaults for `queue` in the Redis at `url`, keys under `prefix`.
    pub fn new(url: impl Into<String>, prefix: impl Into<String>, queue: Queue) -> Self {
        Self {
            url: url.into(),
            prefix: prefix.into(),
            queue,
            prefetch: 64,
            min_idle: Duration::from_secs(5),
            block: Duration::from_secs(2),
            forget_after: Duration::from_secs(600),
            cap: 100_000,
        }
    }

    /// The key of the stream.
    pub fn stream(&self) -> String {
        stream_key(&self.prefix, self.queue)
    }

    /// The key of the stream that keeps undecodable entries.
    pub fn dead(&self) -> String {
        dead_key(&self.stream())
    }

    pub(super) fn fresh_slots(&self) -> usize {
        self.prefetch.max(2) - self.reclaim_slots()
    }

    pub(super) fn reclaim_slots(&self) -> usize {
        (self.prefetch / RECLAIM_SHARE).max(1)
    }

    pub(super) fn min_idle(&self) -> Duration {
        self.min_idle.clamp(MIN_IDLE_RANGE.0, MIN_IDLE_RANGE.1)
    }

    pub(super) fn forget_after(&self) -> Duration {
        self.forget_after.max(self.block() * 10)
    }

    pub(super) fn block(&self) -> Duration {
        self.block.clamp(BLOCK_RANGE.0, BLOCK_RANGE.1)
    }
}

impl fmt::Debug for StreamConfig {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConfig")
            .field("stream", &self.stream())
            .field("prefetch", &self.prefetch)
            .field("min_idle", &self.min_idle)
            .field("block", &self.block)
            .field("forget_after", &self.forget_after)
            .field("cap", &self.cap)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_slots_together_are_the_prefetch() {
        let mut config = StreamConfig::new("redis://127.0.0.1", "p", Queue::Audit);
        for (prefetch, fresh, reclaim) in [(0, 1, 1), (1, 1, 1), (2, 1, 1), (8, 6, 2), (100, 75, 25)] {
            config.prefetch = prefetch;
            assert_eq!(
                (config.fresh_slots(), config.reclaim_slots()),
                (fresh, reclaim),
                "prefetch {prefetch}"
            );
        }
    }

    #[test]
    fn times_out_of_range_are_brought_into_it_and_the_url_is_not_shown() {
        let mut config = StreamConfig::new("redis://:secret@127.0.0.1", "p", Queue::Audit);
        config.min_idle = Duration::ZERO;
        config.block = Duration::ZERO; // would block for ever
        assert_eq!(config.min_idle(), Duration::from_millis(100));
        assert_eq!(config.block(), Duration::from_millis(10));
        assert!(!format!("{config:?}").contains("secret"));
    }
}
