//! Keys with the one algorithm each may be used for.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::AuthError;
use super::token::Token;

/// Most keys of a set that are looked at.
const KEYS_MAX: usize = 64;

/// A key and its algorithm; `Debug` shows no key.
pub(super) struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Key {
    pub(super) fn hs256(secret: &[u8]) -> Self {
        Self { kid: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }
    }

    /// Reads a public key; `None` for one that is not ours to use: symmetric, for encryption, of another
    /// curve or algorithm, or an RSA key below 2048 bits.
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        if matches!(&jwk.common.public_key_use, Some(usage) if *usage != PublicKeyUse::Signature) {
            return None;
        }
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) if rsa.n.len() >= 2048 / 6 => {
                (Algorithm::RS256, KeyAlgorithm::RS256)
            }
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return None,
        };
        if jwk.common.key_algorithm.is_some_and(|alg| alg != named) {
            return None;
        }
        Some(Self { kid: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
    }
}

/// Several keys.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

impl KeySet {
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// Reads a JWKS document; keys that cannot be used are left out.
    pub(super) fn from_json(text: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(text).ok()?;
        let entries = document.get("keys")?.as_array()?;
        let keys = entries.iter().take(KEYS_MAX).filter_map(|entry| {
            let jwk: Jwk = serde_json::from_value(entry.clone()).ok()?;
            Key::from_jwk(&jwk)
        });
        let keys: Vec<Key> = keys.collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a key could verify `token`.
    pub(super) fn knows(&self, token: &Token<'_>) -> bool {
        self.candidates(token).next().is_some()
    }

    fn candidates<'s>(&'s self, token: &'s Token<'_>) -> impl Iterator<Item = &'s Key> {
        let by_name = |key: &&Key| match (&token.kid, &key.kid) {
            (Some(wanted), Some(kid)) => wanted == kid,
            _ => true,
        };
        self.0.iter().filter(|key| key.algorithm == token.algorithm).filter(by_name).take(8)
    }

    /// Checks the signature with the keys that may verify it.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), AuthError> {
        let fits = |key: &Key| {
            let message = token.signed.as_bytes();
            jsonwebtoken::crypto::verify(token.signature, message, &key.key, key.algorithm).unwrap_or(false)
        };
        if self.candidates(token).any(fits) { Ok(()) } else { Err(AuthError::Signature) }
    }
}
