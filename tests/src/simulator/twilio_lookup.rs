//! Twilio's lookups: one message by its sid, and the list that resolves unknown outcomes.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Sim;
use super::judge::{Refusal, Request};
use super::record::{Accepted, Provider, phone_form};
use super::reply::Reply;
use super::statuses;
use super::twilio;

const PAGE_SIZE: usize = 50;
const PAGE_SIZE_MAX: usize = 1000;
/// Newest messages searched when no recipient is named.
const UNNAMED_MAX: usize = 10_000;

/// `GET …/Messages/{sid}.json`.
///
/// # Errors
/// 20003 and 20404.
pub(super) fn fetch(sim: &Sim, account: &str, file: &str, request: &Request) -> Result<Reply, Refusal> {
    twilio::authorize(&sim.config.twilio, account, request)?;
    let sid = file.strip_suffix(".json").unwrap_or(file);
    let found = sim.record.by_provider_id(sid).filter(|accepted| belongs(accepted, account));
    let accepted = found.ok_or_else(|| Refusal::code(20_404, ""))?;
    Ok(Reply::json(200, &shown(&accepted)))
}

/// `GET …/Messages.json?To=&From=&DateSent>=&PageSize=&Page=`, newest first.
///
/// # Errors
/// 20003, and 20001 for a date or number that cannot be read.
pub(super) fn list(sim: &Sim, account: &str, request: &Request) -> Result<Reply, Refusal> {
    twilio::authorize(&sim.config.twilio, account, request)?;
    let filter = Filter::read(&request.query)?;
    let candidates = match &filter.to {
        Some(to) => sim.record.to(to),
        None => sim.record.after((sim.record.len().saturating_sub(UNNAMED_MAX)) as u64, UNNAMED_MAX),
    };
    let lag = chrono::Duration::milliseconds(
        i64::try_from(sim.settings.read().twilio_list_lag_ms).unwrap_or(i64::MAX),
    );
    let visible_until = Utc::now().checked_sub_signed(lag).unwrap_or(DateTime::UNIX_EPOCH);
    let mut found = candidates.iter().rev().filter(|accepted| {
        belongs(accepted, account) && accepted.at <= visible_until && filter.passes(accepted)
    });
    let start = filter.page * filter.page_size;
    let mut messages: Vec<Value> = Vec::new();
    for accepted in found.by_ref().skip(start).take(filter.page_size) {
        messages.push(shown(accepted));
    }
    Ok(Reply::json(200, &filter.envelope(account, messages, found.next().is_some())))
}

fn belongs(accepted: &Accepted, account: &str) -> bool {
    accepted.provider == Provider::Twilio && accepted.echo.get("account").is_some_and(|sid| sid == account)
}

fn shown(accepted: &Accepted) -> Value {
    let (status, error) = statuses::reached(&accepted.steps, accepted.at, Utc::now());
    twilio::resource(accepted, status, error)
}

struct Filter {
    to: Option<String>,
    from: Option<String>,
    after: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    page: usize,
    page_size: usize,
}

impl Filter {
    fn read(query: &str) -> Result<Self, Refusal> {
        let fields: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let get = |name: &str| twilio::field(&fields, name);
        let number = |name: &str, default: usize| match get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| unreadable(name)),
        };
        let on = get("DateSent").map(day).transpose()?;
        let after = get("DateSent>").map(moment).transpose()?;
        let before = get("DateSent<").map(moment).transpose()?;
        Ok(Self {
            to: get("To").map(phone_form),
            from: get("From").map(|from| from.trim().trim_start_matches('+').to_owned()),
            after: after.or(on),
            before: before.or(on.map(|on| on + chrono::Duration::days(1))),
            page: number("Page", 0)?,
            page_size: number("PageSize", PAGE_SIZE)?.clamp(1, PAGE_SIZE_MAX),
        })
    }

    fn passes(&self, accepted: &Accepted) -> bool {
        self.from.as_ref().is_none_or(|from| accepted.from.trim_start_matches('+') == from)
            && self.after.is_none_or(|after| accepted.at >= after)
            && self.before.is_none_or(|before| accepted.at <= before)
    }

    fn envelope(&self, account: &str, messages: Vec<Value>, more: bool) -> Value {
        let path = format!("/2010-04-01/Accounts/{account}/Messages.json");
        let page_uri = |page: usize| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in [("To", &self.to), ("From", &self.from)] {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
            query.append_pair("PageSize", &self.page_size.to_string());
            query.append_pair("Page", &page.to_string());
            format!("{path}?{}", query.finish())
        };
        let start = self.page * self.page_size;
        json!({
            "first_page_uri": page_uri(0),
            "next_page_uri": more.then(|| page_uri(self.page + 1)),
            "previous_page_uri": self.page.checked_sub(1).map(page_uri),
            "page": self.page,
            "page_size": self.page_size,
            "start": start,
            "end": (start + messages.len()).saturating_sub(1),
            "messages": messages,
            "uri": page_uri(self.page),
        })
    }
}

/// A date, or a date and time, as Twilio takes both.
fn moment(text: &str) -> Result<DateTime<Utc>, Refusal> {
    // A `+00:00` that the client did not escape arrives as a space.
    match DateTime::parse_from_rfc3339(&text.replace(' ', "+")) {
        Ok(at) => Ok(at.to_utc()),
        Err(_) => day(text),
    }
}

fn day(text: &str) -> Result<DateTime<Utc>, Refusal> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| unreadable("DateSent"))?;
    Ok(date.and_time(chrono::NaiveTime::MIN).and_utc())
}

fn unreadable(name: &str) -> Refusal {
    Refusal { status: Some(400), code: Some(20_001), detail: format!("Invalid parameter {name}") }
}
