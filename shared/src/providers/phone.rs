//! Phone numbers in E.164, which show themselves only when asked to.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A number as `+` and 7 to 15 digits. `Debug` and `Display` give `+4•••12`; [`Phone::expose`] the number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Phone(String);

/// The text is not `^\+[1-9][0-9]{6,14}$`. Does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a phone number in E.164 form")]
pub struct NotAPhone;

impl Phone {
    /// The full number, for the call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digits without the plus, as WhatsApp writes its `wa_id`.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// The number from a provider's `wa_id`, `from` or `To`, with or without the plus or a `whatsapp:` prefix.
    pub fn from_provider(text: &str) -> Result<Self, NotAPhone> {
        let text = text.strip_prefix("whatsapp:").unwrap_or(text);
        if text.starts_with('+') { text.parse() } else { format!("+{text}").parse() }
    }

    /// A stable name for the number in Redis, useless without `hmac_key`: 32 hex digits of HMAC-SHA256.
    pub fn key(&self, hmac_key: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(hmac_key).expect("HMAC takes keys of any length");
        mac.update(self.0.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }
}

impl FromStr for Phone {
    type Err = NotAPhone;

    fn from_str(text: &str) -> Result<Self, NotAPhone> {
        let digits = text.strip_prefix('+').ok_or(NotAPhone)?.as_bytes();
        let fits = (7..=15).contains(&digits.len()) && digits[0] != b'0';
        if fits && digits.iter().all(u8::is_ascii_digit) { Ok(Self(text.to_owned())) } else { Err(NotAPhone) }
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}•••{}", &self.0[..2], &self.0[self.0.len() - 2..])
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_e164_only() {
        for good in ["+4915112345612", "+1234567", "+123456789012345"] {
            assert_eq!(good.parse::<Phone>().unwrap().expose(), good);
        }
        let bad = ["", "+", "4915112345612", "+0151123456", "+123456", "+1234567890123456", "+49 151 123456"];
        for bad in bad.iter().chain(&["+49151123456\n", "+49151１23456", "++4915112345", "+4915112345x"]) {
            assert_eq!(bad.parse::<Phone>(), Err(NotAPhone), "{bad}");
        }
    }

    #[test]
    fn reads_the_forms_of_providers() {
        for form in ["4915112345612", "+4915112345612", "whatsapp:+4915112345612"] {
            assert_eq!(Phone::from_provider(form).unwrap().expose(), "+4915112345612");
        }
        assert!(Phone::from_provider("whatsapp:US.1349").is_err());
    }

    #[test]
    fn shows_itself_masked() {
        let phone: Phone = "+4915112345612".parse().unwrap();
        assert_eq!(format!("{phone} {phone:?}"), "+4•••12 +4•••12");
        assert_eq!(phone.digits(), "4915112345612");
    }

    #[test]
    fn keys_depend_on_number_and_key() {
        let phone: Phone = "+4915112345612".parse().unwrap();
        let other: Phone = "+4915112345613".parse().unwrap();
        assert_eq!(phone.key(b"k"), phone.key(b"k"));
        assert_ne!(phone.key(b"k"), other.key(b"k"));
        assert_ne!(phone.key(b"k"), phone.key(b"l"));
        assert_eq!(phone.key(b"k").len(), 32);
    }
}
