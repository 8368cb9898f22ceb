//! Credentials that we hand out: 256 random bits, stored as a digest where they only have to be recognised.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Longest credential that is looked at, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 256;

/// A new credential: `prefix` and 32 random bytes in base64url, 43 characters.
pub fn generate(prefix: &str) -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256 of a credential in hex, 64 characters: enough for 256 random bits, which nobody can guess.
pub fn digest(credential: &str) -> String {
    hex::encode(Sha256::digest(credential.as_bytes()))
}

/// As [`digest`]; `None` when `credential` is too long or empty to be one of ours.
pub fn digest_of_ours(credential: &str) -> Option<String> {
    let plausible = (1..=CREDENTIAL_BYTES_MAX).contains(&credential.len());
    plausible.then(|| digest(credential))
}

/// Whether two digests are the same, in constant time.
pub fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Whether `signature` is the hex of HMAC-SHA256(`secret`, `message`), in constant time. The secret is used as the
/// UTF-8 bytes of the string shown.
pub fn signs(secret: &StoredSecret, message: &str, signature: &str) -> bool {
    let Ok(signature) = hex::decode(signature) else { return false };
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(message.as_bytes());
    mac.verify_slice(&signature).is_ok()
}

/// A secret that must be kept readable, because it verifies what others sign. `Debug` gives `***`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredSecret(String);

impl StoredSecret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_long_and_never_the_same() {
        let (a, b) = (generate("ss_"), generate("ss_"));
        assert_ne!(a, b);
        assert_eq!(a.len(), 46);
        assert!(a.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        assert!(same(&digest(&a), &digest(&a)) && !same(&digest(&a), &digest(&b)));
        assert_eq!(digest_of_ours(""), None);
        assert_eq!(digest_of_ours(&"x".repeat(257)), None);
    }

    #[test]
    fn a_signature_fits_its_secret_and_message_only() {
        // Computed with: printf user-1 | openssl dgst -sha256 -hmac secret
        let signature = "1d16fd7e96e8a9681f283b8a251822ffdc71e2a5bda0c5267a044874fa21b82b";
        let secret = StoredSecret::new("secret");
        assert!(signs(&secret, "user-1", signature) && signs(&secret, "user-1", &signature.to_uppercase()));
        for (secret, message, signature) in [
            ("other", "user-1", signature),
            ("secret", "user-2", signature),
            ("secret", "user-1", &signature[..62]),
            ("secret", "user-1", ""),
            ("secret", "user-1", "zz"),
        ] {
            assert!(!signs(&StoredSecret::new(secret), message, signature), "{message} {signature}");
        }
        assert_eq!(format!("{secret:?}"), "***");
    }
}
