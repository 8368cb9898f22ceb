//! `Idempotency-Key`: its form, its scope, and the digest of a request's content.

use sha2::{Digest, Sha256};
use shared::domain::actor::Actor;
use shared::domain::ids::MalformedId;
use shared::store::IdempotencyKey;

use crate::http::IdForm;

/// A key as clients send it: `[A-Za-z0-9_-]{1,128}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyForm(String);

impl IdForm for KeyForm {
    const PATTERN: &'static str = "^[A-Za-z0-9_-]{1,128}$";

    fn read(text: &str) -> Result<Self, MalformedId> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !(1..=128).contains(&text.len()) || !text.bytes().all(plain) {
            return Err(MalformedId("idempotency key"));
        }
        Ok(Self(text.to_owned()))
    }

    fn text(&self) -> &str {
        &self.0
    }
}

impl KeyForm {
    /// The key in the scope of `actor` and `route`, for a request with `content`.
    pub(crate) fn scoped(&self, actor: &Actor, route: &str, content: &str) -> IdempotencyKey {
        IdempotencyKey {
            scope: format!("{}/{}/{route}/{}", actor.account, actor.uid, self.0),
            content_hash: digest(content),
        }
    }
}

fn digest(content: &str) -> String {
    hex::encode(&Sha256::digest(content.as_bytes())[..16])
}
