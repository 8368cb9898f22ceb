//! Somebody outside, as seen from one of our numbers: the phone, what the provider calls it, the 24-hour window,
//! whether they want no messages, and with whom they talked last.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ids::{AccountId, ThreadId, Uid};
use super::time::Time;
use super::window::Window;

/// The account of contacts of a default number, which belong to nobody alone.
pub const SHARED: &str = "_shared";

/// A contact. `Debug` shows nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// ULID.
    #[serde(rename = "_id")]
    pub id: String,
    /// Whose number it is; [`SHARED`] for a default one.
    pub account_id: AccountId,
    /// The number of ours, by its line's name.
    pub line: String,
    /// E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// What the provider calls the phone where that differs (`wa_id`): kept beside it, never instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_form: Option<String>,
    /// Meta's business-scoped id, for people who hide their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_id: Option<String>,
    /// As the provider shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_inbound_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out: Option<OptOut>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exchange: Option<Exchange>,
    pub created_at: Time,
    pub updated_at: Time,
}

/// They want no more messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OptOut {
    pub at: Time,
    /// How we know: a word such as `STOP`, or the provider's error code.
    pub by: String,
    /// Marketing alone.
    #[serde(default)]
    pub marketing_only: bool,
}

/// Who spoke with them last, either way: where their next message goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    pub account: AccountId,
    pub thread: ThreadId,
    pub at: Time,
}

impl Contact {
    /// What messages of this contact are signed with in `account`: `contact:` and 24 hex digits that tell neither
    /// the phone nor, between accounts, that it is the same person.
    pub fn author_in(&self, account: &AccountId) -> Uid {
        let digest = Sha256::new().chain_update(&self.id).chain_update([0]).chain_update(account.as_str());
        let text = format!("contact:{}", hex::encode(&digest.finalize()[..12]));
        Uid::parse(&text).expect("letters, digits and a colon")
    }

    /// The 24-hour window at `now`.
    pub fn window(&self, now: Time) -> Window {
        Window::at(self.last_inbound_at, now)
    }
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_the_same_within_an_account_and_another_elsewhere() {
        let account = |id: &str| AccountId::parse(id).unwrap();
        let contact = Contact {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
            account_id: account(SHARED),
            line: "whatsapp:1".to_owned(),
            phone: Some("+15005550009".to_owned()),
            provider_form: None,
            business_id: None,
            name: Some("Gina".to_owned()),
            last_inbound_at: None,
            opt_out: None,
            last_exchange: None,
            created_at: Time::from_millis(0),
            updated_at: Time::from_millis(0),
        };
        let author = contact.author_in(&account("acme"));
        assert_eq!(author, contact.author_in(&account("acme")));
        assert_ne!(author, contact.author_in(&account("globex")));
        assert!(author.as_str().starts_with("contact:") && !author.as_str().contains("1500"));
        let shown = format!("{contact:?}");
        assert!(!shown.contains("1500") && !shown.contains("Gina"));
    }
}
