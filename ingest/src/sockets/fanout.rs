//! From events to sockets. What was committed here is shown at once, without a read; whatever must be read first goes
//! to the [`reader`](super::reader), so that a slow store does not hold up what is at hand.

use std::sync::{Arc, Weak};
use std::time::Duration;

use shared::domain::actor::Role;
use shared::domain::desk::SenderType;
use shared::domain::message::Message;
use shared::domain::thread::Thread;
use shared::live::{Carried, Heard, LiveEvent, LiveSubscriber};
use socketioxide::extract::SocketRef;
use tokio::sync::mpsc::{self, Sender};

use super::emit::occupant;
use super::entry::room;
use super::reader::{Errand, Reader};
use super::{Hall, payload};
use crate::chat::MessageView;

/// Events that may wait to be read about.
const ERRANDS_MAX: usize = 2048;
/// How long it may take to look up what an author is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts the tasks, which end when the hall closes.
pub(super) fn start(hall: &Arc<Hall>, ears: LiveSubscriber) {
    let (errands, waiting) = mpsc::channel(ERRANDS_MAX);
    let (weak, closing, missed) = (Arc::downgrade(hall), hall.closing.clone(), Arc::clone(&hall.missed));
    let reader = Reader { hall: weak.clone(), missed };
    let reading = closing.clone();
    shared::task::spawn(
        "live.emit",
        async move { closing.run_until_cancelled(hear(weak, ears, errands)).await },
    );
    shared::task::spawn("live.read", async move { reading.run_until_cancelled(reader.run(waiting)).await });
}

async fn hear(hall: Weak<Hall>, mut ears: LiveSubscriber, errands: Sender<Errand>) {
    while let Some(heard) = ears.next().await {
        let Some(hall) = hall.upgrade() else { return };
        match heard {
            Heard::Missed { since } => hall.missed.note(since),
            Heard::Event { event, carried } => hall.pass_on(event, carried, &errands).await,
        }
    }
}

/// What a message is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    New,
    Updated,
}

impl Hall {
    async fn pass_on(&self, event: LiveEvent, carried: Option<Carried>, errands: &Sender<Errand>) {
        metrics::counter!("live_events_total", "kind" => event.kind()).increment(1);
        if !self.seats.has(event.account()) {
            return;
        }
        match (&event, &carried) {
            (LiveEvent::Message { .. }, Some(Carried { thread, message: Some(message) })) => {
                return self.show_message(Shown::New, thread, message).await;
            }
            (LiveEvent::SessionRevoked { account, session_id }, _) => {
                for socket in self.within(vec![room(account, format_args!("session:{session_id}"))]) {
                    self.dismiss(socket.id);
                }
                return;
            }
            _ => {}
        }
        if errands.try_send(Errand { event, thread: carried.map(|carried| carried.thread) }).is_err() {
            metrics::counter!("live_dropped_total", "where" => "read").increment(1);
            self.missed.note_now();
        }
    }

    /// Shows a message to those who may see its thread now; a note to staff only.
    pub(super) async fn show_message(&self, shown: Shown, thread: &Thread, message: &Message) {
        let staff = self.holders(&thread.account_id, &thread.staff_viewers);
        let guests = if message.is_public() { self.guests_of(thread) } else { Vec::new() };
        if staff.is_empty() && guests.is_empty() {
            return;
        }
        let by_staff = self.is_by_staff(thread, message).await;
        let by_them = |socket: &SocketRef| occupant(socket).is_some_and(|o| o.actor.uid == message.author_id);
        let (own, others): (Vec<_>, Vec<_>) = guests.into_iter().partition(by_them);
        // The view decides once more: a guest's has no notes.
        let readers =
            [(staff, Role::Agent, None), (own, Role::Guest, Some(true)), (others, Role::Guest, Some(false))];
        for (sockets, role, is_mine) in readers {
            let view = MessageView::of(message.clone(), role).filter(|_| !sockets.is_empty());
            let Some(view) = view else { continue };
            let message = payload::message(thread, &view, is_mine);
            match shown {
                Shown::New => self.emit(&sockets, "newMessage", &payload::new_message(message, by_staff)),
                Shown::Updated => {
                    self.emit(&sockets, "messageUpdated", &payload::message_updated(thread, message));
                }
            }
        }
    }

    /// Whether the staff's side speaks in `message`: anybody but the customer in a customer's room; elsewhere those who
    /// are known as staff, and nobody is known while the store is away.
    async fn is_by_staff(&self, thread: &Thread, message: &Message) -> bool {
        if !message.is_public() {
            return true;
        }
        if thread.customer_id.is_some() {
            return thread.sender_of(message) == SenderType::Agent;
        }
        let author = std::slice::from_ref(&message.author_id);
        let roles = self.chat.directory.roles(&message.account_id, author);
        match tokio::time::timeout(PATIENCE, roles).await {
            Ok(Ok(roles)) => roles.is_staff(&message.author_id),
            _ => false,
        }
    }
}
