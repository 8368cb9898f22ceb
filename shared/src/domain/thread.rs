//! A thread: its stored state, how one is made and how it is changed by hand.

use mongodb::bson::Document;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::access::{guest_viewers, staff_viewers};
use super::actor::{Actor, Role};
use super::ids::{AccountId, ReservationId, ThreadId, Uid, key};
use super::message::{Message, Source};
use super::reading::ReadMark;
use super::rejection::Rejection;
use super::time::Time;
use super::window::Window;

/// Most people that may be named in one list of a thread.
pub const PEOPLE_MAX: usize = 200;
/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 256;

/// What a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThreadKind {
    #[default]
    Guest,
    /// A room of the support desk.
    Support,
    Team,
}

impl ThreadKind {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            ThreadKind::Guest => "guest",
            ThreadKind::Support => "support",
            ThreadKind::Team => "team",
        }
    }
}

/// Whether work remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThreadStatus {
    #[default]
    Open,
    Snoozed,
    Resolved,
}

impl ThreadStatus {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            ThreadStatus::Open => "open",
            ThreadStatus::Snoozed => "snoozed",
            ThreadStatus::Resolved => "resolved",
        }
    }
}

/// For whom a thread waits: the `seq` that last raised attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub uid: Uid,
    pub seq: i64,
}

/// A thread as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    /// `{accountId}/{threadId}`.
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    pub thread_id: ThreadId,
    pub kind: ThreadKind,
    pub source: Source,
    pub title: String,
    pub status: ThreadStatus,
    pub important: bool,
    pub participant_ids: Vec<Uid>,
    /// Those named at creation and authors of public messages: what guests see as participants.
    pub public_participant_ids: Vec<Uid>,
    pub assigned_agent_ids: Vec<Uid>,
    /// The customer of a support room: its conversation, fixed when the room is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation_id: Option<ReservationId>,
    /// The latest message, without its `delivery` (joined when read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Message>,
    /// The latest that is no note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_public_message: Option<Message>,
    /// Whom the thread waits for, with the message that last raised it.
    pub attention: Vec<Mark>,
    /// The uids of `attention`: what views are found by.
    pub needs_attention: Vec<Uid>,
    /// `{uid: true}` of the same set.
    pub needs_attention_map: Document,
    /// Up to where each person has read.
    pub read_marks: Vec<ReadMark>,
    /// An unassigned support room that nobody has answered.
    pub awaiting_first_reply: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_whatsapp_message_sent_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_whatsapp_inbound_at: Option<Time>,
    /// Tokens of the staff who may see it: the view index.
    pub staff_viewers: Vec<String>,
    /// Tokens of the guests who may see it.
    pub guest_viewers: Vec<String>,
    pub seq: i64,
    pub public_seq: i64,
    /// How many messages of the room's customer there are.
    #[serde(default)]
    pub customer_seq: i64,
    /// Guards every write of the fields that `post` or the search index depends on.
    pub version: i64,
    /// Digest of the request that created it, for idempotent creation.
    pub content_hash: String,
    pub created_at: Time,
    pub updated_at: Time,
    pub public_updated_at: Time,
}

/// A request to create a thread, with well-formed fields.
#[derive(Debug, Clone, Default)]
pub struct ThreadDraft {
    pub thread_id: Option<ThreadId>,
    pub kind: Option<ThreadKind>,
    pub source: Option<Source>,
    pub title: Option<String>,
    pub participant_ids: Vec<Uid>,
    pub reservation_id: Option<ReservationId>,
    pub assigned_agent_ids: Vec<Uid>,
    pub important: Option<bool>,
}

/// A change by hand. `None` leaves a field as it is; `Some(None)` clears the reservation.
#[derive(Debug, Clone, Default)]
pub struct ThreadPatch {
    pub title: Option<String>,
    pub important: Option<bool>,
    pub status: Option<ThreadStatus>,
    pub assigned_agent_ids: Option<Vec<Uid>>,
    pub reservation_id: Option<Option<ReservationId>>,
}

impl Thread {
    /// Makes a thread. Staff only.
    ///
    /// # Errors
    /// [`Rejection::Forbidden`] for guests, [`Rejection::Unprocessable`] past a limit.
    pub fn create(draft: ThreadDraft, actor: &Actor, now: Time) -> Result<Thread, Rejection> {
        if !actor.role.is_staff() {
            return Err(Rejection::Forbidden("only staff may create threads"));
        }
        check_people(&draft.participant_ids)?;
        check_people(&draft.assigned_agent_ids)?;
        check_title(draft.title.as_deref().unwrap_or_default())?;
        Ok(Self::assemble(&actor.account, draft, None, now))
    }

    /// The thread that a checked draft makes.
    pub(super) fn assemble(
        account: &AccountId,
        draft: ThreadDraft,
        customer_id: Option<Uid>,
        now: Time,
    ) -> Thread {
        let kind = draft.kind.unwrap_or_default();
        let thread_id = draft.thread_id.unwrap_or_else(ThreadId::generate);
        let participants = distinct(draft.participant_ids);
        let assigned = distinct(draft.assigned_agent_ids);
        let mut thread = Thread {
            key: key(account, &thread_id),
            account_id: account.clone(),
            thread_id,
            kind,
            source: draft.source.unwrap_or_default(),
            title: draft.title.unwrap_or_default(),
            status: ThreadStatus::Open,
            important: draft.important.unwrap_or_default(),
            public_participant_ids: participants.clone(),
            participant_ids: participants,
            awaiting_first_reply: kind == ThreadKind::Support && assigned.is_empty(),
            assigned_agent_ids: assigned,
            customer_id,
            reservation_id: draft.reservation_id,
            last_message: None,
            last_public_message: None,
            attention: Vec::new(),
            needs_attention: Vec::new(),
            needs_attention_map: Document::new(),
            read_marks: Vec::new(),
            last_whatsapp_message_sent_at: None,
            last_whatsapp_inbound_at: None,
            staff_viewers: Vec::new(),
            guest_viewers: Vec::new(),
            seq: 0,
            public_seq: 0,
            customer_seq: 0,
            version: 1,
            content_hash: String::new(),
            created_at: now,
            updated_at: now,
            public_updated_at: now,
        };
        thread.derive_viewers();
        thread.content_hash = creation_hash(&thread);
        thread
    }

    /// The thread after a change by hand, with the next version; `None` when nothing changes. Staff only.
    ///
    /// # Errors
    /// [`Rejection::Forbidden`] for guests, [`Rejection::NotAssigned`] for agents of others' rooms,
    /// [`Rejection::Unprocessable`] past a limit.
    pub fn patched(&self, patch: ThreadPatch, actor: &Actor) -> Result<Option<Thread>, Rejection> {
        if actor.role == Role::Guest || !actor.role.is_staff() {
            return Err(Rejection::Forbidden("only staff may change threads"));
        }
        super::access::check_entitled(self, actor)?;
        let mut next = self.clone();
        if let Some(title) = patch.title {
            check_title(&title)?;
            next.title = title;
        }
        if let Some(important) = patch.important {
            next.important = important;
        }
        if let Some(status) = patch.status {
            next.status = status;
        }
        if let Some(assigned) = patch.assigned_agent_ids {
            check_people(&assigned)?;
            next.assigned_agent_ids = distinct(assigned);
            if !next.assigned_agent_ids.is_empty() {
                next.awaiting_first_reply = false;
            }
        }
        if let Some(reservation) = patch.reservation_id {
            next.reservation_id = reservation;
        }
        next.derive_viewers();
        if next == *self {
            return Ok(None);
        }
        next.version += 1;
        Ok(Some(next))
    }

    /// The key of its reservation.
    pub fn reservation_key(&self) -> Option<String> {
        self.reservation_id.as_ref().map(|id| key(&self.account_id, id))
    }

    /// The key of its customer's user document.
    pub fn customer_key(&self) -> Option<String> {
        self.customer_id.as_ref().map(|uid| key(&self.account_id, uid))
    }

    /// The 24-hour window at `now`.
    pub fn window(&self, now: Time) -> Window {
        Window::at(self.last_whatsapp_inbound_at, now)
    }

    /// Recomputes who may see the thread from its people.
    pub(crate) fn derive_viewers(&mut self) {
        self.staff_viewers = staff_viewers(self);
        self.guest_viewers = guest_viewers(self);
    }

    /// Sets `needsAttention` and its map from `attention`.
    pub(crate) fn derive_attention(&mut self) {
        self.needs_attention = self.attention.iter().map(|m| m.uid.clone()).collect();
        self.needs_attention_map =
            self.attention.iter().map(|m| (m.uid.to_string(), mongodb::bson::Bson::Boolean(true))).collect();
    }
}

/// Appends `uid` unless it is there.
pub(crate) fn add_distinct(list: &mut Vec<Uid>, uid: &Uid) {
    if !list.contains(uid) {
        list.push(uid.clone());
    }
}

fn distinct(list: Vec<Uid>) -> Vec<Uid> {
    let mut seen = std::collections::HashSet::with_capacity(list.len());
    list.into_iter().filter(|uid| seen.insert(uid.clone())).collect()
}

fn check_people(list: &[Uid]) -> Result<(), Rejection> {
    if list.len() > PEOPLE_MAX {
        return Err(Rejection::Unprocessable("at most 200 people may be named"));
    }
    Ok(())
}

fn check_title(title: &str) -> Result<(), Rejection> {
    if title.chars().count() > TITLE_CHARS_MAX {
        return Err(Rejection::Unprocessable("title is longer than 256 characters"));
    }
    Ok(())
}

fn creation_hash(thread: &Thread) -> String {
    let people = |list: &[Uid]| list.iter().map(Uid::as_str).collect::<Vec<_>>().join(",");
    let mut hasher = Sha256::new();
    for part in [
        thread.kind.as_str(),
        thread.source.as_str(),
        &thread.title,
        &people(&thread.participant_ids),
        thread.reservation_id.as_ref().map_or("", ReservationId::as_str),
        &people(&thread.assigned_agent_ids),
        if thread.important { "important" } else { "" },
    ]
    .into_iter()
    .chain(thread.customer_id.as_ref().map(Uid::as_str))
    {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(&hasher.finalize()[..16])
}
