//! Reads the text of a table of classes into rules, refusing what it does not understand.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::ClassesError;
use super::rule::{Class, Pace, Provider, Rule, Scope, Until};
use super::table::When;
use crate::domain::delivery::Reason;

/// The only version of the file's form so far.
const VERSION: u32 = 1;
/// The widest range of codes that a rule may name.
const RANGE_CODES_MAX: u64 = 1_000;
const CAP: Duration = Duration::from_secs(600);

/// One `[[rule]]` of the file, with its keys apart from its content.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) providers: Vec<Provider>,
    pub(super) codes: Vec<String>,
    pub(super) http: Vec<RangeInclusive<u16>>,
    pub(super) when: Option<When>,
    pub(super) rule: Rule,
}

/// Parses a whole file.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, ClassesError> {
    let file: FileIn = toml::from_str(text).map_err(|e| ClassesError::Parse(e.to_string()))?;
    if file.version != VERSION {
        return Err(ClassesError::Parse(format!("version {} is not {VERSION}", file.version)));
    }
    file.rule.into_iter().enumerate().map(|(i, rule)| entry(i + 1, rule)).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn {
    version: u32,
    #[serde(default)]
    rule: Vec<RuleIn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleIn {
    providers: Vec<Provider>,
    #[serde(default)]
    codes: Vec<CodeIn>,
    #[serde(default)]
    http: Vec<CodeIn>,
    when: Option<When>,
    class: Class,
    reason: Reason,
    scope: Scope,
    text: String,
    attempts_max: Option<u32>,
    budget: Option<Span>,
    then: Option<Class>,
    #[serde(default)]
    delays: Vec<Span>,
    backoff: Option<BackoffIn>,
    until: Option<Until>,
    floor: Option<Span>,
    #[serde(default)]
    alarm: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackoffIn {
    base: Option<Span>,
    factor: Option<u32>,
    cap: Span,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CodeIn {
    Number(u32),
    Text(String),
}

/// A duration written as in `10m`.
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

fn entry(number: usize, rule: RuleIn) -> Result<Entry, ClassesError> {
    let bad = |what: &str| ClassesError::Parse(format!("rule {number}: {what}"));
    if rule.providers.is_empty() {
        return Err(bad("no providers"));
    }
    if rule.codes.is_empty() == rule.http.is_empty() {
        return Err(bad("exactly one of codes and http must be given"));
    }
    if rule.text.trim().is_empty() {
        return Err(bad("no text"));
    }
    if rule.attempts_max == Some(0) {
        return Err(bad("attempts_max must be at least 1"));
    }
    let pace = pace(rule.delays, rule.backoff).map_err(bad)?;
    let mut codes = Vec::new();
    for code in &rule.codes {
        codes.extend(expand(code).map_err(bad)?);
    }
    let http = rule.http.iter().map(statuses).collect::<Result<_, _>>().map_err(bad)?;
    Ok(Entry {
        providers: rule.providers,
        codes,
        http,
        when: rule.when,
        rule: Rule {
            class: rule.class,
            reason: rule.reason,
            scope: rule.scope,
            text: rule.text,
            attempts_max: rule.attempts_max,
            budget: rule.budget.map(|span| span.0),
            then: rule.then.unwrap_or(Class::Permanent),
            pace,
            until: rule.until,
            floor: rule.floor.map(|span| span.0),
            alarm: rule.alarm,
        },
    })
}

fn pace(delays: Vec<Span>, backoff: Option<BackoffIn>) -> Result<Pace, &'static str> {
    match (delays.is_empty(), backoff) {
        (false, Some(_)) => Err("delays and backoff exclude each other"),
        (false, None) => Ok(Pace::Steps(delays.into_iter().map(|span| span.0).collect())),
        (true, None) => Ok(Pace::Exponential { base: None, factor: 2, cap: CAP }),
        (true, Some(BackoffIn { factor: Some(0 | 1), .. })) => Err("factor must be at least 2"),
        (true, Some(backoff)) => Ok(Pace::Exponential {
            base: backoff.base.map(|span| span.0),
            factor: backoff.factor.unwrap_or(2),
            cap: backoff.cap.0,
        }),
    }
}

fn expand(code: &CodeIn) -> Result<Vec<String>, &'static str> {
    let text = match code {
        CodeIn::Number(number) => return Ok(vec![number.to_string()]),
        CodeIn::Text(text) => text,
    };
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase()) {
        return Ok(vec![text.clone()]);
    }
    let (from, to) = range(text)?;
    if u64::from(to - from) >= RANGE_CODES_MAX {
        return Err("range of codes too wide");
    }
    Ok((from..=to).map(|code| code.to_string()).collect())
}

fn statuses(code: &CodeIn) -> Result<RangeInclusive<u16>, &'static str> {
    let (from, to) = match code {
        CodeIn::Number(number) => (*number, *number),
        CodeIn::Text(text) => range(text)?,
    };
    match (u16::try_from(from), u16::try_from(to)) {
        (Ok(from), Ok(to)) if from >= 100 && to <= 599 => Ok(from..=to),
        _ => Err("no HTTP status"),
    }
}

fn range(text: &str) -> Result<(u32, u32), &'static str> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse::<u32>(), to.trim().parse::<u32>()) {
        (Ok(from), Ok(to)) if from <= to => Ok((from, to)),
        _ => Err("code is neither a number, a range nor a word"),
    }
}
