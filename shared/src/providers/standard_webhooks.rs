//! Signatures of the Standard Webhooks scheme, as we send and as we receive them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use standardwebhooks::Webhook;
use subtle::{Choice, ConstantTimeEq};

/// How far a timestamp may lie from now, both ways.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// The secret is not `whsec_` and base64, or the body is no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("webhook cannot be signed: bad secret or body")]
pub struct CannotSign;

/// The three headers of a delivery, as received.
#[derive(Debug, Clone, Copy)]
pub struct SignedHeaders<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`, several separated by spaces.
    pub signature: &'a str,
}

/// `v1,<base64>` over `id.timestamp.body`.
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Result<String, CannotSign> {
    let webhook = Webhook::new(secret).map_err(|_| CannotSign)?;
    webhook.sign(id, timestamp, body).map_err(|_| CannotSign)
}

/// Whether one of the `v1` signatures fits `secret` and `body`, at most [`TOLERANCE`] from `now`. Constant time.
pub fn verify(secret: &str, headers: &SignedHeaders<'_>, body: &[u8], now: DateTime<Utc>) -> bool {
    let Ok(timestamp) = headers.timestamp.trim().parse::<i64>() else { return false };
    if headers.id.is_empty() || now.timestamp().abs_diff(timestamp) > TOLERANCE.as_secs() {
        return false;
    }
    let key = secret.strip_prefix("whsec_").unwrap_or(secret);
    let Ok(expected) = sign(secret, headers.id, timestamp, body) else { return false };
    let compare = |given: &str| given.as_bytes().ct_eq(expected.as_bytes());
    let fits = headers.signature.split_ascii_whitespace().map(compare);
    !key.is_empty() && bool::from(fits.fold(Choice::from(0), |any, fits| any | fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
    const AT: i64 = 1_649_367_553;

    fn fits(signature: &str, timestamp: &str, body: &[u8], now: i64) -> bool {
        let headers = SignedHeaders { id: ID, timestamp, signature };
        verify(SECRET, &headers, body, DateTime::from_timestamp(now, 0).unwrap())
    }

    #[test]
    fn signs_the_vector() {
        assert_eq!(sign(SECRET, ID, AT, BODY).as_deref(), Ok(SIGNATURE));
        assert_eq!(sign("whsec_%%", ID, AT, BODY), Err(CannotSign));
    }

    #[test]
    fn verifies_any_of_several_within_five_minutes() {
        let at = AT.to_string();
        assert!(fits(SIGNATURE, &at, BODY, AT));
        assert!(fits(&format!("v1,AAAA v1a,BBBB {SIGNATURE}"), &at, BODY, AT + 300));
        assert!(!fits(SIGNATURE, &at, BODY, AT + 301));
        assert!(!fits(SIGNATURE, &at, BODY, AT - 301));
        assert!(!fits(SIGNATURE, &at, b"{}", AT));
        assert!(!fits(SIGNATURE, "9223372036854775807", BODY, AT));
        assert!(!fits(SIGNATURE, "-9223372036854775808", BODY, AT));
        for bad in ["", "v1,", "v1a,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=", &SIGNATURE[3..]] {
            assert!(!fits(bad, &at, BODY, AT), "{bad}");
        }
        assert!(!fits(SIGNATURE, "soon", BODY, AT));
    }

    #[test]
    fn an_empty_secret_verifies_nothing() {
        let forged = sign("", ID, AT, BODY).unwrap();
        let headers = SignedHeaders { id: ID, timestamp: &AT.to_string(), signature: &forged };
        assert!(!verify("whsec_", &headers, BODY, DateTime::from_timestamp(AT, 0).unwrap()));
    }
}
