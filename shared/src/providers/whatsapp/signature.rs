//! `X-Hub-Signature-256` over the raw body of a webhook.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Whether `header` (`sha256=<hex>`) signs `raw` with `app_secret`; compares in constant time.
pub fn verify_signature(app_secret: &str, raw: &[u8], header: &str) -> bool {
    let mut given = [0u8; 32];
    let Some(hex_text) = header.trim().strip_prefix("sha256=") else { return false };
    if app_secret.is_empty() || hex::decode_to_slice(hex_text, &mut given).is_err() {
        return false;
    }
    let mut mac =
        Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(raw);
    mac.verify_slice(&given).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;
    const SIGNATURE: &str = "sha256=c236c758c9b2bd40b388a550eeca09eaca72384dd0aa5e7c31d19cddac5bba46";

    #[test]
    fn accepts_the_vector_only() {
        assert!(verify_signature("app_secret", BODY, SIGNATURE));
        assert!(verify_signature("app_secret", BODY, &SIGNATURE.to_uppercase().replace("SHA256", "sha256")));
        assert!(!verify_signature("other", BODY, SIGNATURE));
        assert!(!verify_signature("app_secret", b"{}", SIGNATURE));
        for bad in ["", "sha256=", "sha256=zz", &SIGNATURE[7..], "sha1=c236", &SIGNATURE[..70]] {
            assert!(!verify_signature("app_secret", BODY, bad), "{bad}");
        }
    }

    #[test]
    fn an_empty_secret_verifies_nothing() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
        mac.update(BODY);
        let forged = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        assert!(!verify_signature("", BODY, &forged));
    }
}
