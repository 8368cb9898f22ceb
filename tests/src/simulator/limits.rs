//! The providers' rate limits: a token bucket per sender, and pair limits borrowed from the future.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::settings::Limits;

/// Pairs kept before those that are idle are dropped.
const PAIRS_MAX: usize = 200_000;

/// The state of all limits.
#[derive(Default)]
pub(super) struct Limiter {
    senders: Mutex<HashMap<String, Bucket>>,
    pairs: Mutex<HashMap<(String, String), Instant>>,
    twilio_in_flight: AtomicUsize,
}

struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

/// A Twilio send in flight; dropping it frees its place.
pub(super) struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limiter {
    /// The error code WhatsApp refuses with, if it does: 130429 for the number, 131056 for the pair.
    pub(super) fn whatsapp(&self, limits: &Limits, from: &str, to: &str, now: Instant) -> Option<u32> {
        if !limits.enabled {
            return None;
        }
        if !self.take(from, limits.whatsapp_per_sec, now) {
            return Some(130_429);
        }
        let cost = Duration::from_secs(limits.whatsapp_pair_secs.into());
        (!self.take_pair(from, to, cost, limits.whatsapp_pair_burst, now)).then_some(131_056)
    }

    /// The error code Twilio refuses with, if it does.
    pub(super) fn twilio(&self, limits: &Limits, account: &str, now: Instant) -> Option<u32> {
        if !limits.enabled {
            return None;
        }
        let places = usize::try_from(limits.twilio_concurrency).unwrap_or(usize::MAX);
        if places > 0 && self.twilio_in_flight.load(Ordering::Relaxed) > places {
            return Some(20_429);
        }
        (!self.take(account, limits.twilio_per_sec, now)).then_some(20_429)
    }

    /// Counts a Twilio send as in flight until the guard is dropped.
    pub(super) fn enter_twilio(&self) -> InFlight<'_> {
        self.twilio_in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.twilio_in_flight)
    }

    fn take(&self, sender: &str, per_sec: u32, now: Instant) -> bool {
        let full = f64::from(per_sec);
        let mut senders = self.senders.lock();
        if !senders.contains_key(sender) {
            senders.insert(sender.to_owned(), Bucket { tokens: full, filled_at: now });
        }
        let Some(bucket) = senders.get_mut(sender) else { return true };
        let elapsed = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * full).min(full);
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Each message books `cost` of the pair's time; up to `burst` messages may be booked ahead.
    fn take_pair(&self, from: &str, to: &str, cost: Duration, burst: u32, now: Instant) -> bool {
        let mut pairs = self.pairs.lock();
        if pairs.len() >= PAIRS_MAX {
            pairs.retain(|_, booked_until| *booked_until > now);
        }
        let booked_until = pairs.entry((from.to_owned(), to.to_owned())).or_insert(now);
        let start = (*booked_until).max(now);
        let end = start + cost;
        if end.duration_since(now) > cost * burst {
            return false;
        }
        *booked_until = end;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { enabled: true, ..Limits::default() }
    }

    fn passed(limiter: &Limiter, to: impl Fn(u32) -> String, count: u32, now: Instant) -> (u32, Option<u32>) {
        let mut refused = None;
        let mut passed = 0;
        for n in 0..count {
            match limiter.whatsapp(&limits(), "1", &to(n), now) {
                None => passed += 1,
                code => refused = code,
            }
        }
        (passed, refused)
    }

    #[test]
    fn a_number_sends_80_per_second() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let to = |n: u32| format!("+1{n}");
        assert_eq!(passed(&limiter, to, 100, now), (80, Some(130_429)));
        assert_eq!(passed(&limiter, to, 100, now + Duration::from_millis(500)).0, 40);
    }

    #[test]
    fn a_pair_has_a_burst_of_45_and_then_one_per_6_seconds() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let to = |_| "+1".to_owned();
        assert_eq!(passed(&limiter, to, 60, now), (45, Some(131_056)));
        assert_eq!(passed(&limiter, to, 10, now + Duration::from_secs(5)).0, 0);
        assert_eq!(passed(&limiter, to, 10, now + Duration::from_secs(6)).0, 1);
    }

    #[test]
    fn twilio_limits_rate_and_concurrency() {
        let limits = Limits { enabled: true, twilio_concurrency: 1, ..Limits::default() };
        let (limiter, now) = (Limiter::default(), Instant::now());
        let first = limiter.enter_twilio();
        assert_eq!(limiter.twilio(&limits, "AC", now), None);
        let second = limiter.enter_twilio();
        assert_eq!(limiter.twilio(&limits, "AC", now), Some(20_429));
        drop((first, second));
        assert_eq!((0..200).filter(|_| limiter.twilio(&limits, "AC", now).is_none()).count(), 99);
    }
}
