//! How many events a client may send: a bucket of tokens that fills at a steady rate.

use std::time::Instant;

use parking_lot::Mutex;
use shared::config::Rate;

/// The bucket of one socket.
#[derive(Debug)]
pub(super) struct Pace {
    /// Tokens per second.
    rate: f64,
    burst: f64,
    state: Mutex<(f64, Instant)>,
}

impl Pace {
    /// A full bucket of twice the rate's count.
    pub(super) fn new(rate: Rate) -> Self {
        let burst = 2.0 * f64::from(rate.count.get());
        let rate = 1.0 / rate.interval().as_secs_f64().max(1e-9);
        Self { rate, burst, state: Mutex::new((burst, Instant::now())) }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let (tokens, filled) = &mut *self.state.lock();
        let since = now.saturating_duration_since(*filled).as_secs_f64();
        *tokens = (*tokens + since * self.rate).min(self.burst);
        *filled = now;
        let there = *tokens >= 1.0;
        if there {
            *tokens -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let pace = Pace::new("2/s".parse().unwrap());
        let start = Instant::now();
        let passed =
            |after_ms: u64| (0..10).filter(|_| pace.take_at(start + Duration::from_millis(after_ms))).count();
        assert_eq!(passed(0), 4);
        assert_eq!(passed(499), 0);
        assert_eq!(passed(1_010), 2);
        assert_eq!(passed(60_000), 4, "it never holds more than the burst");
    }
}
