//! The three webhook signatures, written here on their own: the simulator judges the product's signatures,
//! so it shares no code with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// How far a Standard Webhooks timestamp may be from our clock, in seconds, both ways.
const TOLERANCE_SECS: i64 = 300;

/// Meta's `X-Hub-Signature-256`: `sha256=` and the hex HMAC-SHA256 of the raw body.
pub fn whatsapp(app_secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(sha256(app_secret.as_bytes(), &[body])))
}

/// Twilio's `X-Twilio-Signature`: base64 HMAC-SHA1 over the URL as given and the form fields sorted by name.
pub fn twilio(auth_token: &str, url: &str, fields: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = fields.iter().collect();
    sorted.sort();
    // A field that is given twice with one value counts once, as in Twilio's helper libraries.
    sorted.dedup();
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// One Standard Webhooks signature `v1,…`; `None` when the secret is not `whsec_` and base64.
pub fn standard(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    let stamp = timestamp.to_string();
    let mac = sha256(&key, &[id.as_bytes(), b".", stamp.as_bytes(), b".", body]);
    Some(format!("v1,{}", STANDARD.encode(mac)))
}

/// Why a Standard Webhooks request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardRefusal {
    MissingHeader,
    Timestamp,
    Signature,
}

/// Checks the three Standard Webhooks headers against the raw body at `now` (Unix seconds).
///
/// # Errors
/// Names the first thing that is wrong.
pub fn verify_standard(
    secret: &str,
    headers: [Option<&str>; 3],
    body: &[u8],
    now: i64,
) -> Result<(), StandardRefusal> {
    let [Some(id), Some(timestamp), Some(signatures)] = headers else {
        return Err(StandardRefusal::MissingHeader);
    };
    if id.is_empty() || id.contains('.') {
        return Err(StandardRefusal::MissingHeader);
    }
    let timestamp: i64 = timestamp.parse().map_err(|_| StandardRefusal::Timestamp)?;
    if now.abs_diff(timestamp) > TOLERANCE_SECS.unsigned_abs() {
        return Err(StandardRefusal::Timestamp);
    }
    let expected = standard(secret, id, timestamp, body).ok_or(StandardRefusal::Signature)?;
    if signatures.split(' ').any(|signature| signature == expected) {
        Ok(())
    } else {
        Err(StandardRefusal::Signature)
    }
}

fn sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn meta_vector() {
        assert_eq!(
            whatsapp("app_secret", br#"{"object":"whatsapp_business_account","entry":[]}"#),
            "sha256=c236c758c9b2bd40b388a550eeca09eaca72384dd0aa5e7c31d19cddac5bba46"
        );
    }

    #[test]
    fn twilio_vectors() {
        let call = fields(&[
            ("To", "+18005551212"),
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("From", "+14158675309"),
            ("Digits", "1234"),
        ]);
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(twilio("12345", url, &call), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        let status = fields(&[
            ("AccountSid", "AC00000000000000000000000000000000"),
            ("ErrorCode", "30003"),
            ("From", "+15005550006"),
            ("MessageSid", "SM00000000000000000000000000000001"),
            ("MessageStatus", "undelivered"),
            ("To", "+15005550009"),
        ]);
        let url = "https://chat.example.com/webhooks/twilio/status";
        assert_eq!(twilio("12345", url, &status), "LhQOoj7ieDJ8qQMvjiQ0lJdXfAw=");
    }

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    #[test]
    fn standard_webhooks_vector() {
        assert_eq!(standard(SECRET, ID, 1_649_367_553, BODY).as_deref(), Some(SIGNATURE));
        let rotated = format!("v1,AAAA {SIGNATURE}");
        let headers = [Some(ID), Some("1649367553"), Some(rotated.as_str())];
        assert_eq!(verify_standard(SECRET, headers, BODY, 1_649_367_553 + 300), Ok(()));
        assert_eq!(
            verify_standard(SECRET, headers, BODY, 1_649_367_553 + 301),
            Err(StandardRefusal::Timestamp)
        );
        assert_eq!(verify_standard(SECRET, headers, b"{}", 1_649_367_553), Err(StandardRefusal::Signature));
    }
}
