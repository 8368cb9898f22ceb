//! From events to sockets. What was committed here is shown at once, without a read; whatever must be read first goes
//! to the [`reader`](super::reader), so that a slow store does not hold up what is at hand.

use std::sync::{Arc, Weak};
use std::time::Duration;

use shared::domain::actor::{Role, Roles};
use shared::domain::ids::{AccountId, Uid};
use shared::domain::message::Message;
use shared::domain::thread::Thread;
use shared::live::{Carried, Heard, LiveEvent, LiveSubscriber};
use tokio::sync::mpsc::{self, Sender};

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
        let guests = match message.is_public() {
            true => self.holders(&thread.account_id, &thread.guest_viewers),
            false => Vec::new(),
        };
        if staff.is_empty() && guests.is_empty() {
            return;
        }
        let roles = self.roles(&message.account_id, std::slice::from_ref(&message.author_id)).await;
        let by_staff = payload::is_by_staff(message, &roles);
        // The view decides once more: a guest's has no notes.
        for (sockets, role) in [(staff, Role::Agent), (guests, Role::Guest)] {
            let view = MessageView::of(message.clone(), role).filter(|_| !sockets.is_empty());
            let Some(view) = view else { continue };
            match shown {
                Shown::New => {
                    self.emit(&sockets, "newMessage", &payload::new_message(thread, &view, by_staff));
                }
                Shown::Updated => {
                    self.emit(&sockets, "messageUpdated", &payload::message_updated(thread, &view, by_staff));
                }
            }
        }
    }

    /// What `authors` are; nothing is known while the store is away.
    async fn roles(&self, account: &AccountId, authors: &[Uid]) -> Roles {
        match tokio::time::timeout(PATIENCE, self.chat.directory.roles(account, authors)).await {
            Ok(Ok(roles)) => roles,
            _ => Roles::default(),
        }
    }
}
