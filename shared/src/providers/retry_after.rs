//! Reads `Retry-After`: seconds or an HTTP date, clamped; anything else is no hint.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

/// The shortest wait a provider can ask for.
pub const MIN: Duration = Duration::from_secs(1);
/// The longest.
pub const MAX: Duration = Duration::from_secs(24 * 3600);

/// The wait that `value` asks for at `now`, clamped to [`MIN`]..=[`MAX`]; none if it is neither form.
pub fn parse(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        let secs = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(secs).clamp(MIN, MAX));
    }
    let wait = date(value)? - now;
    Some(wait.to_std().unwrap_or(MIN).clamp(MIN, MAX))
}

/// The three forms of an HTTP date (RFC 9110, 5.6.7).
fn date(value: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc2822(value) {
        return Some(date.to_utc());
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(value, form).ok())
        .map(|date| date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(value: &str) -> Option<u64> {
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        parse(value, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn reads_seconds_clamped() {
        assert_eq!(secs("1"), Some(1));
        assert_eq!(secs(" 60 "), Some(60));
        assert_eq!(secs("0"), Some(1));
        assert_eq!(secs("86400"), Some(86_400));
        assert_eq!(secs("86401"), Some(86_400));
        assert_eq!(secs("99999999999999999999999999"), Some(86_400));
    }

    #[test]
    fn reads_http_dates_clamped() {
        assert_eq!(secs("Sat, 21 Nov 2026 10:02:00 GMT"), Some(120));
        assert_eq!(secs("Saturday, 21-Nov-26 10:02:00 GMT"), Some(120));
        assert_eq!(secs("Sat Nov 21 10:02:00 2026"), Some(120));
        assert_eq!(secs("Sun, 06 Nov 1994 08:49:37 GMT"), Some(1));
        assert_eq!(secs("Sun, 21 Nov 2099 10:02:00 GMT"), None, "the weekday is wrong");
        assert_eq!(secs("21 Nov 2099 10:02:00 GMT"), Some(86_400));
    }

    #[test]
    fn ignores_garbage() {
        for garbage in ["", " ", "soon", "-1", "1.5", "1e3", "0x10", "10 s", "\u{7f}", "NaN"] {
            assert_eq!(secs(garbage), None, "{garbage}");
        }
    }
}
