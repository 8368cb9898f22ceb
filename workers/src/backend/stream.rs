//! The commands on one stream, as one consumer of its group.

use std::time::Duration;

use redis::{Cmd, Value, cmd, pipe};
use shared::queue::{GROUP, Link, QueueError};

use super::entry::{RawEntry, Reclaimed, read_answer};
use super::{StreamConfig, scripts};

/// How long a call may take that does not block on purpose.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Ids in one call, so that Redis is never busy with one call for long.
const IDS_PER_CALL: usize = 500;

/// Undecodable entries kept for inspection, and bytes kept of each.
const DEAD_ENTRIES_MAX: usize = 500;
const DEAD_BYTES_MAX: usize = 512;

/// The consumer that owns entries handed back until somebody takes them. Nobody reads under this name.
const NOBODY: &str = "handed-back";

/// The idle time given to entries handed back: longer than any `min_idle`.
const HANDED_BACK_IDLE: Duration = Duration::from_secs(86_400);

/// One consumer's view of a stream. Clones share the connection.
#[derive(Clone)]
pub(super) struct Stream {
    link: Link,
    key: String,
    dead: String,
    consumer: String,
}

impl Stream {
    /// For short calls.
    pub(super) fn new(config: &StreamConfig, consumer: &str) -> Result<Self, QueueError> {
        Self::on(Link::new(&config.url, CALL_TIMEOUT)?, config, consumer)
    }

    /// For blocking reads: nothing else may use the connection meanwhile.
    pub(super) fn blocking(config: &StreamConfig, consumer: &str) -> Result<Self, QueueError> {
        Self::on(Link::new(&config.url, config.block() + CALL_TIMEOUT)?, config, consumer)
    }

    fn on(link: Link, config: &StreamConfig, consumer: &str) -> Result<Self, QueueError> {
        Ok(Self { link, key: config.stream(), dead: config.dead(), consumer: consumer.to_owned() })
    }

    /// Redis's number for this connection.
    pub(super) fn client_id(&self) -> Option<i64> {
        self.link.client_id()
    }

    /// Closes the connection.
    pub(super) fn close(&self) {
        self.link.close();
    }

    /// Creates the stream and the group unless they are there. The group begins at the first entry, so that
    /// nothing pushed before it is missed.
    pub(super) async fn ensure_group(&self) -> Result<(), QueueError> {
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(&self.key).arg(GROUP).arg("0").arg("MKSTREAM");
        match self.link.command::<()>(&create).await {
            Err(error) if !error.is_busy_group() => Err(error),
            _ => Ok(()),
        }
    }

    /// Up to `count` entries that no consumer has seen, oldest first; waits up to `block` for the first.
    pub(super) async fn read(&self, count: usize, block: Duration) -> Result<Vec<RawEntry>, QueueError> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(count);
        read.arg("BLOCK").arg(millis(block)).arg("STREAMS").arg(&self.key).arg(">");
        let answer: Value = self.link.command(&read).await?;
        Ok(read_answer(answer).map_err(redis::RedisError::from)?)
    }

    /// Ends the blocking read of the connection `client_id` as if it had waited in vain.
    pub(super) async fn unblock(&self, client_id: i64) -> Result<(), QueueError> {
        self.link.command(cmd("CLIENT").arg("UNBLOCK").arg(client_id)).await
    }

    /// Renews the claim on those of `ids` that are still ours; answers how many that are.
    pub(super) async fn beat(&self, ids: &[String]) -> Result<usize, QueueError> {
        let mut mine = 0;
        for ids in ids.chunks(IDS_PER_CALL) {
            mine += self.link.command::<usize>(self.script(scripts::BEAT).arg(ids)).await?;
        }
        Ok(mine)
    }

    /// Takes over up to `max` entries that nobody has renewed for `min_idle`, oldest first.
    pub(super) async fn reclaim(&self, max: usize, min_idle: Duration) -> Result<Vec<Reclaimed>, QueueError> {
        let mut reclaim = self.script(scripts::RECLAIM);
        reclaim.arg(millis(min_idle)).arg(max);
        let taken: Vec<Value> = self.link.command(&reclaim).await?;
        let taken: Result<_, _> = taken.into_iter().map(redis::FromRedisValue::from_redis_value).collect();
        Ok(taken.map_err(redis::RedisError::from)?)
    }

    /// Acknowledges and deletes.
    pub(super) async fn ack(&self, ids: &[String]) -> Result<(), QueueError> {
        self.link.command::<i64>(self.script(scripts::ACK).arg(ids)).await.map(drop)
    }

    /// Moves an undecodable entry to the dead stream, of which the oldest are dropped.
    pub(super) async fn park(&self, entry: &RawEntry) -> Result<(), QueueError> {
        let mut fields = entry.fields.join(&b' ');
        fields.truncate(DEAD_BYTES_MAX);
        let mut park = pipe();
        park.atomic();
        park.cmd("XADD").arg(&self.dead).arg("MAXLEN").arg(DEAD_ENTRIES_MAX).arg("*");
        park.arg("id").arg(&entry.id).arg("fields").arg(fields).ignore();
        park.cmd("XACK").arg(&self.key).arg(GROUP).arg(&entry.id).ignore();
        park.cmd("XDEL").arg(&self.key).arg(&entry.id).ignore();
        self.link.pipeline(&park).await
    }

    /// Hands back all that is ours except `keep`, for anybody to take at once; answers how many.
    pub(super) async fn release(&self, keep: &[String]) -> Result<usize, QueueError> {
        let mut release = self.script(scripts::RELEASE);
        release.arg(NOBODY).arg(millis(HANDED_BACK_IDLE)).arg(keep);
        self.link.command(&release).await
    }

    /// Deletes our consumer unless it still owns an entry; answers whether it did.
    pub(super) async fn leave(&self) -> Result<bool, QueueError> {
        self.link.command(&self.script(scripts::LEAVE)).await
    }

    /// Deletes the consumers of processes that died long ago and own nothing; answers how many.
    pub(super) async fn prune(&self, silent_for: Duration) -> Result<usize, QueueError> {
        self.link.command(self.script(scripts::PRUNE).arg(millis(silent_for))).await
    }

    fn script(&self, text: &str) -> Cmd {
        let mut eval = cmd("EVAL");
        eval.arg(text).arg(1).arg(&self.key).arg(GROUP).arg(&self.consumer);
        eval
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
