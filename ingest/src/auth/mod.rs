//! Who is calling: verifies bearer tokens and hands their claims on as a [`Caller`] or an [`Operator`].
//!
//! A token is a compact JWS. Its algorithm is pinned by the key it names, never chosen by the token: the
//! HS256 secret verifies HS256 only, each key of the JWKS its own algorithm. `jku`, `x5u` and `jwk` in a
//! header are not read. `iss`, `aud`, `exp` are required; times have a leeway of 30 s.

mod caller;
mod claims;
mod issue;
mod jwks;
mod keys;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use shared::config::Auth;

pub(crate) use caller::Credentials;
pub use caller::{Admin, Caller, Operator, Staff};
pub use issue::{IssueError, TokenRequest, issue};
pub use jwks::JwksError;

use claims::Expected;
use jwks::Jwks;
use keys::{Key, KeySet};
use token::Token;

/// Why a token is not accepted. The caller learns no more than this; nothing of the token is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not a compact JWS of acceptable size and form.
    #[error("the token is malformed")]
    Malformed,
    /// No key of ours, or its signature does not fit.
    #[error("the token is not signed by a known key")]
    Signature,
    /// `exp`, `nbf` or `iat` is outside the leeway.
    #[error("the token is expired or not yet valid")]
    Time,
    /// `iss` or `aud` is another's, or a claim is missing or malformed.
    #[error("the token's claims are not acceptable")]
    Claims,
}

/// Verifies tokens. Cheap to share; keys are replaced behind it.
#[derive(Debug)]
pub struct Authenticator {
    secret: Option<KeySet>,
    jwks: Option<Arc<Jwks>>,
    expected: Expected,
}

impl Authenticator {
    /// Prepares the keys. A JWKS file must be readable; a JWKS URL may be away: it is asked again.
    ///
    /// # Errors
    /// [`JwksError`] when the file cannot be read or has no usable key.
    pub async fn start(config: &Auth) -> Result<Arc<Self>, JwksError> {
        let jwks = match &config.jwks {
            Some(source) => Some(Jwks::start(source).await?),
            None => None,
        };
        let secret = config.hs256_secret.as_ref();
        Ok(Arc::new(Self {
            secret: secret.map(|secret| KeySet::new(vec![Key::hs256(secret.expose().as_bytes())])),
            jwks,
            expected: Expected { issuer: config.issuer.clone(), audience: config.audience.clone() },
        }))
    }

    /// Verifies `token` as of now.
    ///
    /// # Errors
    /// [`AuthError`]
    pub async fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.verify_at(token, now).await
    }

    async fn verify_at(&self, token: &str, now: u64) -> Result<Identity, AuthError> {
        let token = Token::parse(token)?;
        if token.is_hs256() {
            self.secret.as_ref().ok_or(AuthError::Signature)?.verify(&token)?;
        } else {
            let jwks = self.jwks.as_ref().ok_or(AuthError::Signature)?;
            let keys = jwks.keys_for(&token).await;
            keys.verify(&token)?;
        }
        claims::check(&token.claims()?, &self.expected, now)
    }
}

/// What a valid token says.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Account, user, role, conversation.
    pub actor: shared::domain::actor::Actor,
    /// The display name, when the token has one; at most 256 characters.
    pub name: Option<String>,
    /// From when on it is not accepted any more: its `exp` and our leeway.
    pub expires_at: shared::domain::Time,
}
