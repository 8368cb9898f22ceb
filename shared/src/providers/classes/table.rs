//! The table as it is looked up: by code first, then by HTTP status.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Deserialize;

use super::ClassesError;
use super::file::Entry;
use super::rule::{Provider, Rule};

/// What a provider said, as far as a class depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signal<'a> {
    /// The provider's own code, or one of the words of the data file.
    pub code: Option<&'a str>,
    /// HTTP status of the answer; none in a status webhook.
    pub http_status: Option<u16>,
    /// It came in a status webhook, not as the answer to our request.
    pub in_status: bool,
    /// The message was a marketing template.
    pub marketing: bool,
    /// The answer explains itself (WhatsApp `error_data.details`).
    pub has_details: bool,
}

/// The rule that applies, and whether it is a guess.
#[derive(Debug, Clone)]
pub struct Decision {
    pub rule: Arc<Rule>,
    /// The code stands in the table; false also when there was no code.
    pub known_code: bool,
    /// Somebody should look: the rule says so, or the code is not in the table.
    pub alarm: bool,
}

/// A condition that makes a rule more specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum When {
    Sync,
    Status,
    Marketing,
    #[serde(rename = "http_400_details")]
    Http400Details,
}

type Conditional = (Option<When>, Arc<Rule>);

#[derive(Debug, Default)]
pub(super) struct Table {
    codes: HashMap<(Provider, String), Vec<Conditional>>,
    http: Vec<(Provider, RangeInclusive<u16>, Arc<Rule>)>,
}

/// Status webhooks carry no HTTP status; an unknown code in one is as final as a plain refusal.
const STATUS_WITHOUT_HTTP: u16 = 400;

impl Table {
    /// Adds the rules of one file; they replace earlier files' rules of the same key, twins inside it are refused.
    pub(super) fn lay(&mut self, entries: Vec<Entry>) -> Result<(), ClassesError> {
        let mut codes_seen = HashSet::new();
        let mut http_seen = HashSet::new();
        for entry in entries {
            let rule = Arc::new(entry.rule);
            for provider in &entry.providers {
                for code in &entry.codes {
                    if !codes_seen.insert((*provider, code.clone(), entry.when)) {
                        return Err(twin(*provider, code));
                    }
                    self.set_code(*provider, code, entry.when, &rule);
                }
                for range in &entry.http {
                    if !http_seen.insert((*provider, range.clone())) {
                        return Err(twin(*provider, &format!("http {range:?}")));
                    }
                    self.http.retain(|(p, r, _)| (p, r) != (provider, range));
                    self.http.push((*provider, range.clone(), rule.clone()));
                }
            }
        }
        self.http.sort_by_key(|(_, range, _)| range.end() - range.start());
        Ok(())
    }

    /// Every provider must have an answer for every status and for failures below HTTP.
    pub(super) fn check(&self) -> Result<(), ClassesError> {
        for provider in Provider::ALL {
            let missing = (300..=599).find(|status| self.by_status(provider, *status).is_none());
            if let Some(status) = missing {
                let name = provider.as_str();
                return Err(ClassesError::Parse(format!("{name}: no rule for http {status}")));
            }
            for word in ["connect", "lost", "blocked"] {
                if !self.codes.get(&(provider, word.to_owned())).is_some_and(|r| has_plain(r)) {
                    let name = provider.as_str();
                    return Err(ClassesError::Parse(format!("{name}: no rule for {word}")));
                }
            }
        }
        Ok(())
    }

    /// Keys in the table.
    pub(super) fn rules(&self) -> usize {
        self.codes.values().map(Vec::len).sum::<usize>() + self.http.len()
    }

    pub(super) fn decide(&self, provider: Provider, signal: &Signal<'_>) -> Decision {
        if let Some(rule) = signal.code.and_then(|code| self.by_code(provider, code, signal)) {
            return Decision { alarm: rule.alarm, rule, known_code: true };
        }
        let status = signal.http_status.unwrap_or(STATUS_WITHOUT_HTTP);
        let rule = self.by_status(provider, status).or_else(|| self.by_code(provider, "lost", signal));
        let rule = rule.expect("check() proved that each provider has a rule for lost");
        Decision { alarm: rule.alarm || signal.code.is_some(), rule, known_code: false }
    }

    fn by_code(&self, provider: Provider, code: &str, signal: &Signal<'_>) -> Option<Arc<Rule>> {
        let rules = self.codes.get(&(provider, code.to_owned()))?;
        let special = rules.iter().find(|(when, _)| when.is_some_and(|when| when.holds(signal)));
        special.or_else(|| rules.iter().find(|(when, _)| when.is_none())).map(|(_, rule)| rule.clone())
    }

    fn by_status(&self, provider: Provider, status: u16) -> Option<Arc<Rule>> {
        let mut fitting = self.http.iter().filter(|(p, range, _)| *p == provider && range.contains(&status));
        fitting.next().map(|(_, _, rule)| rule.clone())
    }

    fn set_code(&mut self, provider: Provider, code: &str, when: Option<When>, rule: &Arc<Rule>) {
        let rules = self.codes.entry((provider, code.to_owned())).or_default();
        rules.retain(|(w, _)| *w != when);
        rules.push((when, rule.clone()));
    }
}

impl When {
    fn holds(self, signal: &Signal<'_>) -> bool {
        match self {
            Self::Sync => !signal.in_status,
            Self::Status => signal.in_status,
            Self::Marketing => signal.marketing,
            Self::Http400Details => signal.http_status == Some(400) && signal.has_details,
        }
    }
}

fn has_plain(rules: &[Conditional]) -> bool {
    rules.iter().any(|(when, _)| when.is_none())
}

fn twin(provider: Provider, key: &str) -> ClassesError {
    ClassesError::Parse(format!("{}: {key} stands twice", provider.as_str()))
}
