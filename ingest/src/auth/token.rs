//! The outer form of a token: size, segments, header. Nothing here trusts it yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::AuthError;
use crate::http::json;

/// Longest token that is looked at, in bytes.
const TOKEN_MAX: usize = 8 * 1024;

/// Longest key id, in bytes.
const KID_MAX: usize = 128;

/// A token taken apart.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// `header.claims`, which the signature covers.
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
    claims: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, AuthError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
        if token.len() > TOKEN_MAX || !token.bytes().all(plain) {
            return Err(AuthError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(AuthError::Malformed)?;
        if claims.contains('.') || signature.is_empty() {
            return Err(AuthError::Malformed);
        }
        let header = object(header)?;
        let algorithm = match header.get("alg").and_then(Value::as_str) {
            Some("HS256") => Algorithm::HS256,
            Some("RS256") => Algorithm::RS256,
            Some("ES256") => Algorithm::ES256,
            Some("EdDSA") => Algorithm::EdDSA,
            _ => return Err(AuthError::Malformed),
        };
        check_type(&header)?;
        Ok(Self { signed, signature, claims, algorithm, kid: kid(&header)? })
    }

    pub(super) fn is_hs256(&self) -> bool {
        self.algorithm == Algorithm::HS256
    }

    /// The claims; only to be asked for once the signature is verified.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, AuthError> {
        object(self.claims)
    }
}

/// Decodes a segment, which must be one JSON object without duplicate keys.
fn object(segment: &str) -> Result<Map<String, Value>, AuthError> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_| AuthError::Malformed)?;
    match json::parse(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(AuthError::Malformed),
    }
}

/// Only access tokens; what we do not understand and must (`crit`), or would have to unpack (`zip`), is
/// refused.
fn check_type(header: &Map<String, Value>) -> Result<(), AuthError> {
    let is_token = match header.get("typ") {
        None => true,
        Some(Value::String(typ)) => ["jwt", "at+jwt"].contains(&typ.to_ascii_lowercase().as_str()),
        Some(_) => false,
    };
    let is_plain = ["crit", "zip", "enc", "b64", "cty"].iter().all(|name| !header.contains_key(*name));
    if is_token && is_plain { Ok(()) } else { Err(AuthError::Malformed) }
}

fn kid(header: &Map<String, Value>) -> Result<Option<String>, AuthError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= KID_MAX && kid.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(kid.clone()))
        }
        Some(_) => Err(AuthError::Malformed),
    }
}
