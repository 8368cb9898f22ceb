//! Secrets at rest: envelope encryption under the key of the configuration.
//!
//! Each secret is encrypted (AES-256-GCM) with a data key of its own, and that with a key made of `secrets_key`. Both
//! are bound to the place where they are kept — account, record, field: what is copied elsewhere in the database does
//! not open there. A sealed value names its key, so that old keys still open what they sealed; [`rotation`] seals it
//! anew under the current one.

pub mod rotation;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rand::RngCore as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::config::{KeyBytes, Keys, Secret};
use crate::domain::ids::AccountId;

/// What the keys are for: `secrets_key` signs other things too.
const WRAPPING: &[u8] = b"bellhop secrets wrapping 1";
/// What names a key without telling anything of it.
const NAMING: &[u8] = b"bellhop secrets key id 1";
/// Bytes of a key's name.
const NAME_BYTES: usize = 8;

/// Where a secret is kept.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub account: &'a AccountId,
    pub collection: &'a str,
    /// The record's id in the account.
    pub record: &'a str,
    pub field: &'a str,
}

/// A secret as it is stored. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// The name of the key that wraps the data key.
    kid: String,
    /// Base64 of nonce and encrypted data key.
    data_key: String,
    /// Base64.
    nonce: String,
    /// Base64, with the tag at its end.
    ciphertext: String,
}

/// Why a secret is not sealed or opened. Tells nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    #[error("no secrets_key is configured")]
    NoKey,
    #[error("a secret was sealed with a key that is not configured")]
    UnknownKey,
    #[error("a sealed secret was changed, or belongs elsewhere")]
    Damaged,
}

/// Seals with the current key, opens with every configured one. Clones share the keys.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    current: Option<WrappingKey>,
    old: Vec<WrappingKey>,
}

struct WrappingKey {
    name: String,
    key: LessSafeKey,
}

impl Sealed {
    /// What no other sealed secret has: by it a write finds the one that it saw.
    pub(crate) fn mark(&self) -> &str {
        &self.ciphertext
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl Vault {
    /// A vault with the keys of the configuration.
    pub fn new(keys: &Keys) -> Self {
        let current = keys.current.as_ref().map(WrappingKey::of);
        Self(Arc::new(Inner { current, old: keys.old.iter().map(WrappingKey::of).collect() }))
    }

    /// Whether there is a key to seal with.
    pub fn can_seal(&self) -> bool {
        self.0.current.is_some()
    }

    /// Seals `secret`, to be kept at `place`.
    ///
    /// # Errors
    /// [`SecretsError::NoKey`].
    pub fn seal(&self, place: Place<'_>, secret: &Secret) -> Result<Sealed, SecretsError> {
        let wrapping = self.0.current.as_ref().ok_or(SecretsError::NoKey)?;
        let data_key: [u8; 32] = random();
        let (key_nonce, wrapped) =
            encrypt(&wrapping.key, &place.bound_to(&wrapping.name, "key"), data_key.to_vec())?;
        let plain = secret.expose().as_bytes().to_vec();
        let (nonce, ciphertext) = encrypt(&aes(&data_key), &place.bound_to(&wrapping.name, "secret"), plain)?;
        Ok(Sealed {
            kid: wrapping.name.clone(),
            data_key: STANDARD.encode([key_nonce.as_slice(), &wrapped].concat()),
            nonce: STANDARD.encode(nonce),
            ciphertext: STANDARD.encode(ciphertext),
        })
    }

    /// Opens what is kept at `place`.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Secret, SecretsError> {
        let mut keys = self.0.current.iter().chain(&self.0.old);
        let wrapping = keys.find(|key| key.name == sealed.kid).ok_or(SecretsError::UnknownKey)?;
        let wrapped = bytes(&sealed.data_key)?;
        let (key_nonce, wrapped) = wrapped.split_at_checked(NONCE_LEN).ok_or(SecretsError::Damaged)?;
        let data_key =
            decrypt(&wrapping.key, key_nonce, &place.bound_to(&wrapping.name, "key"), wrapped.to_vec())?;
        let data_key: [u8; 32] = data_key.try_into().map_err(|_| SecretsError::Damaged)?;
        let bound = place.bound_to(&wrapping.name, "secret");
        let plain = decrypt(&aes(&data_key), &bytes(&sealed.nonce)?, &bound, bytes(&sealed.ciphertext)?)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| SecretsError::Damaged)
    }

    /// Whether `sealed` is under the current key: nothing is to be done for it when keys are rotated.
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        self.0.current.as_ref().is_some_and(|key| key.name == sealed.kid)
    }

    /// `sealed` under the current key; `None` when it is already.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn reseal(&self, place: Place<'_>, sealed: &Sealed) -> Result<Option<Sealed>, SecretsError> {
        if self.is_current(sealed) {
            return Ok(None);
        }
        self.seal(place, &self.open(place, sealed)?).map(Some)
    }
}

impl WrappingKey {
    fn of(key: &KeyBytes) -> Self {
        let name = hex::encode(&derived(key, NAMING)[..NAME_BYTES]);
        Self { name, key: aes(&derived(key, WRAPPING)) }
    }
}

impl Place<'_> {
    /// What a ciphertext is bound to; each part with its length, so that no two places give the same bytes.
    fn bound_to(&self, key: &str, layer: &str) -> Vec<u8> {
        let parts = [layer, key, self.account.as_str(), self.collection, self.record, self.field];
        let mut bound = Vec::with_capacity(160);
        for part in parts {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        bound
    }
}

fn derived(key: &KeyBytes, purpose: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

fn aes(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes keys of 32 bytes"))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// The nonce, and `plain` encrypted with its tag at the end.
fn encrypt(
    key: &LessSafeKey,
    bound: &[u8],
    mut plain: Vec<u8>,
) -> Result<([u8; NONCE_LEN], Vec<u8>), SecretsError> {
    let nonce = random();
    let sealed =
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut plain);
    // Only a text of more than 64 GiB is refused.
    sealed.map(|()| (nonce, plain)).map_err(|_| SecretsError::Damaged)
}

fn decrypt(
    key: &LessSafeKey,
    nonce: &[u8],
    bound: &[u8],
    mut ciphertext: Vec<u8>,
) -> Result<Vec<u8>, SecretsError> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretsError::Damaged)?;
    let plain = key.open_in_place(nonce, Aad::from(bound), &mut ciphertext);
    plain.map(|plain| plain.to_vec()).map_err(|_| SecretsError::Damaged)
}

fn bytes(text: &str) -> Result<Vec<u8>, SecretsError> {
    STANDARD.decode(text).map_err(|_| SecretsError::Damaged)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{deserialize_from_document, serialize_to_document};
    use proptest::prelude::*;

    use super::*;

    fn vault(current: Option<u8>, old: &[u8]) -> Vault {
        let key = |byte: u8| KeyBytes::new([byte; 32]);
        Vault::new(&Keys { current: current.map(key), old: old.iter().copied().map(key).collect() })
    }

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).expect("an id")
    }

    fn at<'a>(account: &'a AccountId, record: &'a str, field: &'a str) -> Place<'a> {
        Place { account, collection: "channels", record, field }
    }

    #[test]
    fn a_secret_opens_where_it_was_sealed_and_nowhere_else() {
        let (acme, globex) = (account("acme"), account("globex"));
        let place = at(&acme, "main", "accessToken");
        let vault = vault(Some(1), &[]);
        let sealed = vault.seal(place, &Secret::new("canary")).expect("sealed");
        assert_eq!(vault.open(place, &sealed).expect("opened").expose(), "canary");
        let elsewhere = [
            at(&globex, "main", "accessToken"),
            at(&acme, "other", "accessToken"),
            at(&acme, "main", "appSecret"),
            at(&acme, "mainaccessToken", ""),
            Place { collection: "supportTokens", ..place },
        ];
        for place in elsewhere {
            assert_eq!(vault.open(place, &sealed).err(), Some(SecretsError::Damaged), "{place:?}");
        }
    }

    #[test]
    fn an_old_key_still_opens_and_a_foreign_one_does_not() {
        let acme = account("acme");
        let place = at(&acme, "main", "accessToken");
        let sealed = vault(Some(1), &[]).seal(place, &Secret::new("canary")).expect("sealed");
        let rotated = vault(Some(2), &[3, 1]);
        assert_eq!(rotated.open(place, &sealed).expect("opened").expose(), "canary");
        assert!(!rotated.is_current(&sealed));
        for other in [vault(Some(2), &[3]), vault(None, &[])] {
            assert_eq!(other.open(place, &sealed).err(), Some(SecretsError::UnknownKey));
        }
        let renewed = rotated.reseal(place, &sealed).expect("opened").expect("it was old");
        assert_eq!(rotated.reseal(place, &renewed), Ok(None), "once is enough");
        assert_eq!(vault(Some(2), &[]).open(place, &renewed).expect("opened").expose(), "canary");
    }

    #[test]
    fn without_a_key_nothing_is_sealed() {
        let acme = account("acme");
        let vault = vault(None, &[1]);
        assert!(!vault.can_seal());
        let place = at(&acme, "main", "accessToken");
        assert_eq!(vault.seal(place, &Secret::new("x")).err(), Some(SecretsError::NoKey));
    }

    #[test]
    fn nothing_of_a_secret_is_shown_and_no_two_are_sealed_alike() {
        let acme = account("acme");
        let (vault, place) = (vault(Some(1), &[]), at(&acme, "main", "accessToken"));
        let (a, b) = (vault.seal(place, &Secret::new("canary")), vault.seal(place, &Secret::new("canary")));
        let (a, b) = (a.expect("sealed"), b.expect("sealed"));
        assert_eq!(format!("{a:?} {vault:?}"), "*** Vault(***)");
        assert_ne!((&a.nonce, &a.data_key, &a.ciphertext), (&b.nonce, &b.data_key, &b.ciphertext));
        assert_eq!(a.kid, b.kid);
        assert!(!a.kid.contains("0101"), "the name of a key tells nothing of it");
    }

    #[test]
    fn a_sealed_secret_survives_the_way_through_the_database() {
        let acme = account("acme");
        let (vault, place) = (vault(Some(1), &[]), at(&acme, "main", "accessToken"));
        let sealed = vault.seal(place, &Secret::new("canary")).expect("sealed");
        let document = serialize_to_document(&sealed).expect("a document");
        assert!(!document.to_string().contains("canary"));
        let read: Sealed = deserialize_from_document(document).expect("read");
        assert_eq!(vault.open(place, &read).expect("opened").expose(), "canary");
    }

    /// The four parts of a sealed secret.
    fn parts(sealed: &mut Sealed) -> [&mut String; 4] {
        [&mut sealed.kid, &mut sealed.data_key, &mut sealed.nonce, &mut sealed.ciphertext]
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in ".{0,300}", record in "[a-z]{1,20}", field in "[a-z]{1,20}") {
            let acme = account("acme");
            let (vault, place) = (vault(Some(7), &[]), at(&acme, &record, &field));
            let sealed = vault.seal(place, &Secret::new(text.clone())).expect("sealed");
            prop_assert_eq!(vault.open(place, &sealed).expect("opened").expose().to_owned(), text);
        }

        #[test]
        fn whatever_is_changed_does_not_open(part in 0_usize..4, at_byte in any::<prop::sample::Index>(), flip in 1_u8..=255) {
            let acme = account("acme");
            let (vault, place) = (vault(Some(7), &[]), at(&acme, "main", "accessToken"));
            let mut sealed = vault.seal(place, &Secret::new("canary")).expect("sealed");
            let text = std::mem::take(parts(&mut sealed)[part]);
            let mut raw = if part == 0 { text.into_bytes() } else { STANDARD.decode(text).expect("base64") };
            let place_of_change = at_byte.index(raw.len());
            raw[place_of_change] ^= flip;
            *parts(&mut sealed)[part] = if part == 0 {
                String::from_utf8_lossy(&raw).into_owned()
            } else {
                STANDARD.encode(&raw)
            };
            prop_assert!(vault.open(place, &sealed).is_err());
        }

        #[test]
        fn whatever_stands_there_does_not_panic(texts in prop::collection::vec(".{0,60}", 3)) {
            let acme = account("acme");
            let (vault, place) = (vault(Some(7), &[]), at(&acme, "main", "accessToken"));
            let mut sealed = vault.seal(place, &Secret::new("canary")).expect("sealed");
            for (part, text) in parts(&mut sealed).into_iter().skip(1).zip(texts) {
                *part = text;
            }
            prop_assert!(vault.open(place, &sealed).is_err());
        }

        #[test]
        fn parts_of_two_secrets_do_not_make_a_third(part in 1_usize..4) {
            let acme = account("acme");
            let (vault, place) = (vault(Some(7), &[]), at(&acme, "main", "accessToken"));
            let mut one = vault.seal(place, &Secret::new("canary")).expect("sealed");
            let mut other = vault.seal(place, &Secret::new("canary")).expect("sealed");
            std::mem::swap(parts(&mut one)[part], parts(&mut other)[part]);
            prop_assert!(vault.open(place, &one).is_err() && vault.open(place, &other).is_err());
        }
    }
}
