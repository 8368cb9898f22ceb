//! How many requests a caller may make: a token bucket per user of a valid token, else per address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use poem::http::{HeaderMap, HeaderName, HeaderValue};
use shared::config::Rate;
use shared::domain::actor::Actor;

/// Buckets kept before the idle ones are dropped at once.
const BUCKETS_MAX: usize = 100_000;

/// Whose bucket a request draws from. A token that is not valid counts for its address, so that made-up
/// tokens bring no buckets of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Bucket {
    User(String, String),
    /// A customer's device at the support desk.
    Session(Arc<str>),
    /// IPv6 by its /64, which is what one client has.
    Address(u64),
}

impl Bucket {
    pub(super) fn of(actor: Option<&Actor>, address: IpAddr) -> Self {
        match (actor, address) {
            (Some(actor), _) => Self::User(actor.account.to_string(), actor.uid.to_string()),
            (None, IpAddr::V4(v4)) => Self::Address(u64::from(v4.to_bits())),
            (None, IpAddr::V6(v6)) => Self::Address((v6.to_bits() >> 64) as u64),
        }
    }
}

type Buckets = RateLimiter<Bucket, DashMapStateStore<Bucket>, DefaultClock, StateInformationMiddleware>;

/// The buckets of all callers of this process.
#[derive(Debug)]
pub(super) struct Limiter {
    buckets: Buckets,
    rate: Rate,
    burst: NonZeroU32,
}

/// What is left in a caller's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) remaining: u32,
    /// Until the bucket is full again.
    pub(super) reset: Duration,
    /// Until the next request is let in; zero when this one is.
    pub(super) wait: Duration,
}

impl Limiter {
    /// # Panics
    /// When the rate's interval is zero, which the configuration rules out.
    pub(super) fn new(rate: Rate, burst: NonZeroU32) -> Self {
        let interval = rate.interval().max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).expect("the interval is not zero").allow_burst(burst);
        let buckets = RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>();
        Self { buckets, rate, burst }
    }

    /// Takes one request out of the bucket.
    pub(super) fn take(&self, bucket: &Bucket) -> Left {
        match self.buckets.check_key(bucket) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = self.burst.get().saturating_sub(remaining);
                Left { remaining, reset: self.rate.interval() * missing, wait: Duration::ZERO }
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                Left {
                    remaining: 0,
                    reset: self.rate.interval() * self.burst.get(),
                    wait: wait.max(Duration::from_millis(1)),
                }
            }
        }
    }

    /// Drops the buckets that are full again; to be called now and then.
    pub(super) fn sweep(&self) {
        self.buckets.retain_recent();
        if self.buckets.len() > BUCKETS_MAX {
            tracing::warn!(buckets = self.buckets.len(), "many callers at once");
        }
        self.buckets.shrink_to_fit();
    }

    /// Announces the limit: the `RateLimit` fields of the IETF draft, and the separate ones of its earlier
    /// versions that most clients read.
    pub(super) fn announce(&self, left: Left, headers: &mut HeaderMap) {
        let reset = ceil_secs(left.reset);
        let window = ceil_secs(self.rate.interval() * self.burst.get());
        let policy = format!("\"caller\";q={};w={window}", self.burst);
        let state = format!("\"caller\";r={};t={reset}", left.remaining);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers.insert("ratelimit-limit", HeaderValue::from(self.burst.get()));
        headers.insert("ratelimit-remaining", HeaderValue::from(left.remaining));
        headers.insert("ratelimit-reset", HeaderValue::from(reset));
    }
}

/// Whole seconds, rounded up.
fn ceil_secs(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_in_and_then_the_rate() {
        let limiter = Limiter::new("1/m".parse().unwrap(), NonZeroU32::new(3).unwrap());
        let mine = Bucket::of(None, "192.0.2.1".parse().unwrap());
        let left: Vec<u32> = (0..3).map(|_| limiter.take(&mine).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = limiter.take(&mine);
        assert!(refused.wait > Duration::from_secs(50) && refused.wait <= Duration::from_secs(60));
        let other = Bucket::of(None, "192.0.2.2".parse().unwrap());
        assert!(limiter.take(&other).wait.is_zero(), "another caller is not affected");
        let mut headers = HeaderMap::new();
        limiter.announce(limiter.take(&other), &mut headers);
        assert_eq!(headers["ratelimit"], "\"caller\";r=1;t=120");
        assert_eq!(headers["ratelimit-policy"], "\"caller\";q=3;w=180");
        assert_eq!(headers["ratelimit-remaining"], "1");
    }

    #[test]
    fn an_ipv6_client_has_one_bucket() {
        let bucket = |text: &str| Bucket::of(None, text.parse().unwrap());
        assert_eq!(bucket("2001:db8::1"), bucket("2001:db8::ffff"));
        assert_ne!(bucket("2001:db8::1"), bucket("2001:db8:0:1::1"));
    }
}
