//! Scripted faults: which requests a rule picks and what happens to them.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::record::{Provider, phone_form};
use super::traffic::Operation;

/// What happens to a picked request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Refused with an HTTP status and the provider's error code in its error shape.
    Answer(Answer),
    /// Accepted at once, answered `ms` later.
    Delay { ms: u64 },
    /// The whole request is read, then the connection is reset (RST); nothing is accepted.
    ResetBefore,
    /// As `reset_before`, with an orderly close.
    CloseBefore,
    /// Nothing is decided for `ms`, or for ever; then the request goes its normal way.
    HangBefore { ms: Option<u64> },
    /// Accepted, then the connection is reset (RST).
    AcceptReset,
    /// Accepted, then the connection is closed in good order.
    AcceptClose,
    /// Accepted, then silence for `ms`, or for ever; then the normal answer arrives late.
    AcceptHang { ms: Option<u64> },
    /// Accepted, then answered as if it were not.
    AcceptAnswer(Answer),
    /// Accepted (unless `accept` is false); the right answer at one byte per `interval_ms` (1000).
    Drip {
        #[serde(default = "one_second")]
        interval_ms: u64,
        #[serde(default = "yes")]
        accept: bool,
    },
    /// Accepted (unless `accept` is false); status 200 with `bytes` of body, without a length.
    Huge {
        bytes: u64,
        #[serde(default = "yes")]
        accept: bool,
    },
    /// Accepted (unless `accept` is false); status 200 with a body that is no JSON.
    Garbage {
        #[serde(default = "yes")]
        accept: bool,
    },
    /// Accepted (unless `accept` is false); bytes that are no HTTP, then a close.
    NotHttp {
        #[serde(default = "yes")]
        accept: bool,
    },
    /// Not accepted: a 307 to `location`, or to the same URL for ever.
    Redirect { location: Option<String>, status: Option<u16> },
    /// Accepted; later a status webhook tells of the failure `code` (`status`: `failed`, or `undelivered`).
    FailStatus { code: u32, status: Option<String> },
}

/// An error answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Answer {
    /// Without it: the status that belongs to `code`, or 500.
    pub status: Option<u16>,
    /// The provider's error code; without it the body has none.
    pub code: Option<u32>,
    /// The `Retry-After` header, any text.
    pub retry_after: Option<String>,
    /// The whole body, instead of the provider's error shape.
    pub body: Option<String>,
}

impl Answer {
    /// An HTTP status without a provider code.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// A provider error code with the HTTP status that belongs to it.
    pub fn code(code: u32) -> Self {
        Self { code: Some(code), ..Self::default() }
    }

    pub fn with_retry_after(mut self, text: impl Into<String>) -> Self {
        self.retry_after = Some(text.into());
        self
    }
}

/// Picks requests and says what happens to them. Every condition that is set must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    pub provider: Option<Provider>,
    #[serde(default)]
    pub operation: Operation,
    /// The recipient (or thread id at the guest platform); a phone with or without its plus.
    pub to: Option<String>,
    pub body_contains: Option<String>,
    /// The key, or the job within it.
    pub key: Option<String>,
    /// Lets this many matching requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// Then acts on each n-th only.
    pub every: Option<u64>,
    /// Acts this often at most.
    pub times: Option<u64>,
    /// Acts with this probability (0 to 1), drawn from `seed`.
    pub probability: Option<f64>,
    #[serde(default)]
    pub seed: u64,
    pub action: Action,
}

impl FaultRule {
    /// Acts on every send to `provider`.
    pub fn on(provider: Provider, action: Action) -> Self {
        Self { provider: Some(provider), ..Self::any(action) }
    }

    /// Acts on every send to any provider.
    pub fn any(action: Action) -> Self {
        Self {
            provider: None,
            operation: Operation::Send,
            to: None,
            body_contains: None,
            key: None,
            skip: 0,
            every: None,
            times: None,
            probability: None,
            seed: 0,
            action,
        }
    }

    pub fn lookups(self) -> Self {
        self.of(Operation::Lookup)
    }

    /// Acts on requests of this kind, instead of sends.
    pub fn of(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    pub fn to(mut self, to: impl Into<String>) -> Self {
        self.to = Some(to.into());
        self
    }

    pub fn body_contains(mut self, text: impl Into<String>) -> Self {
        self.body_contains = Some(text.into());
        self
    }

    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    pub fn every(mut self, n: u64) -> Self {
        self.every = Some(n);
        self
    }

    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    pub fn probability(mut self, probability: f64, seed: u64) -> Self {
        self.probability = Some(probability);
        self.seed = seed;
        self
    }

    fn matches(&self, request: &Sketch<'_>) -> bool {
        self.provider.is_none_or(|provider| provider == request.provider)
            && self.operation == request.operation
            && self.to.as_ref().is_none_or(|to| phone_form(to) == request.to)
            && self.body_contains.as_ref().is_none_or(|text| request.body.contains(text))
            && self.key.as_ref().is_none_or(|key| {
                request.key.is_some_and(|given| {
                    given == key || given.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.'))
                })
            })
    }
}

/// What is known of a request before it is judged.
pub(super) struct Sketch<'a> {
    pub(super) provider: Provider,
    pub(super) operation: Operation,
    pub(super) to: &'a str,
    pub(super) body: &'a str,
    pub(super) key: Option<&'a str>,
}

/// A rule with its counters.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultState {
    pub id: u64,
    pub rule: FaultRule,
    /// Requests that met the rule's conditions.
    pub matched: u64,
    /// Requests it acted on.
    pub acted: u64,
    #[serde(skip)]
    dice: StdRng,
}

/// The rules in force, tried in the order they were added.
#[derive(Default)]
pub(super) struct FaultBook {
    rules: Mutex<(u64, Vec<FaultState>)>,
}

impl FaultBook {
    /// Adds a rule and returns its id (1, 2, 3 …).
    pub(super) fn add(&self, rule: FaultRule) -> u64 {
        let mut rules = self.rules.lock();
        rules.0 += 1;
        let id = rules.0;
        let dice = StdRng::seed_from_u64(rule.seed);
        rules.1.push(FaultState { id, rule, matched: 0, acted: 0, dice });
        id
    }

    /// Removes one rule, or all; returns how many went.
    pub(super) fn clear(&self, id: Option<u64>) -> usize {
        let mut rules = self.rules.lock();
        let before = rules.1.len();
        rules.1.retain(|state| id.is_some_and(|id| id != state.id));
        before - rules.1.len()
    }

    pub(super) fn list(&self) -> Vec<FaultState> {
        self.rules.lock().1.clone()
    }

    /// The first rule that acts on `request`, with its id.
    pub(super) fn pick(&self, request: &Sketch<'_>) -> Option<(u64, Action)> {
        let mut rules = self.rules.lock();
        rules.1.iter_mut().filter(|state| state.rule.matches(request)).find_map(FaultState::try_act)
    }
}

impl FaultState {
    fn try_act(&mut self) -> Option<(u64, Action)> {
        self.matched += 1;
        let counted = self.matched.checked_sub(self.rule.skip).filter(|counted| *counted > 0)?;
        if self.rule.times.is_some_and(|times| self.acted >= times)
            || self.rule.every.is_some_and(|every| !counted.is_multiple_of(every.max(1)))
            || self.rule.probability.is_some_and(|p| !self.dice.random_bool(p.clamp(0.0, 1.0)))
        {
            return None;
        }
        self.acted += 1;
        Some((self.id, self.rule.action.clone()))
    }
}

fn one_second() -> u64 {
    1000
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch<'a>(to: &'a str, body: &'a str) -> Sketch<'a> {
        let (provider, operation) = (Provider::Whatsapp, Operation::Send);
        Sketch { provider, operation, to, body, key: Some("01J.2") }
    }

    fn acts(book: &FaultBook, count: usize) -> Vec<bool> {
        (0..count).map(|_| book.pick(&sketch("+316", "hello")).is_some()).collect()
    }

    #[test]
    fn conditions_are_all_needed() {
        let book = FaultBook::default();
        book.add(
            FaultRule::on(Provider::Whatsapp, Action::ResetBefore).to("316").body_contains("ell").key("01J"),
        );
        book.add(FaultRule::on(Provider::Twilio, Action::ResetBefore));
        assert!(book.pick(&sketch("+316", "hello")).is_some());
        assert!(book.pick(&sketch("+317", "hello")).is_none());
        assert!(book.pick(&sketch("+316", "other")).is_none());
    }

    #[test]
    fn skip_every_and_times_count() {
        let book = FaultBook::default();
        book.add(FaultRule::any(Action::ResetBefore).skip(1).every(2).times(2));
        assert_eq!(acts(&book, 8), [false, false, true, false, true, false, false, false]);
    }

    #[test]
    fn probability_repeats_with_its_seed() {
        let draw = |seed| {
            let book = FaultBook::default();
            book.add(FaultRule::any(Action::ResetBefore).probability(0.5, seed));
            acts(&book, 64)
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn rules_are_read_from_json() {
        let rule: FaultRule = serde_json::from_str(
            r#"{"provider":"whatsapp","times":2,"action":{"kind":"answer","code":131016,"retryAfter":"soon"}}"#,
        )
        .unwrap();
        let answer = Answer::code(131_016).with_retry_after("soon");
        assert_eq!(rule, FaultRule::on(Provider::Whatsapp, Action::Answer(answer)).times(2));
        assert!(serde_json::from_str::<FaultRule>(r#"{"acton":{"kind":"reset_before"}}"#).is_err());
    }
}
