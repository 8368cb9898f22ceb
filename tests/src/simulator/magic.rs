//! Outcomes asked for by hand: markers in the message text, and recipients that always fail.
//!
//! Any outcome has a recipient: `+1500`, a digit that says what happens, and six digits, mostly a code (see
//! [`spoken`]). A test compares docs/SIMULATOR.md, which lists them for developers, with the codes that the product
//! knows. [`super::FaultRule`] is the way for tests.

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
        return if provider == Provider::Guest { None } else { spoken(to) };
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

/// Reads a recipient of the form `+1500 d nnnnnn`: valid as a phone number, and nobody's.
///
/// | d | what happens | nnnnnn |
/// |---|---|---|
/// | 2 | refused at once | the provider's code |
/// | 3 | accepted, then a status tells of the failure | the provider's code |
/// | 4 | refused without a code of the provider | the HTTP status |
/// | 6 | one of [`NAMED`] | its number |
/// | 7 | refused with 429 and `Retry-After` | seconds |
/// | 8 | accepted, and answered as if it were not | the HTTP status |
fn spoken(to: &str) -> Option<Action> {
    let digits = to.strip_prefix("+1500").filter(|digits| digits.len() == 7)?;
    let number: u32 = digits.get(1..)?.parse().ok()?;
    let status = || u16::try_from(number).ok().filter(|status| (400..=599).contains(status));
    Some(match digits.as_bytes()[0] {
        b'2' => Action::Answer(Answer::code(number)),
        b'3' => Action::FailStatus { code: number, status: None },
        b'4' => Action::Answer(Answer::status(status()?)),
        b'6' => NAMED.iter().find(|(known, ..)| *known == number)?.2.clone(),
        b'7' => Action::Answer(Answer::status(429).with_retry_after(number.to_string())),
        b'8' => Action::AcceptAnswer(Answer::status(status()?)),
        _ => return None,
    })
}

/// Outcomes without a number of their own, for the digit 6, in the words of the documentation.
pub(super) const NAMED: &[(u32, &str, Action)] = &[
    (1, "connection reset before it is accepted", Action::ResetBefore),
    (2, "accepted, then the connection is reset", Action::AcceptReset),
    (3, "accepted, never answered (a timeout)", Action::AcceptHang { ms: None }),
    (4, "never accepted, never answered (a timeout)", Action::HangBefore { ms: None }),
    (5, "accepted, answered after 5 s", Action::Delay { ms: 5_000 }),
    (6, "accepted, answered at one byte per second", Action::Drip { interval_ms: 1_000, accept: true }),
    (7, "accepted, answered with no JSON", Action::Garbage { accept: true }),
    (8, "accepted, answered with 100 MB", Action::Huge { bytes: 100_000_000, accept: true }),
    (9, "accepted, answered with no HTTP", Action::NotHttp { accept: true }),
    (10, "a redirect to itself", Action::Redirect { location: None, status: None }),
];

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
        assert_eq!(action("+15002131047", ""), Some(Action::Answer(Answer::code(131_047))));
        assert_eq!(action("+15002000190", ""), Some(Action::Answer(Answer::code(190))));
        assert_eq!(action("+15003131026", ""), Some(Action::FailStatus { code: 131_026, status: None }));
        assert_eq!(action("+15004000503", ""), Some(Action::Answer(Answer::status(503))));
        assert_eq!(action("+15004000200", ""), None);
        assert_eq!(action("+15006000002", ""), Some(Action::AcceptReset));
        assert_eq!(action("+15006000099", ""), None);
        let busy = Answer::status(429).with_retry_after("60");
        assert_eq!(action("+15007000060", ""), Some(Action::Answer(busy)));
        assert_eq!(action("+15008000500", ""), Some(Action::AcceptAnswer(Answer::status(500))));
    }
}
