//! Times are server commit times in milliseconds, UTC.

use mongodb::bson;

/// A point in time with millisecond precision, as MongoDB stores it.
pub type Time = bson::DateTime;

/// RFC 3339 in UTC with exactly three decimals and `Z`, the only form in which a time leaves the product.
///
/// Times outside years 0–9999 cannot be committed; should one be met it is shown as the epoch.
pub fn rfc3339(time: Time) -> String {
    chrono::DateTime::<chrono::Utc>::from_timestamp_millis(time.timestamp_millis())
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// `time` moved by `delta`, which may be negative; saturating.
pub fn plus_millis(time: Time, delta: i64) -> Time {
    Time::from_millis(time.timestamp_millis().saturating_add(delta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_second_still_has_three_decimals() {
        assert_eq!(rfc3339(Time::from_millis(1_760_000_000_000)), "2025-10-09T08:53:20.000Z");
    }
}
