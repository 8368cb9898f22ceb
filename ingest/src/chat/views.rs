//! What a caller may see of a message or a thread. Guests get a type that has no note.

use shared::domain::actor::{Actor, Role};
use shared::domain::delivery::Delivery;
use shared::domain::ids::Uid;
use shared::domain::message::Message;
use shared::domain::thread::Thread;
use shared::domain::time::Time;

/// A message for one reader: `seq` is the counter that the reader sees.
#[derive(Debug, Clone)]
pub(crate) struct MessageView {
    pub(crate) message: Message,
    pub(crate) seq: i64,
}

impl MessageView {
    /// The message as `role` sees it; `None` when it is hidden.
    pub(crate) fn of(message: Message, role: Role) -> Option<Self> {
        let seq = if role.is_staff() { message.seq } else { message.public_seq? };
        Some(Self { message, seq })
    }
}

/// A thread for one reader.
#[derive(Debug, Clone)]
pub(crate) struct ThreadView {
    pub(crate) thread: Thread,
    pub(crate) staff: bool,
    pub(crate) seq: i64,
    pub(crate) updated_at: Time,
    pub(crate) participant_ids: Vec<Uid>,
    pub(crate) last_message: Option<MessageView>,
    pub(crate) last_public_message: Option<MessageView>,
}

impl ThreadView {
    /// The thread as `actor` sees it; `deliveries` are the messages whose delivery is joined.
    pub(crate) fn of(thread: Thread, actor: &Actor, deliveries: &[Message]) -> Self {
        Self::for_role(thread, actor.role, deliveries)
    }

    /// The thread as everybody entitled with `role` sees it.
    pub(crate) fn for_role(mut thread: Thread, role: Role, deliveries: &[Message]) -> Self {
        let staff = role.is_staff();
        let joined = |message: Option<Message>| {
            let mut message = message?;
            message.delivery = delivery_of(&message, deliveries);
            message.external_message_id = external_id_of(&message, deliveries);
            MessageView::of(message, role)
        };
        let public = joined(thread.last_public_message.take());
        let last = if staff { joined(thread.last_message.take()) } else { public.clone() };
        thread.last_message = None;
        Self {
            staff,
            seq: if staff { thread.seq } else { thread.public_seq },
            updated_at: if staff { thread.updated_at } else { thread.public_updated_at },
            participant_ids: if staff {
                thread.participant_ids.clone()
            } else {
                thread.public_participant_ids.clone()
            },
            last_message: last,
            last_public_message: public,
            thread,
        }
    }
}

/// The keys of the last messages of `threads` that may have a delivery.
pub(crate) fn last_message_keys(threads: &[Thread]) -> Vec<&str> {
    let lasts = threads.iter().flat_map(|t| [&t.last_message, &t.last_public_message]);
    let mut keys: Vec<&str> = lasts.flatten().map(|m| m.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn delivery_of(message: &Message, deliveries: &[Message]) -> Option<Delivery> {
    deliveries.iter().find(|d| d.key == message.key).and_then(|d| d.delivery.clone())
}

fn external_id_of(message: &Message, deliveries: &[Message]) -> Option<String> {
    let joined = deliveries.iter().find(|d| d.key == message.key);
    joined.and_then(|d| d.external_message_id.clone()).or_else(|| message.external_message_id.clone())
}
