//! How fast we may send: places in time, given out in Redis to all processes alike.
//!
//! Each pace is a generic cell rate algorithm (GCRA): so many at once, then one per interval. A provider that says
//! "too fast" holds the pace for a while and slows it down, up to eight times, until it was quiet for a minute. Redis is
//! safe to lose: without it nobody waits, and the provider's own limits teach us again.
//!
//! | key | what |
//! |-----|------|
//! | `{prefix}:{pace}:{name}` | hash `tat` (next free place), `hold`, `slow`, `calm`; times in microseconds |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::cmd;

use super::{DEFAULT_TIMEOUT, Link, QueueError};
use crate::config::Rate;

/// KEYS: paces. ARGV: interval and burst of each. Takes a place in all of them; answers the wait in microseconds.
const TAKE: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local start = now
for i = 1, #KEYS do
  local f = redis.call('HMGET', KEYS[i], 'tat', 'hold', 'slow', 'calm')
  local slow = tonumber(f[3] or '1')
  if tonumber(f[4] or '0') < now then slow = 1 end
  local interval = tonumber(ARGV[2 * i - 1]) * slow
  local tat = math.max(tonumber(f[1] or '0'), now)
  start = math.max(start, tat - (tonumber(ARGV[2 * i]) - 1) * interval, tonumber(f[2] or '0'))
  redis.call('HSET', KEYS[i], 'tat', string.format('%.0f', tat + interval))
  redis.call('PEXPIRE', KEYS[i], math.floor((math.max(tat + interval, tonumber(f[2] or '0')) - now) / 1000) + 120000)
end
return string.format('%.0f', start - now)";

/// KEYS: pace. ARGV: for how long, whether it slows down. Holds it.
const HOLD: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local f = redis.call('HMGET', KEYS[1], 'hold', 'slow', 'calm')
local hold = math.max(tonumber(f[1] or '0'), now + tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'hold', string.format('%.0f', hold))
if ARGV[2] == '1' then
  local slow = tonumber(f[2] or '1')
  if tonumber(f[3] or '0') < now then slow = 1 end
  redis.call('HSET', KEYS[1], 'slow', math.min(slow * 2, 8), 'calm', string.format('%.0f', hold + 60000000))
end
redis.call('PEXPIRE', KEYS[1], math.floor((hold - now) / 1000) + 120000)
return 1";

/// One limit.
#[derive(Clone, PartialEq, Eq)]
pub struct Pace {
    /// Its name in Redis: holds no phone number.
    pub name: String,
    /// One per this time.
    pub interval: Duration,
    /// How many at once.
    pub burst: u32,
}

impl Pace {
    /// `rate`, of which a whole count may come at once.
    pub fn of(name: String, rate: Rate) -> Self {
        Self { name, interval: rate.interval(), burst: rate.count.get() }
    }
}

/// The places. Clones share one connection.
#[derive(Clone)]
pub struct Pacer {
    link: Link,
    prefix: Arc<str>,
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace")
            .field("interval", &self.interval)
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}

impl Pacer {
    /// For the Redis at `url`, keys under `prefix`. Opens no connection.
    ///
    /// # Errors
    /// [`QueueError::Url`] when the URL cannot be read.
    pub fn new(url: &str, prefix: &str) -> Result<Self, QueueError> {
        Ok(Self { link: Link::new(url, DEFAULT_TIMEOUT)?, prefix: Arc::from(prefix) })
    }

    /// Takes a place in all of `paces`; answers how long to wait for it. With Redis away: nothing.
    pub async fn take(&self, paces: &[Pace]) -> Duration {
        let mut command = cmd("EVAL");
        command.arg(TAKE).arg(paces.len());
        for pace in paces {
            command.arg(self.key(&pace.name));
        }
        for pace in paces {
            command.arg(pace.interval.as_micros() as u64).arg(pace.burst.max(1));
        }
        let wait: Result<String, QueueError> = self.link.command(&command).await;
        match wait {
            Ok(micros) => Duration::from_micros(micros.parse().unwrap_or(0)),
            Err(error) => {
                metrics::counter!("pace_unknown_total").increment(1);
                tracing::debug!(%error, "redis is away: nobody is paced");
                Duration::ZERO
            }
        }
    }

    /// Has nobody sent under `name` for `wait`, and with `slower` at half the pace after it. A failure changes nothing.
    pub async fn hold(&self, name: &str, wait: Duration, slower: bool) {
        let mut command = cmd("EVAL");
        command.arg(HOLD).arg(1).arg(self.key(name)).arg(wait.as_micros() as u64).arg(u8::from(slower));
        if let Err(error) = self.link.command::<i64>(&command).await {
            tracing::debug!(%error, "redis is away: a pace is not held");
        }
    }

    fn key(&self, name: &str) -> String {
        // One slot of a cluster holds them all: a call looks at several.
        format!("{}:{{pace}}:{name}", self.prefix)
    }
}
