//! Tokens for development: `ingest token`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use shared::config::Auth;
use shared::domain::actor::Role;
use shared::domain::ids::{AccountId, Uid};

/// What a new token is to say.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Its `account_id`.
    pub account: AccountId,
    /// Its `sub`.
    pub uid: Uid,
    /// Its `role`.
    pub role: Role,
    /// Its `conversation.id`; without one, the reader takes the uid.
    pub conversation: Option<Uid>,
    /// Its `name`.
    pub name: Option<String>,
    /// How long it is valid.
    pub ttl: Duration,
}

/// Why no token can be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Only HS256 tokens can be signed here.
    #[error("BELLHOP_AUTH__HS256_SECRET must be set to sign a token")]
    NoSecret,
    /// The signature failed.
    #[error("the token cannot be signed")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// Makes a token signed with the HS256 secret of `config`.
///
/// # Errors
/// [`IssueError`]
pub fn issue(config: &Auth, request: &TokenRequest) -> Result<String, IssueError> {
    let secret = config.hs256_secret.as_ref().ok_or(IssueError::NoSecret)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut claims = json!({
        "iss": config.issuer,
        "aud": config.audience,
        "sub": request.uid.as_str(),
        "account_id": request.account.as_str(),
        "role": request.role.as_str(),
        "iat": now,
        "exp": now + request.ttl.as_secs(),
    });
    if let Some(conversation) = &request.conversation {
        claims["conversation"] = json!({ "id": conversation.as_str() });
    }
    if let Some(name) = &request.name {
        claims["name"] = json!(name);
    }
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}
