//! Reads typed values out of the merged layers and keeps every problem, so that all are told at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use figment::Figment;
use figment::value::{Num, Value};
use url::Url;

use super::error::Problem;
use super::values::{KeyBytes, Secret};

/// The environment variable that sets `key` (`http.listen` → `BELLHOP_HTTP__LISTEN`).
pub(super) fn variable(key: &str) -> String {
    format!("BELLHOP_{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The merged layers, the problems found so far, and which keys were asked for.
pub(super) struct Reader {
    layers: Figment,
    pub(super) problems: Vec<Problem>,
    pub(super) asked: BTreeSet<String>,
}

impl Reader {
    pub(super) fn new(layers: Figment, problems: Vec<Problem>) -> Self {
        Self { layers, problems, asked: BTreeSet::new() }
    }

    /// Notes that `key` is wrong.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { name: variable(key), message: message.into() });
    }

    fn value(&mut self, key: &str) -> Option<Value> {
        self.asked.insert(key.to_owned());
        let value = self.layers.find_value(key).ok();
        if value.is_none() {
            self.problem(key, "is missing");
        }
        value
    }

    /// A text; empty when it is not configured.
    pub(super) fn text(&mut self, key: &str) -> String {
        match self.value(key) {
            Some(Value::String(_, text)) => return text.trim().to_owned(),
            Some(_) => self.problem(key, "must be a text in quotes"),
            None => {}
        }
        String::new()
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, key: &str) -> String {
        let text = self.text(key);
        if text.is_empty() && !self.problems.iter().any(|p| p.name == variable(key)) {
            self.problem(key, "must not be empty");
        }
        text
    }

    /// A text that may be missing.
    pub(super) fn optional(&mut self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    /// A secret that may be missing.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret> {
        self.optional(key).map(Secret::new)
    }

    fn parsed<T>(&mut self, key: &str, wanted: &str, parse: impl Fn(&str) -> Option<T>, fallback: T) -> T {
        let before = self.problems.len();
        let text = self.text(key);
        if let Some(value) = parse(&text) {
            return value;
        }
        if self.problems.len() == before {
            self.problem(key, wanted);
        }
        fallback
    }

    /// A duration of at least `min`.
    pub(super) fn duration(&mut self, key: &str, min: Duration) -> Duration {
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
        let wanted =
            format!("must be a duration such as \"15s\", from {} to 1year", humantime::format_duration(min));
        let parse = |text: &str| humantime::parse_duration(text).ok().filter(|d| (min..=LONGEST).contains(d));
        self.parsed(key, &wanted, parse, min)
    }

    /// An address and port to listen on.
    pub(super) fn address(&mut self, key: &str) -> SocketAddr {
        let fallback = SocketAddr::from(([127, 0, 0, 1], 0));
        let parse = |text: &str| match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port))),
            None => text.parse().ok(),
        };
        self.parsed(key, "must be an address with a port, such as \"127.0.0.1:8080\"", parse, fallback)
    }

    /// A value of a type that reads itself and says what it wants.
    pub(super) fn own<T: FromStr<Err = &'static str>>(&mut self, key: &str, fallback: T) -> T {
        let text = self.text(key);
        text.parse().unwrap_or_else(|wanted| {
            self.problem(key, wanted);
            fallback
        })
    }

    /// A list of values of such a type; the environment writes it with commas.
    pub(super) fn list<T: FromStr<Err = &'static str>>(&mut self, key: &str) -> Vec<T> {
        let texts: Option<Vec<String>> = match self.value(key) {
            Some(Value::String(_, text)) => {
                Some(text.split(',').map(|part| part.trim().to_owned()).filter(|t| !t.is_empty()).collect())
            }
            Some(Value::Array(_, values)) => {
                values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        let Some(texts) = texts else {
            self.problem(key, "must be a list of texts");
            return Vec::new();
        };
        let read: Result<Vec<T>, _> = texts.iter().map(|text| text.parse()).collect();
        read.unwrap_or_else(|wanted: &str| {
            self.problem(key, wanted);
            Vec::new()
        })
    }

    /// A whole number within `range`.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let number: Option<i128> = match self.value(key) {
            Some(Value::String(_, text)) => text.trim().parse().ok(),
            Some(Value::Num(_, num)) if !matches!(num, Num::F32(_) | Num::F64(_)) => {
                num.to_i128().or_else(|| num.to_u128().and_then(|n| i128::try_from(n).ok()))
            }
            _ => None,
        };
        match number.and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n)) {
            Some(number) => number,
            None => {
                self.problem(
                    key,
                    format!("must be a whole number from {} to {}", range.start(), range.end()),
                );
                *range.start()
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, key: &str) -> bool {
        let value = self.value(key);
        let on = match &value {
            Some(Value::Bool(_, on)) => Some(*on),
            Some(Value::String(_, text)) => text.trim().parse().ok(),
            _ => None,
        };
        on.unwrap_or_else(|| {
            self.problem(key, "must be true or false");
            false
        })
    }

    /// A URL with one of `schemes`, when it is configured.
    pub(super) fn url(&mut self, key: &str, schemes: &[&str]) -> Option<Url> {
        let text = self.optional(key)?;
        let url = Url::parse(&text).ok();
        let url = url.filter(|url| schemes.contains(&url.scheme()) && url.has_host());
        if url.is_none() {
            self.problem(key, format!("must be a URL that begins with {}://", schemes.join(":// or ")));
        }
        url
    }

    /// A URL that must be there; on a problem some URL, which is never used.
    pub(super) fn required_url(&mut self, key: &str, schemes: &[&str]) -> Url {
        let before = self.problems.len();
        self.url(key, schemes).unwrap_or_else(|| {
            if self.problems.len() == before {
                self.problem(key, "must not be empty");
            }
            Url::parse("http://0.0.0.0/").expect("a constant URL parses")
        })
    }
}

impl FromStr for KeyBytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "must be the base64 of 32 bytes";
        let bytes = STANDARD.decode(text).map_err(|_| WANTED)?;
        Ok(Self::new(bytes.try_into().map_err(|_| WANTED)?))
    }
}
