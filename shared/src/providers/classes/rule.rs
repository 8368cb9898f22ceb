//! One rule of the table: class, reason, scope, and how long and how often to try again.

use std::time::Duration;

use chrono::{DateTime, Days, DurationRound, TimeDelta, Utc};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::domain::delivery::Reason;
use crate::providers::backoff::{self, Backoff};

/// Whose codes a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Whatsapp,
    Twilio,
    Guest,
    /// The mail server; its reply codes stand where other providers have HTTP statuses.
    Smtp,
}

/// What must happen to the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Try again with backoff; counts as an attempt.
    Retry,
    /// Try again at a time the provider dictates; free.
    WaitUntil,
    /// Park until the recipient writes or a template is sent.
    NeedsTemplate,
    /// Park until somebody repairs the channel or account.
    NeedsOperator,
    /// This message will never be taken.
    Permanent,
    /// Nobody knows whether it was taken: look it up, wait for a status, never just resend.
    Unknown,
}

/// How far the trouble reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This message only.
    Message,
    /// This sender and this recipient.
    Pair,
    /// Everything the sender's number sends.
    Number,
    /// Everything that uses the credential.
    Channel,
}

/// An edge that a wait ends at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The next full hour, UTC.
    Hour,
    /// The next midnight, UTC.
    Day,
    /// An event releases the job; the pace is only the latest look.
    Event,
}

/// How waits grow with the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pace {
    /// One wait per attempt; the last one repeats.
    Steps(Vec<Duration>),
    /// Exponential; without `base` the caller's `retry.base` is the first wait.
    Exponential { base: Option<Duration>, factor: u32, cap: Duration },
}

/// A line of the table; the fields are explained at the head of the data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub class: Class,
    pub reason: Reason,
    pub scope: Scope,
    /// What an agent reads.
    pub text: String,
    pub attempts_max: Option<u32>,
    pub budget: Option<Duration>,
    pub then: Class,
    pub pace: Pace,
    pub until: Option<Until>,
    pub floor: Option<Duration>,
    pub alarm: bool,
}

impl Provider {
    /// The name in the data file, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::Twilio => "twilio",
            Self::Guest => "guest",
            Self::Smtp => "smtp",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Whatsapp, Self::Twilio, Self::Guest, Self::Smtp];
}

impl Class {
    /// The name in the ledger, the API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::WaitUntil => "wait_until",
            Self::NeedsTemplate => "needs_template",
            Self::NeedsOperator => "needs_operator",
            Self::Permanent => "permanent",
            Self::Unknown => "unknown",
        }
    }
}

impl Rule {
    /// The class after `attempts` that ended in this rule (this one included), the first of them `age` ago.
    pub fn class_after(&self, attempts: u32, age: Duration) -> Class {
        let spent = self.attempts_max.is_some_and(|max| attempts >= max)
            || self.budget.is_some_and(|budget| age >= budget);
        if spent { self.then } else { self.class }
    }

    /// How long to wait after the `attempts`-th attempt (from 1) that ended in this rule.
    ///
    /// `hint` is the provider's own wish (Retry-After), which replaces the table's wait but not its floor;
    /// `base` is `retry.base`. A wait is never shortened by jitter, a retry is spread fully.
    pub fn delay(
        &self,
        attempts: u32,
        hint: Option<Duration>,
        now: DateTime<Utc>,
        base: Duration,
        rng: &mut impl Rng,
    ) -> Duration {
        let wait = match (hint, self.until) {
            (Some(hint), _) => backoff::lengthen(hint, rng),
            (None, Some(Until::Hour)) => backoff::lengthen(to_hour(now), rng),
            (None, Some(Until::Day)) => backoff::lengthen(to_day(now), rng),
            (None, Some(Until::Event) | None) => self.paced(attempts.max(1), base, rng),
        };
        wait.max(self.floor.unwrap_or_default())
    }

    fn paced(&self, attempt: u32, base: Duration, rng: &mut impl Rng) -> Duration {
        match &self.pace {
            Pace::Steps(steps) => {
                let step = steps.get(attempt as usize - 1).or(steps.last()).copied();
                backoff::lengthen(step.unwrap_or(base), rng)
            }
            Pace::Exponential { base: own, factor, cap } => {
                let curve = Backoff { base: own.unwrap_or(base), factor: *factor, cap: *cap };
                match self.class {
                    Class::WaitUntil => backoff::lengthen(curve.envelope(attempt), rng),
                    _ => curve.full_jitter(attempt, rng),
                }
            }
        }
    }
}

fn to_hour(now: DateTime<Utc>) -> Duration {
    let start = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    (start + TimeDelta::hours(1) - now).to_std().unwrap_or_default()
}

fn to_day(now: DateTime<Utc>) -> Duration {
    let next = now.date_naive().checked_add_days(Days::new(1)).unwrap_or_else(|| now.date_naive());
    (next.and_time(chrono::NaiveTime::MIN).and_utc() - now).to_std().unwrap_or_default()
}
