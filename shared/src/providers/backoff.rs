//! How long to wait before the next attempt: exponential, with jitter that spreads a herd.

use std::time::Duration;

use rand::Rng;

/// An exponential curve: `base · factor^(attempt-1)`, at most `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub factor: u32,
    pub cap: Duration,
}

impl Backoff {
    /// The longest wait after attempt number `attempt` (from 1; 0 is taken as 1). Never falls as attempts grow.
    pub fn envelope(&self, attempt: u32) -> Duration {
        let factor = self.factor.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.checked_mul(factor).unwrap_or(Duration::MAX).min(self.cap)
    }

    /// A wait drawn evenly between half the base and the envelope (full jitter, but never an immediate retry).
    pub fn full_jitter(&self, attempt: u32, rng: &mut impl Rng) -> Duration {
        let high = self.envelope(attempt);
        let low = (self.base / 2).min(high);
        low + (high - low).mul_f64(rng.random::<f64>())
    }
}

/// Full jitter with doubling, for callers without a rule: see [`Backoff::full_jitter`].
pub fn backoff(base: Duration, attempt: u32, cap: Duration, rng: &mut impl Rng) -> Duration {
    Backoff { base, factor: 2, cap }.full_jitter(attempt, rng)
}

/// `wait` plus up to a tenth of it: spreads those who wait for one edge, and none of them is early.
pub fn lengthen(wait: Duration, rng: &mut impl Rng) -> Duration {
    wait.saturating_add((wait / 10).mul_f64(rng.random::<f64>()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn stays_between_half_the_base_and_the_cap(
            base_ms in 1u64..100_000, cap_ms in 1u64..100_000_000, attempt in 0u32..=u32::MAX, seed: u64,
        ) {
            let (base, cap) = (Duration::from_millis(base_ms), Duration::from_millis(cap_ms));
            let wait = backoff(base, attempt, cap, &mut StdRng::seed_from_u64(seed));
            prop_assert!(wait <= cap);
            prop_assert!(wait >= (base / 2).min(cap));
        }

        #[test]
        fn envelope_never_falls(base_ms in 1u64..100_000, factor in 2u32..10, attempt in 0u32..10_000) {
            let curve = Backoff {
                base: Duration::from_millis(base_ms), factor, cap: Duration::from_secs(86_400),
            };
            prop_assert!(curve.envelope(attempt) <= curve.envelope(attempt + 1));
        }

        #[test]
        fn lengthening_is_never_early(secs in 0u64..1_000_000, seed: u64) {
            let wait = Duration::from_secs(secs);
            let longer = lengthen(wait, &mut StdRng::seed_from_u64(seed));
            prop_assert!(longer >= wait && longer <= wait.mul_f64(1.11));
        }
    }

    #[test]
    fn jitter_spreads_over_the_whole_range() {
        let mut rng = StdRng::seed_from_u64(7);
        let waits: Vec<u64> = (0..1_000)
            .map(|_| backoff(Duration::from_secs(1), 6, Duration::from_secs(600), &mut rng).as_secs())
            .collect();
        assert!(waits.iter().filter(|w| **w < 10).count() > 150);
        assert!(waits.iter().filter(|w| **w >= 22).count() > 150);
    }
}
