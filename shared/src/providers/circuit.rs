//! A circuit breaker per credential: an open circuit defers work without spending attempts.
//!
//! [`Circuit`] is a pure state machine over the caller's clock; [`Circuits`] keeps one per credential.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// When a circuit opens and how long it stays so.
#[derive(Debug, Clone, Copy)]
pub struct CircuitPolicy {
    /// Failures in a row that open it.
    pub failures_max: u32,
    /// Its first time open; doubles with each failed probe.
    pub open_base: Duration,
    /// The longest time open.
    pub open_cap: Duration,
    /// A probe without a verdict for so long is given up, so that a lost permit wedges nothing.
    pub probe_timeout: Duration,
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        Self {
            failures_max: 5,
            open_base: Duration::from_secs(5),
            open_cap: Duration::from_secs(300),
            probe_timeout: Duration::from_secs(60),
        }
    }
}

/// Leave to make one call; hand it back with [`Circuit::record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an unrecorded call leaves a probe open until it times out"]
pub struct Permit {
    generation: u64,
}

/// The circuit is open; try again then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAt(pub Instant);

/// What a call says about the credential's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The far side answered as it should, even if it refused this message.
    Healthy,
    /// Credential refused, far side failing or away.
    Failing,
    /// Says nothing either way (rate limited, cancelled before the call).
    Neutral,
}

/// For display and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    Closed,
    Open,
    HalfOpen,
}

/// One breaker. Permits of an earlier generation (given before the last opening or closing) change nothing.
#[derive(Debug, Clone)]
pub struct Circuit {
    policy: CircuitPolicy,
    phase: Phase,
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant, openings: u32 },
    HalfOpen { probe_since: Instant, openings: u32 },
}

impl Circuit {
    /// A closed circuit.
    pub fn new(policy: CircuitPolicy) -> Self {
        Self { policy, phase: Phase::Closed { failures: 0 }, generation: 0 }
    }

    /// Leave for a call at `now`: always when closed, one probe at a time once the open time is over.
    pub fn try_acquire(&mut self, now: Instant) -> Result<Permit, RetryAt> {
        match self.phase {
            Phase::Closed { .. } => Ok(Permit { generation: self.generation }),
            Phase::Open { until, .. } if now < until => Err(RetryAt(until)),
            Phase::HalfOpen { probe_since, .. } if now < probe_since + self.policy.probe_timeout => {
                Err(RetryAt((now + self.policy.open_base).min(probe_since + self.policy.probe_timeout)))
            }
            Phase::Open { openings, .. } | Phase::HalfOpen { openings, .. } => {
                self.move_to(Phase::HalfOpen { probe_since: now, openings });
                Ok(Permit { generation: self.generation })
            }
        }
    }

    /// Takes the result of the call that `permit` allowed.
    pub fn record(&mut self, permit: Permit, verdict: Verdict, now: Instant) {
        if permit.generation != self.generation {
            return;
        }
        match (self.phase, verdict) {
            (Phase::Closed { .. }, Verdict::Healthy) => self.phase = Phase::Closed { failures: 0 },
            (Phase::Closed { failures }, Verdict::Failing) => {
                let failures = failures + 1;
                if failures >= self.policy.failures_max {
                    self.open(1, now);
                } else {
                    self.phase = Phase::Closed { failures };
                }
            }
            (Phase::HalfOpen { .. }, Verdict::Healthy) => self.move_to(Phase::Closed { failures: 0 }),
            (Phase::HalfOpen { openings, .. }, Verdict::Failing) => {
                self.open(openings.saturating_add(1), now);
            }
            // The probe told nothing: the next caller may probe at once.
            (Phase::HalfOpen { openings, .. }, Verdict::Neutral) => {
                self.move_to(Phase::Open { until: now, openings });
            }
            (Phase::Closed { .. }, Verdict::Neutral) | (Phase::Open { .. }, _) => {}
        }
    }

    /// Closes it at once: a new credential was stored, or an operator says so.
    pub fn reset(&mut self) {
        self.move_to(Phase::Closed { failures: 0 });
    }

    /// The state at `now`; an open time that is over counts as half open.
    pub fn state(&self, now: Instant) -> CircuitState {
        match self.phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { until, .. } if now < until => CircuitState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    fn open(&mut self, openings: u32, now: Instant) {
        let factor = 1u32.checked_shl(openings.saturating_sub(1)).unwrap_or(u32::MAX);
        let span = self.policy.open_base.saturating_mul(factor).min(self.policy.open_cap);
        self.move_to(Phase::Open { until: now + span, openings });
    }

    fn move_to(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

/// The circuits of one process, by credential (a channel's id).
#[derive(Debug)]
pub struct Circuits {
    policy: CircuitPolicy,
    by_credential: Mutex<HashMap<String, Circuit>>,
}

/// Healthy circuits are forgotten beyond this number of credentials.
const CREDENTIALS_MAX: usize = 10_000;

impl Circuits {
    /// No circuit yet; each starts closed.
    pub fn new(policy: CircuitPolicy) -> Self {
        Self { policy, by_credential: Mutex::default() }
    }

    /// See [`Circuit::try_acquire`].
    pub fn try_acquire(&self, credential: &str, now: Instant) -> Result<Permit, RetryAt> {
        let mut circuits = self.by_credential.lock();
        if let Some(circuit) = circuits.get_mut(credential) {
            return circuit.try_acquire(now);
        }
        if circuits.len() >= CREDENTIALS_MAX {
            circuits.retain(|_, c| !matches!(c.phase, Phase::Closed { failures: 0 }));
        }
        circuits.entry(credential.to_owned()).or_insert_with(|| Circuit::new(self.policy)).try_acquire(now)
    }

    /// See [`Circuit::record`].
    pub fn record(&self, credential: &str, permit: Permit, verdict: Verdict, now: Instant) {
        if let Some(circuit) = self.by_credential.lock().get_mut(credential) {
            circuit.record(permit, verdict, now);
        }
    }

    /// See [`Circuit::reset`].
    pub fn reset(&self, credential: &str) {
        if let Some(circuit) = self.by_credential.lock().get_mut(credential) {
            circuit.reset();
        }
    }

    /// Circuits that are not closed at `now`.
    pub fn open_count(&self, now: Instant) -> usize {
        self.by_credential.lock().values().filter(|c| c.state(now) != CircuitState::Closed).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tripped(now: Instant) -> Circuit {
        let mut circuit = Circuit::new(CircuitPolicy::default());
        for _ in 0..5 {
            let permit = circuit.try_acquire(now).unwrap();
            circuit.record(permit, Verdict::Failing, now);
        }
        circuit
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut circuit = Circuit::new(CircuitPolicy::default());
        for i in 0..50 {
            let permit = circuit.try_acquire(now).unwrap();
            let verdict = if i % 4 == 3 { Verdict::Healthy } else { Verdict::Failing };
            circuit.record(permit, verdict, now);
        }
        assert_eq!(circuit.state(now), CircuitState::Closed);
        let circuit = tripped(now);
        assert_eq!(circuit.state(now), CircuitState::Open);
    }

    #[test]
    fn lets_one_probe_through_and_closes_when_it_is_healthy() {
        let now = Instant::now();
        let mut circuit = tripped(now);
        let until = now + Duration::from_secs(5);
        assert_eq!(circuit.try_acquire(now), Err(RetryAt(until)));
        let probe = circuit.try_acquire(until).unwrap();
        assert!(circuit.try_acquire(until).is_err());
        circuit.record(probe, Verdict::Healthy, until);
        assert_eq!(circuit.state(until), CircuitState::Closed);
    }

    #[test]
    fn failed_probes_double_the_open_time_up_to_the_cap() {
        let mut now = Instant::now();
        let mut circuit = tripped(now);
        let mut spans = Vec::new();
        for _ in 0..10 {
            let RetryAt(until) = circuit.try_acquire(now).unwrap_err();
            spans.push((until - now).as_secs());
            now = until;
            let probe = circuit.try_acquire(now).unwrap();
            circuit.record(probe, Verdict::Failing, now);
        }
        assert_eq!(spans, [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
    }

    #[test]
    fn a_lost_probe_and_late_answers_wedge_nothing() {
        let now = Instant::now();
        let mut circuit = Circuit::new(CircuitPolicy::default());
        let late = circuit.try_acquire(now).unwrap();
        for _ in 0..5 {
            let permit = circuit.try_acquire(now).unwrap();
            circuit.record(permit, Verdict::Failing, now);
        }
        circuit.record(late, Verdict::Healthy, now);
        assert_eq!(circuit.state(now), CircuitState::Open, "a call from before the opening proves nothing");
        let half_open = now + Duration::from_secs(5);
        let lost = circuit.try_acquire(half_open).unwrap();
        let later = half_open + Duration::from_secs(60);
        let probe = circuit.try_acquire(later).unwrap();
        circuit.record(lost, Verdict::Failing, later);
        circuit.record(probe, Verdict::Healthy, later);
        assert_eq!(circuit.state(later), CircuitState::Closed);
    }

    #[test]
    fn credentials_do_not_share_a_circuit() {
        let now = Instant::now();
        let circuits = Circuits::new(CircuitPolicy::default());
        for _ in 0..5 {
            let permit = circuits.try_acquire("a", now).unwrap();
            circuits.record("a", permit, Verdict::Failing, now);
        }
        assert!(circuits.try_acquire("a", now).is_err());
        assert!(circuits.try_acquire("b", now).is_ok());
        assert_eq!(circuits.open_count(now), 1);
        circuits.reset("a");
        assert!(circuits.try_acquire("a", now).is_ok());
    }
}
