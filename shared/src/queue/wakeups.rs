//! The producing side of the streams: push job ids, look at depth, notice that Redis was emptied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, Value, cmd};

use super::{GROUP, JOB_FIELD, Link, Queue, QueueError, marker_key, stream_key};

/// How long a call may take, connecting included, unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Ids in one script call, so that Redis is never busy with one call for long.
const IDS_PER_CALL: usize = 1_000;

/// KEYS: stream. ARGV: cap, field, ids. Adds ids while the stream is shorter than the cap; answers how many.
///
/// Sent as text each time (Redis keeps it compiled): `EVALSHA` would save 200 bytes and add a case to recover
/// from after `SCRIPT FLUSH` or a restart.
const PUSH: &str = "\
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local taken = 0
for i = 3, #ARGV do
  if taken >= room then break end
  redis.call('XADD', KEYS[1], '*', ARGV[2], ARGV[i])
  taken = taken + 1
end
return taken";

/// KEYS: stream. ARGV: cap, field, share of one account for each worker, then ids and accounts in turn. Adds ids while
/// the stream is shorter than the cap and their account holds less than its share; answers those that were refused.
///
/// What an account holds stands in the hash beside the stream; acknowledging counts it down. An empty stream says that
/// nobody holds anything, which mends what a lost acknowledgement left behind.
const PUSH_FAIRLY: &str = "\
local counts = KEYS[1] .. ':accounts'
local cap = tonumber(ARGV[1])
local room = cap - redis.call('XLEN', KEYS[1])
if room >= cap then redis.call('DEL', counts) end
local workers = 1
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if not groups.err and groups[1] then
  for i = 1, #groups[1], 2 do
    if groups[1][i] == 'consumers' then workers = math.max(1, groups[1][i + 1]) end
  end
end
local share = tonumber(ARGV[3]) * workers
local refused = {}
for i = 4, #ARGV, 2 do
  local account = ARGV[i + 1]
  if room <= 0 or tonumber(redis.call('HGET', counts, account) or '0') >= share then
    refused[#refused + 1] = ARGV[i]
  else
    redis.call('XADD', KEYS[1], '*', ARGV[2], ARGV[i], 'a', account)
    redis.call('HINCRBY', counts, account, 1)
    room = room - 1
  end
end
return refused";

/// A job to be looked at, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// The job's id.
    pub id: &'a str,
    /// Its account, of which a stream holds only a share.
    pub account: &'a str,
}

/// Pushes wake-ups and reports on the streams. Clones share one connection.
///
/// Nothing here is needed for a job to run: a push that fails or is not accepted costs latency, since the
/// dispatcher pushes every due job again from the ledger.
#[derive(Clone, Debug)]
pub struct Wakeups {
    link: Link,
    prefix: Arc<str>,
    cap: usize,
}

impl Wakeups {
    /// For the Redis at `url`, keys under `prefix`, streams of at most `cap` entries. Opens no connection.
    ///
    /// # Errors
    /// [`QueueError::Url`] when the URL cannot be read; never because Redis is away.
    pub fn new(url: &str, prefix: &str, cap: usize) -> Result<Self, QueueError> {
        Self::with_timeout(url, prefix, cap, DEFAULT_TIMEOUT)
    }

    /// As [`Wakeups::new`], with each call taking at most `timeout`.
    ///
    /// # Errors
    /// As [`Wakeups::new`].
    pub fn with_timeout(url: &str, prefix: &str, cap: usize, timeout: Duration) -> Result<Self, QueueError> {
        Ok(Self { link: Link::new(url, timeout)?, prefix: Arc::from(prefix), cap })
    }

    /// Entries that one stream may hold.
    pub fn cap(&self) -> usize {
        self.cap
    }

    /// Pushes `ids` in order while the stream is under its cap; answers how many were accepted, which are the
    /// first ones.
    ///
    /// # Errors
    /// [`QueueError`]; a part may have been pushed.
    pub async fn push(&self, queue: Queue, ids: &[&str]) -> Result<usize, QueueError> {
        let mut pipeline = redis::pipe();
        self.add_pushes(&mut pipeline, queue, ids);
        self.run_pushes(&pipeline).await
    }

    /// Pushes jobs of several accounts so that none of them fills the stream: each may have `share` entries in it for
    /// each worker that reads it. Answers the ids that were refused; they are to come again soon.
    ///
    /// # Errors
    /// [`QueueError`]; a part may have been pushed.
    pub async fn push_fairly(
        &self,
        queue: Queue,
        jobs: &[Due<'_>],
        share: usize,
    ) -> Result<Vec<String>, QueueError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for jobs in jobs.chunks(IDS_PER_CALL) {
            pipeline.cmd("EVAL").arg(PUSH_FAIRLY).arg(1).arg(self.stream(queue));
            pipeline.arg(self.cap).arg(JOB_FIELD).arg(share);
            for job in jobs {
                pipeline.arg(job.id).arg(job.account);
            }
        }
        let refused: Vec<Vec<String>> = self.link.pipeline(&pipeline).await?;
        Ok(refused.into_iter().flatten().collect())
    }

    /// Pushes to several queues in one round trip, keeping the order within each queue; answers how many were
    /// accepted in all.
    ///
    /// # Errors
    /// [`QueueError`]; a part may have been pushed.
    pub async fn push_many(&self, wakeups: &[(Queue, String)]) -> Result<usize, QueueError> {
        let mut by_queue: BTreeMap<Queue, Vec<&str>> = BTreeMap::new();
        for (queue, id) in wakeups {
            by_queue.entry(*queue).or_default().push(id);
        }
        let mut pipeline = redis::pipe();
        for (queue, ids) in &by_queue {
            self.add_pushes(&mut pipeline, *queue, ids);
        }
        self.run_pushes(&pipeline).await
    }

    /// How many entries the stream still takes.
    ///
    /// # Errors
    /// [`QueueError`]
    pub async fn room(&self, queue: Queue) -> Result<usize, QueueError> {
        Ok(self.cap.saturating_sub(self.len(queue).await?))
    }

    /// Entries in the stream: waiting and in the hands of workers. A finished entry is gone.
    ///
    /// # Errors
    /// [`QueueError`]
    pub async fn len(&self, queue: Queue) -> Result<usize, QueueError> {
        self.link.command(cmd("XLEN").arg(self.stream(queue))).await
    }

    /// Entries in the hands of workers.
    ///
    /// # Errors
    /// [`QueueError`]
    pub async fn pending(&self, queue: Queue) -> Result<usize, QueueError> {
        let answer: Result<(usize, Value, Value, Value), _> =
            self.link.command(cmd("XPENDING").arg(self.stream(queue)).arg(GROUP)).await;
        match answer {
            Ok((count, ..)) => Ok(count),
            Err(error) if error.is_no_group() => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Whether the marker is there. Absent: Redis lost its data, so every job must be pushed again.
    ///
    /// # Errors
    /// [`QueueError`]
    pub async fn marker_present(&self) -> Result<bool, QueueError> {
        self.link.command(cmd("EXISTS").arg(marker_key(&self.prefix))).await
    }

    /// Sets the marker. Call it after the jobs were reset, not before: a crash in between resets them twice.
    ///
    /// # Errors
    /// [`QueueError`]
    pub async fn set_marker(&self) -> Result<(), QueueError> {
        self.link.command(cmd("SET").arg(marker_key(&self.prefix)).arg(1)).await
    }

    /// Answers when Redis does.
    ///
    /// # Errors
    /// [`QueueError`]
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.link.command(&cmd("PING")).await
    }

    fn stream(&self, queue: Queue) -> String {
        stream_key(&self.prefix, queue)
    }

    fn add_pushes(&self, pipeline: &mut Pipeline, queue: Queue, ids: &[&str]) {
        for ids in ids.chunks(IDS_PER_CALL) {
            pipeline.cmd("EVAL").arg(PUSH).arg(1).arg(self.stream(queue));
            pipeline.arg(self.cap).arg(JOB_FIELD).arg(ids);
        }
    }

    async fn run_pushes(&self, pipeline: &Pipeline) -> Result<usize, QueueError> {
        if pipeline.is_empty() {
            return Ok(0);
        }
        let accepted: Vec<usize> = self.link.pipeline(pipeline).await?;
        Ok(accepted.iter().sum())
    }
}
