//! The documents of what MongoDB holds: one place for the jobs, for rebuilds and for the overlay of fresh messages.

use super::document::{MessageDoc, ThreadDoc};
use crate::domain::ids::Uid;
use crate::domain::message::Message;
use crate::domain::thread::Thread;
use crate::domain::time::Time;

impl MessageDoc {
    /// The document of `message`.
    pub fn of(message: &Message) -> Self {
        Self {
            account_id: message.account_id.to_string(),
            thread_id: message.thread_id.to_string(),
            message_id: message.message_id.to_string(),
            seq: message.seq.unsigned_abs(),
            message_type: message.kind.as_str().to_owned(),
            source: message.source.as_str().to_owned(),
            content_type: message.content_type.as_str().to_owned(),
            author_id: message.author_id.to_string(),
            body: message.body.clone(),
            created_at: utc(message.created_at),
            note: !message.is_public(),
            external_message_id: message.external_message_id.clone(),
            rev: message.rev.unsigned_abs(),
        }
    }
}

impl ThreadDoc {
    /// The document of `thread`, whose guest or customer has this name.
    pub fn of(thread: &Thread, guest_name: Option<String>) -> Self {
        let texts = |uids: &[Uid]| uids.iter().map(ToString::to_string).collect();
        let mut ids = vec![thread.thread_id.to_string()];
        ids.extend(thread.reservation_id.as_ref().map(ToString::to_string));
        Self {
            account_id: thread.account_id.to_string(),
            thread_id: thread.thread_id.to_string(),
            kind: thread.kind.as_str().to_owned(),
            source: thread.source.as_str().to_owned(),
            status: thread.status.as_str().to_owned(),
            important: thread.important,
            title: Some(thread.title.clone()).filter(|title| !title.is_empty()),
            guest_name,
            ids,
            participant_ids: texts(&thread.participant_ids),
            assigned_agent_ids: texts(&thread.assigned_agent_ids),
            viewers: thread.staff_viewers.iter().chain(&thread.guest_viewers).cloned().collect(),
            needs_attention: texts(&thread.needs_attention),
            last_message: thread.last_message.as_ref().map(|m| m.body.clone()),
            last_public_message: thread.last_public_message.as_ref().map(|m| m.body.clone()),
            updated_at: utc(thread.updated_at),
            public_updated_at: Some(utc(thread.public_updated_at)),
            version: thread.version.unsigned_abs(),
        }
    }
}

fn utc(time: Time) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or_default()
}
