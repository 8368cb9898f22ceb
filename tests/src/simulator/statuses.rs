//! What becomes of an accepted message: the steps it goes through, when, and which of them are drawn by lot.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};

use super::record::Provider;
use super::settings::StatusPlan;

/// One state of a message, and when it is reached, counted from the acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) status: Cow<'static, str>,
    pub(super) after: Duration,
    /// The error code of a failed state.
    pub(super) code: Option<u32>,
}

/// The failure that a script asks for.
pub(super) struct Failure {
    pub(super) code: u32,
    /// `failed` for WhatsApp and `undelivered` for Twilio, unless set.
    pub(super) status: Option<String>,
}

/// The states that an accepted message will reach; none at the guest platform.
pub(super) fn steps(plan: &StatusPlan, provider: Provider, failure: Option<Failure>) -> Vec<Step> {
    let step = |status: &'static str, ms: u64| Step {
        status: Cow::Borrowed(status),
        after: Duration::from_millis(ms),
        code: None,
    };
    let failed = |failure: Failure, default: &'static str, ms: u64| Step {
        status: failure.status.map_or(Cow::Borrowed(default), Cow::Owned),
        after: Duration::from_millis(ms),
        code: Some(failure.code),
    };
    match (provider, failure) {
        (Provider::Guest, _) => Vec::new(),
        (Provider::Whatsapp, Some(failure)) => vec![failed(failure, "failed", plan.sent_ms)],
        (Provider::Whatsapp, None) => {
            let mut steps = vec![step("sent", plan.sent_ms), step("delivered", plan.delivered_ms)];
            if plan.read {
                steps.push(step("read", plan.read_ms));
            }
            steps
        }
        (Provider::Twilio, failure) => {
            let last = match failure {
                Some(failure) => failed(failure, "undelivered", plan.delivered_ms),
                None => step("delivered", plan.delivered_ms),
            };
            vec![step("queued", 0), step("sent", plan.sent_ms), last]
        }
    }
}

/// When each webhook of message `n` is posted: in order, or shuffled by the plan's seed; some of them late.
pub(super) fn schedule(plan: &StatusPlan, steps: &[Step], n: u64) -> Vec<Duration> {
    let mut times: Vec<Duration> = steps.iter().map(|step| step.after).collect();
    if let Some(seed) = plan.shuffle_seed {
        times.shuffle(&mut dice(seed, n));
    }
    if plan.late_percent > 0 {
        let mut dice = dice(plan.seed.wrapping_add(1), n);
        for time in &mut times {
            if dice.random_range(0..100) < plan.late_percent {
                *time += Duration::from_millis(plan.late_ms);
            }
        }
    }
    times
}

/// The failure that the plan's lot falls on for message `n`, if it does.
pub(super) fn lot(plan: &StatusPlan, provider: Provider, n: u64) -> Option<Failure> {
    if plan.fail_percent == 0 || provider == Provider::Guest {
        return None;
    }
    let mut dice = dice(plan.seed, n);
    let falls = dice.random_range(0..100) < plan.fail_percent;
    let usual = if provider == Provider::Whatsapp { [131_026] } else { [30_003] };
    let codes = if plan.fail_codes.is_empty() { &usual[..] } else { &plan.fail_codes };
    let code = codes.choose(&mut dice).copied()?;
    falls.then_some(Failure { code, status: None })
}

/// The dice of message `n`, the same each time.
pub(super) fn dice(seed: u64, n: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ n)
}

/// The state reached at `now`, for lookups; it does not depend on webhooks getting through.
pub(super) fn reached(steps: &[Step], since: DateTime<Utc>, now: DateTime<Utc>) -> (&str, Option<u32>) {
    let elapsed = (now - since).to_std().unwrap_or_default();
    let last = steps.iter().rev().find(|step| step.after <= elapsed);
    last.map_or(("queued", None), |step| (step.status.as_ref(), step.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_replaces_the_delivery() {
        let plan = StatusPlan::default();
        let failure = || Some(Failure { code: 30_003, status: None });
        let names = |steps: Vec<Step>| steps.into_iter().map(|step| step.status).collect::<Vec<_>>();
        assert_eq!(names(steps(&plan, Provider::Twilio, failure())), ["queued", "sent", "undelivered"]);
        assert_eq!(names(steps(&plan, Provider::Whatsapp, failure())), ["failed"]);
        assert_eq!(names(steps(&plan, Provider::Whatsapp, None)), ["sent", "delivered"]);
    }

    #[test]
    fn a_shuffle_repeats_with_its_seed() {
        let plan = StatusPlan { read: true, shuffle_seed: Some(3), ..StatusPlan::default() };
        let steps = steps(&plan, Provider::Whatsapp, None);
        let drawn: Vec<_> = (1..40).map(|n| schedule(&plan, &steps, n)).collect();
        assert_eq!(drawn, (1..40).map(|n| schedule(&plan, &steps, n)).collect::<Vec<_>>());
        assert!(drawn.iter().any(|times| !times.is_sorted()));
    }

    #[test]
    fn lookups_see_the_state_of_the_moment() {
        let steps = steps(&StatusPlan::default(), Provider::Twilio, None);
        let since = Utc::now();
        let at = |ms| reached(&steps, since, since + chrono::Duration::milliseconds(ms)).0;
        assert_eq!((at(0), at(25), at(60)), ("queued", "sent", "delivered"));
    }
}
