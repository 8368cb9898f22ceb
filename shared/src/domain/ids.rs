//! Identifiers: what is accepted from clients, and the keys under which documents are stored.
//!
//! Ids are strings: 24-hex ObjectIds made by the server, or a client's own. Keys in MongoDB are
//! `"{accountId}/{id}"`, so that an id of another account is simply free.

use std::fmt;
use std::sync::Arc;

use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};

/// An id that does not have the accepted form. Says which kind of id, never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct MalformedId(pub &'static str);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest accepted id, in characters.
            pub const LEN_MAX: usize = $max;

            /// Checks the form.
            ///
            /// # Errors
            /// [`MalformedId`] when `value` is empty, too long or has a character outside the set.
            pub fn parse(value: &str) -> Result<Self, MalformedId> {
                let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || $extra.as_bytes().contains(&b);
                if value.is_empty() || value.len() > $max || !value.bytes().all(allowed) {
                    return Err(MalformedId($what));
                }
                Ok(Self(Arc::from(value)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedId;
            fn try_from(value: String) -> Result<Self, MalformedId> {
                Self::parse(&value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(/// A tenant: `[A-Za-z0-9_-]{1,64}`.
    AccountId, "account id", 64, "");
id!(/// A thread, or a room of the support desk: `[A-Za-z0-9_-]{1,128}`.
    ThreadId, "thread id", 128, "");
id!(/// A message: `[A-Za-z0-9_-]{1,128}`.
    MessageId, "message id", 128, "");
id!(/// A reservation: `[A-Za-z0-9_-]{1,128}`.
    ReservationId, "reservation id", 128, "");
id!(/// A support token, by which a widget's account is found; not its secret: `[A-Za-z0-9_-]{1,64}`.
    SupportTokenId, "support token id", 64, "");
id!(/// A channel of an account: `[A-Za-z0-9_-]{1,128}`.
    ChannelId, "channel id", 128, "");
id!(/// A person or program, the `sub` of a token: `[A-Za-z0-9_.:@|+-]{1,128}`.
    Uid, "user id", 128, ".:@|+");

/// A new 24-hex id, ascending within a process.
pub fn new_hex_id() -> String {
    ObjectId::new().to_hex()
}

impl MessageId {
    /// A new id made by the server.
    pub fn generate() -> Self {
        Self(Arc::from(new_hex_id()))
    }
}

impl ThreadId {
    /// A new id made by the server.
    pub fn generate() -> Self {
        Self(Arc::from(new_hex_id()))
    }
}

impl SupportTokenId {
    /// A new id made by the server.
    pub fn generate() -> Self {
        Self(Arc::from(new_hex_id()))
    }
}

impl Uid {
    /// A new id of a customer's conversation, made by the server.
    pub fn generate() -> Self {
        Self(Arc::from(new_hex_id()))
    }
}

/// The key of `id` inside `account`.
pub fn key(account: &AccountId, id: impl fmt::Display) -> String {
    format!("{account}/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_foreign_characters_are_refused() {
        for bad in ["", "a b", "a/b", "ä", "a\0", "../x", "$ne"] {
            assert!(MessageId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(MessageId::parse(&"a".repeat(129)).is_err());
        assert!(AccountId::parse(&"a".repeat(65)).is_err());
    }

    #[test]
    fn a_uid_may_be_an_address_or_a_provider_subject() {
        for good in ["auth0|65f", "anna@example.com", "contact:01J", "a.b-c_d+e"] {
            assert!(Uid::parse(good).is_ok(), "{good}");
        }
    }
}
