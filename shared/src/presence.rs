//! Who has a live socket: a key in Redis that sockets keep alive, best effort. The key holds ids only.
//!
//! | key | what |
//! |-----|------|
//! | `{prefix}:online:{account}:{uid}` | present while somebody's socket lives; ends by itself |

use std::fmt;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::domain::ids::{AccountId, Uid};
use crate::queue::{Link, QueueError};

/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Tells who reads along right now.
pub trait Presence: Send + Sync {
    /// Whether `uid` has a live socket. Not known is no.
    fn is_online<'a>(&'a self, account: &'a AccountId, uid: &'a Uid) -> BoxFuture<'a, bool>;
}

/// Presence by keys in Redis. Clones share one connection.
#[derive(Clone)]
pub struct RedisPresence {
    link: Link,
    prefix: String,
}

impl RedisPresence {
    /// Keys under `prefix` in the Redis at `url`. Opens nothing yet.
    ///
    /// # Errors
    /// [`QueueError::Url`]; never because Redis is away.
    pub fn new(url: &str, prefix: &str) -> Result<Self, QueueError> {
        Ok(Self { link: Link::new(url, PATIENCE)?, prefix: prefix.to_owned() })
    }

    /// Says that `people` are there for `hold`; who serves their sockets says it again before that ends.
    ///
    /// # Errors
    /// [`QueueError`]; nothing depends on it.
    pub async fn keep_online(&self, people: &[(AccountId, Uid)], hold: Duration) -> Result<(), QueueError> {
        let mut sets = redis::pipe();
        for (account, uid) in people {
            let set = sets.cmd("SET").arg(self.key(account, uid)).arg(1);
            set.arg("PX").arg(hold.as_millis().max(1) as u64).ignore();
        }
        self.link.pipeline(&sets).await
    }

    /// Says that the last sockets of `people` are gone.
    ///
    /// # Errors
    /// [`QueueError`]; the keys end by themselves.
    pub async fn forget(&self, people: &[(AccountId, Uid)]) -> Result<(), QueueError> {
        let mut del = redis::cmd("DEL");
        for (account, uid) in people {
            del.arg(self.key(account, uid));
        }
        self.link.command(&del).await
    }

    fn key(&self, account: &AccountId, uid: &Uid) -> String {
        format!("{}:online:{account}:{uid}", self.prefix)
    }
}

impl Presence for RedisPresence {
    fn is_online<'a>(&'a self, account: &'a AccountId, uid: &'a Uid) -> BoxFuture<'a, bool> {
        async move {
            let mut exists = redis::cmd("EXISTS");
            exists.arg(self.key(account, uid));
            match self.link.command::<i64>(&exists).await {
                Ok(found) => found > 0,
                Err(error) => {
                    tracing::debug!(%error, "presence is not known; taken for absent");
                    false
                }
            }
        }
        .boxed()
    }
}

impl fmt::Debug for RedisPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPresence").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
