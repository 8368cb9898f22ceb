//! The id of a request: answered in `X-Request-Id`, stored with the jobs it made, logged by their workers.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An id of `[A-Za-z0-9_-]{1,64}`; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A new id (a ULID).
    #[expect(clippy::new_without_default, reason = "each is different, which Default does not promise")]
    pub fn new() -> Self {
        Self(Arc::from(ulid::Ulid::new().to_string()))
    }

    /// Takes over what the caller sent when it has the form of an id, else makes a new one: the text ends
    /// in logs and headers.
    pub fn accept(sent: Option<&str>) -> Self {
        let is_id = |text: &&str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            (1..=64).contains(&text.len()) && text.bytes().all(plain)
        };
        sent.filter(is_id).map_or_else(Self::new, |text| Self(Arc::from(text)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for RequestId {
    /// What is stored was accepted once; anything else becomes a new id.
    fn from(text: String) -> Self {
        Self::accept(Some(&text))
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        assert_eq!(RequestId::accept(Some("abc_DEF-1")).as_str(), "abc_DEF-1");
        let long = "a".repeat(65);
        for foreign in
            [None, Some(""), Some("a b"), Some("a\r\nSet-Cookie: x"), Some("ä"), Some(long.as_str())]
        {
            let id = RequestId::accept(foreign);
            assert_eq!(id.as_str().len(), 26, "{foreign:?}");
        }
        assert_ne!(RequestId::new(), RequestId::new());
    }
}
