//! What the claims of a verified token must say, and the [`Identity`] they make.

use serde_json::{Map, Value};
use shared::domain::Time;
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::{AccountId, Uid};

use super::{AuthError, Identity};

/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 30;

/// Longest display name, in characters; the rest is cut off.
const NAME_MAX: usize = 256;

/// Whose tokens we take.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) issuer: String,
    pub(super) audience: String,
}

/// Checks the claims as of `now` (Unix seconds).
pub(super) fn check(
    claims: &Map<String, Value>,
    expected: &Expected,
    now: u64,
) -> Result<Identity, AuthError> {
    let expires_at = check_times(claims, now)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(&expected.issuer) || !is_for(claims.get("aud"), &expected.audience) {
        return Err(AuthError::Claims);
    }
    let uid = text("sub").and_then(|sub| Uid::parse(sub).ok()).ok_or(AuthError::Claims)?;
    let account = text("account_id").and_then(|id| AccountId::parse(id).ok()).ok_or(AuthError::Claims)?;
    let role = match text("role") {
        Some("agent") => Role::Agent,
        Some("admin") => Role::Admin,
        Some("guest") => Role::Guest,
        Some("service") => Role::Service,
        Some("operator") => Role::Operator,
        _ => return Err(AuthError::Claims),
    };
    let conversation_id = conversation(claims.get("conversation"))?.unwrap_or_else(|| uid.to_string());
    let name = match claims.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()),
        Some(_) => return Err(AuthError::Claims),
    };
    Ok(Identity { actor: Actor { account, uid, role, conversation_id }, name, expires_at })
}

/// Answers from when on the token is not accepted any more.
fn check_times(claims: &Map<String, Value>, now: u64) -> Result<Time, AuthError> {
    let exp = seconds(claims.get("exp"))?.ok_or(AuthError::Claims)?;
    let starts = [seconds(claims.get("nbf"))?, seconds(claims.get("iat"))?];
    let began = starts.into_iter().flatten().all(|start| start <= (now + LEEWAY) as f64);
    let end = exp + LEEWAY as f64;
    if end > now as f64 && began { Ok(Time::from_millis((end * 1e3) as i64)) } else { Err(AuthError::Time) }
}

/// A NumericDate: a number of seconds, perhaps with a fraction.
fn seconds(claim: Option<&Value>) -> Result<Option<f64>, AuthError> {
    match claim {
        None => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().filter(|s| (0.0..1e12).contains(s));
            seconds.map(Some).ok_or(AuthError::Claims)
        }
    }
}

fn is_for(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(aud)) => aud == audience,
        Some(Value::Array(auds)) => auds.iter().any(|aud| aud.as_str() == Some(audience)),
        _ => false,
    }
}

/// `conversation: {id}`; its id has the form of a uid.
fn conversation(claim: Option<&Value>) -> Result<Option<String>, AuthError> {
    match claim {
        None | Some(Value::Null) => Ok(None),
        Some(conversation) => {
            let id = conversation.get("id").and_then(Value::as_str).ok_or(AuthError::Claims)?;
            Uid::parse(id).map(|id| Some(id.to_string())).map_err(|_| AuthError::Claims)
        }
    }
}
