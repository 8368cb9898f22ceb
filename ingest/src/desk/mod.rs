//! What the endpoints of the support desk do: a room is a thread, and every message goes through the one committer.
//!
//! A customer is an actor with role guest whose uid is its conversation, so that entitlement, hidden notes and
//! counters hold for it as for any guest. What differs is said here: a foreign room does not exist for it, and
//! nothing but its own rooms can be reached with a session.

mod customer;
mod known;
mod messages;
mod opening;
mod origins;
mod sessions;
mod tokens;

use std::time::Duration;

use shared::config;
use shared::domain::access;
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::ThreadId;
use shared::domain::thread::{Thread, ThreadKind};
use shared::secrets::Vault;
use shared::store::{Cursor, Scope, ThreadFilter};

use crate::chat::Chat;
use crate::http::ApiError;

pub(crate) use customer::Customer;
pub(crate) use known::KnownSessions;
pub(crate) use messages::{Marking, Sending, Sent};
pub(crate) use opening::{IdentityClaim, Opened, Opening};
pub(crate) use sessions::{CustomerCaller, CustomerCredentials};
pub(crate) use tokens::IssuedToken;

/// The support desk.
#[derive(Clone)]
pub(crate) struct Desk {
    chat: Chat,
    session_ttl: Duration,
    session_renewal: Duration,
    known: KnownSessions,
    /// Seals and opens the identity secrets.
    vault: Vault,
}

impl Desk {
    /// The desk over the conversations.
    pub(crate) fn new(chat: &Chat, config: &config::Desk, vault: &Vault) -> Self {
        Self {
            chat: chat.clone(),
            vault: vault.clone(),
            session_ttl: config.session_ttl,
            session_renewal: config.session_renewal,
            known: KnownSessions::default(),
        }
    }

    /// The sessions seen lately, for the rate limit.
    pub(crate) fn known_sessions(&self) -> KnownSessions {
        self.known.clone()
    }

    /// A page of the rooms that `actor` may see, newest first, with the cursor of the next.
    pub(crate) async fn rooms(
        &self,
        actor: &Actor,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Vec<Thread>, Option<String>), ApiError> {
        let scope = self.scope(actor);
        let after = match cursor {
            Some(text) => Some(
                Cursor::decode(text, &scope)
                    .ok_or_else(|| ApiError::invalid_parameter("cursor", "is not one of ours"))?,
            ),
            None => None,
        };
        let filter =
            ThreadFilter { kind: Some(ThreadKind::Support), after, limit, ..ThreadFilter::default() };
        let page = scope.threads(actor, &filter).await?;
        Ok((page.threads, page.next.map(|cursor| cursor.encode())))
    }

    /// Room `id`, if `actor` may see it. To a customer the rooms of others are not there, nor is any id malformed:
    /// it is unknown.
    async fn room(&self, actor: &Actor, id: &str) -> Result<Thread, ApiError> {
        let unknown = || ApiError::not_found("room");
        let id = ThreadId::parse(id).map_err(|_| unknown())?;
        let room = self.scope(actor).thread(&id).await?.filter(|thread| thread.kind == ThreadKind::Support);
        let room = room.ok_or_else(unknown)?;
        if actor.role == Role::Guest && !room.is_customer(&actor.uid) {
            return Err(unknown());
        }
        access::check_entitled(&room, actor)?;
        Ok(room)
    }

    /// What is left unread of `room`: for its customer the public messages of others, for the staff the customer's.
    async fn unread(&self, actor: &Actor, room: &Thread) -> Result<u64, ApiError> {
        if actor.role.is_staff() {
            return Ok(u64::try_from(room.unread_of_customer(&actor.uid)).unwrap_or(0));
        }
        let mark = room.read_up_to(&actor.uid);
        Ok(self.scope(actor).unread(room, &actor.uid, mark, true).await?)
    }

    /// What belongs to the actor's account.
    fn scope(&self, actor: &Actor) -> Scope {
        self.chat.store.account(&actor.account)
    }
}
