//! Who acts: the caller of a request, and what is known of the other people of a thread.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::ids::{AccountId, Uid};

/// What a caller is in its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A host or support agent.
    Agent,
    /// An agent who also administers the account.
    Admin,
    /// A guest of a thread.
    Guest,
    /// A program of the account's own: OTA workflow, automation.
    Service,
    /// Runs the installation; has no business in `/chat`.
    Operator,
}

impl Role {
    /// Agents, admins and services: those who may read notes.
    pub fn is_staff(self) -> bool {
        matches!(self, Role::Agent | Role::Admin | Role::Service)
    }

    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Admin => "admin",
            Role::Guest => "guest",
            Role::Service => "service",
            Role::Operator => "operator",
        }
    }
}

/// An authenticated caller, or one of our own webhooks acting as a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The account of the token; nothing outside it can be reached.
    pub account: AccountId,
    /// The `sub` of the token.
    pub uid: Uid,
    /// The role of the token.
    pub role: Role,
    /// The agent's conversation (B); defaults to the uid.
    pub conversation_id: String,
}

/// Roles of the people of a thread, from their user documents. Who is not in it is not staff.
#[derive(Debug, Clone, Default)]
pub struct Roles(HashMap<Uid, Role>);

impl Roles {
    /// Whether `uid` is known as agent, admin or service.
    pub fn is_staff(&self, uid: &Uid) -> bool {
        self.0.get(uid).is_some_and(|role| role.is_staff())
    }

    /// Notes the role of `uid`.
    pub fn insert(&mut self, uid: Uid, role: Role) {
        self.0.insert(uid, role);
    }
}

impl FromIterator<(Uid, Role)> for Roles {
    fn from_iter<I: IntoIterator<Item = (Uid, Role)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}
