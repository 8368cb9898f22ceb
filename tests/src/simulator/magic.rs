//! Outcomes asked for by hand: markers in the message text, and recipients that always fail.
//!
//! docs/SIMULATOR.md lists them for developers; [`super::FaultRule`] is the way for tests.

use super::fault::{Action, Answer};
use super::record::Provider;

/// Recipients that WhatsApp refuses at once, with the code.
const WHATSAPP_REFUSED: &[(&str, u32)] = &[
    ("+15005550116", 131_016),
    ("+15005550121", 131_021),
    ("+15005550129", 130_429),
    ("+15005550147", 131_047),
    ("+15005550156", 131_056),
    ("+15005550190", 190),
];

/// Recipients whose message WhatsApp accepts, and then reports as failed.
const WHATSAPP_FAILED: &[(&str, u32)] =
    &[("+15005550126", 131_026), ("+15005550149", 131_049), ("+15005550150", 131_050)];

/// Twilio's own test recipients.
const TWILIO_REFUSED: &[(&str, u32)] = &[
    ("+15005550001", 21_211),
    ("+15005550002", 21_612),
    ("+15005550003", 21_408),
    ("+15005550004", 21_610),
    ("+15005550009", 21_614),
];

/// Recipients whose message Twilio accepts, and then reports as undelivered.
const TWILIO_FAILED: &[(&str, u32)] = &[("+15005550203", 30_003), ("+15005550207", 30_007)];

/// What a magic recipient or a marker in the text asks for.
pub(super) fn action(provider: Provider, to: &str, body: &str) -> Option<Action> {
    if let Some(start) = body.find("[sim:") {
        let rest = &body[start + 5..];
        if let Some(action) = rest.find(']').and_then(|end| marker(&rest[..end])) {
            return Some(action);
        }
    }
    if !to.starts_with("+1500555") {
        return None;
    }
    let (refused, failed) = match provider {
        Provider::Whatsapp => (WHATSAPP_REFUSED, WHATSAPP_FAILED),
        Provider::Twilio => (TWILIO_REFUSED, TWILIO_FAILED),
        Provider::Guest => return None,
    };
    let find = |rows: &[(&str, u32)]| rows.iter().find(|row| row.0 == to).map(|row| row.1);
    find(refused)
        .map(|code| Action::Answer(Answer::code(code)))
        .or_else(|| find(failed).map(|code| Action::FailStatus { code, status: None }))
}

/// Reads `name` or `name=number` between `[sim:` and `]`.
fn marker(text: &str) -> Option<Action> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.parse::<u64>().ok()?)),
        None => (text, None),
    };
    let small = || value.and_then(|value| u32::try_from(value).ok());
    let status = || value.and_then(|value| u16::try_from(value).ok()).filter(|s| (400..=599).contains(s));
    Some(match name {
        "status" => Action::Answer(Answer::status(status()?)),
        "code" => Action::Answer(Answer::code(small()?)),
        "retry-after" => Action::Answer(Answer::status(429).with_retry_after(value?.to_string())),
        "fail" => Action::FailStatus { code: small()?, status: None },
        "delay" => Action::Delay { ms: value? },
        "reset" => Action::ResetBefore,
        "accept-reset" => Action::AcceptReset,
        "accept-hang" => Action::AcceptHang { ms: value },
        "accept-status" => Action::AcceptAnswer(Answer::status(status()?)),
        "drip" => Action::Drip { interval_ms: value.unwrap_or(1000), accept: true },
        "huge" => Action::Huge { bytes: value.unwrap_or(100_000_000), accept: true },
        "garbage" => Action::Garbage { accept: true },
        "redirect" => Action::Redirect { location: None, status: None },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_and_recipients() {
        let action = |to, body| action(Provider::Whatsapp, to, body);
        assert_eq!(action("+316", "hello"), None);
        assert_eq!(action("+316", "say [sim:reset] now"), Some(Action::ResetBefore));
        assert_eq!(action("+316", "[sim:status=503]"), Some(Action::Answer(Answer::status(503))));
        assert_eq!(action("+316", "[sim:status=200]"), None);
        assert_eq!(action("+316", "[sim:nonsense]"), None);
        assert_eq!(action("+15005550147", ""), Some(Action::Answer(Answer::code(131_047))));
        assert_eq!(action("+15005550126", ""), Some(Action::FailStatus { code: 131_026, status: None }));
    }
}
