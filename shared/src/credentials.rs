//! Credentials that we hand out: 256 random bits, stored as a digest where they only have to be recognised.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::Secret;
use crate::secrets::{Place, Sealed, SecretsError, Vault};

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

/// A secret as it is stored: sealed where the configuration has a key, readable where it has none. `Debug` gives `***`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeptSecret {
    Sealed(Sealed),
    Readable(StoredSecret),
}

impl KeptSecret {
    /// Keeps `secret` at `place`.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn keep(vault: &Vault, place: Place<'_>, secret: &StoredSecret) -> Result<Self, SecretsError> {
        match vault.can_seal() {
            true => vault.seal(place, &Secret::new(secret.expose())).map(Self::Sealed),
            false => Ok(Self::Readable(secret.clone())),
        }
    }

    /// The secret that is kept at `place`.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn open(&self, vault: &Vault, place: Place<'_>) -> Result<StoredSecret, SecretsError> {
        match self {
            Self::Sealed(sealed) => Ok(StoredSecret::new(vault.open(place, sealed)?.expose())),
            Self::Readable(secret) => Ok(secret.clone()),
        }
    }

    /// The same, sealed under the current key; `None` when it is already, or when there is no key.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn renewed(&self, vault: &Vault, place: Place<'_>) -> Result<Option<Self>, SecretsError> {
        match self {
            Self::Sealed(sealed) => Ok(vault.reseal(place, sealed)?.map(Self::Sealed)),
            Self::Readable(_) if !vault.can_seal() => Ok(None),
            Self::Readable(secret) => Self::keep(vault, place, secret).map(Some),
        }
    }
}

/// A secret that must be kept so that it can be read, because it verifies what others sign. `Debug` gives `***`.
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
    fn what_was_stored_before_there_was_a_key_still_opens_and_is_sealed_later() {
        use crate::config::{KeyBytes, Keys};
        use crate::domain::ids::AccountId;
        let account = AccountId::parse("acme").unwrap();
        let place = Place { account: &account, collection: "supportTokens", record: "t", field: "f" };
        let vault = |current: Option<u8>| {
            Vault::new(&Keys { current: current.map(|byte| KeyBytes::new([byte; 32])), old: Vec::new() })
        };
        let secret = StoredSecret::new("si_canary");
        let readable: KeptSecret = mongodb::bson::deserialize_from_bson("si_canary".into()).unwrap();
        assert_eq!(readable, KeptSecret::keep(&vault(None), place, &secret).unwrap());
        assert_eq!(readable.renewed(&vault(None), place), Ok(None));
        assert_eq!(readable.open(&vault(Some(1)), place).as_ref(), Ok(&secret));
        let sealed = readable.renewed(&vault(Some(1)), place).unwrap().unwrap();
        let stored = mongodb::bson::serialize_to_bson(&sealed).unwrap();
        assert!(!stored.to_string().contains("canary") && !format!("{sealed:?}").contains("canary"));
        let read: KeptSecret = mongodb::bson::deserialize_from_bson(stored).unwrap();
        assert_eq!(read.open(&vault(Some(1)), place).as_ref(), Ok(&secret));
        assert_eq!(read.open(&vault(None), place), Err(SecretsError::UnknownKey));
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
