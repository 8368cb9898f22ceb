//! Events whose thread or message must be read first: of other processes, of workers, and changes of threads. Many of
//! an account are read together. After an outage, the threads that changed meanwhile are shown again, and customers whose
//! session was revoked meanwhile leave.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::Time;
use shared::domain::actor::Role;
use shared::domain::ids::{AccountId, MessageId, ThreadId, Uid};
use shared::domain::message::Message;
use shared::domain::thread::Thread;
use shared::live::{LiveEvent, Missed};
use shared::store::{Scope, StoreError};
use socketioxide::extract::SocketRef;
use tokio::sync::mpsc::Receiver;

use super::emit::occupant;
use super::entry::room;
use super::fanout::Shown;
use super::{Hall, payload};
use crate::chat::{ThreadView, last_message_keys};

/// Events that are worked through together.
const BATCH_MAX: usize = 256;
/// How long the reads for them may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failed read.
const PAUSE: Duration = Duration::from_secs(1);
/// Threads of an account that are shown again after an outage; with more, its clients are sent to ask for all.
const CATCH_UP_MAX: usize = 500;

/// An event to be read about.
pub(super) struct Errand {
    pub(super) event: LiveEvent,
    /// The thread, when this process has just written it.
    pub(super) thread: Option<Arc<Thread>>,
}

/// The task.
pub(super) struct Reader {
    pub(super) hall: Weak<Hall>,
    pub(super) missed: Arc<Missed>,
}

impl Reader {
    pub(super) async fn run(self, mut waiting: Receiver<Errand>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                n = waiting.recv_many(&mut batch, BATCH_MAX) => {
                    let Some(hall) = self.hall.upgrade().filter(|_| n > 0) else { return };
                    self.work(&hall, &mut batch).await;
                }
                since = self.missed.take() => {
                    let Some(hall) = self.hall.upgrade() else { return };
                    self.catch_up(&hall, since).await;
                }
            }
        }
    }

    async fn work(&self, hall: &Hall, batch: &mut Vec<Errand>) {
        let mut accounts: Vec<(AccountId, Vec<Errand>)> = Vec::new();
        for errand in batch.drain(..) {
            let account = errand.event.account();
            match accounts.iter_mut().find(|(known, _)| known == account) {
                Some((_, errands)) => errands.push(errand),
                None => accounts.push((account.clone(), vec![errand])),
            }
        }
        for (account, errands) in accounts {
            let lost = errands.len() as u64;
            if !in_time(hall.run_errands(&account, errands)).await {
                metrics::counter!("live_dropped_total", "where" => "read").increment(lost);
                self.missed.note_now();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn catch_up(&self, hall: &Hall, since: Time) {
        for account in hall.seats.accounts() {
            let caught_up = in_time(hall.check_sessions(&account)).await
                && in_time(hall.show_again(&account, since)).await;
            if !caught_up {
                self.missed.note(since);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn in_time(reads: impl Future<Output = Result<(), StoreError>>) -> bool {
    match tokio::time::timeout(PATIENCE, reads).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "live events cannot be read about");
            false
        }
        Err(_) => false,
    }
}

impl Hall {
    /// Works through events of one account, in their order; changes of a thread come once, at the end.
    async fn run_errands(&self, account: &AccountId, errands: Vec<Errand>) -> Result<(), StoreError> {
        let scope = self.chat.store.account(account);
        let threads = threads_of(&scope, &errands).await?;
        let messages = messages_of(&scope, &errands).await?;
        let mut changed: Vec<(&Arc<Thread>, bool)> = Vec::new();
        for errand in &errands {
            let Some(thread) = thread_id(&errand.event).and_then(|id| threads.get(id)) else { continue };
            match &errand.event {
                LiveEvent::Message { message, .. } => {
                    self.show_read(Shown::New, thread, messages.get(message)).await;
                }
                LiveEvent::MessageUpdated { message, .. } => {
                    self.show_read(Shown::Updated, thread, messages.get(message)).await;
                }
                LiveEvent::ThreadUpdated { staff_only, .. } => {
                    match changed.iter_mut().find(|(known, _)| known.key == thread.key) {
                        Some((_, only)) => *only &= staff_only,
                        None => changed.push((thread, *staff_only)),
                    }
                }
                LiveEvent::Unread { uid, .. } => self.show_unread(&scope, thread, uid).await?,
                LiveEvent::Typing { uid, typing, staff_only, .. } => {
                    self.show_typing(thread, uid, *typing, *staff_only);
                }
                LiveEvent::SessionRevoked { .. } => {}
            }
        }
        self.show_threads(&scope, &changed).await
    }

    async fn show_read(&self, shown: Shown, thread: &Thread, message: Option<&Message>) {
        if let Some(message) = message.filter(|message| message.thread == thread.key) {
            self.show_message(shown, thread, message).await;
        }
    }

    /// Shows threads to those who may see them now; the flag says that only the staff may notice.
    async fn show_threads(&self, scope: &Scope, changed: &[(&Arc<Thread>, bool)]) -> Result<(), StoreError> {
        let mut shown = Vec::with_capacity(changed.len());
        let mut threads: Vec<Thread> = Vec::with_capacity(changed.len());
        for (thread, staff_only) in changed {
            let staff = self.holders(&thread.account_id, &thread.staff_viewers);
            let guests = match staff_only {
                true => Vec::new(),
                false => self.guests_of(thread),
            };
            if !staff.is_empty() || !guests.is_empty() {
                shown.push((staff, guests));
                threads.push(Thread::clone(thread));
            }
        }
        let deliveries = scope.deliveries(&last_message_keys(&threads)).await?;
        for (thread, (staff, guests)) in threads.into_iter().zip(shown) {
            for (sockets, role) in [(&staff, Role::Agent), (&guests, Role::Guest)] {
                if !sockets.is_empty() {
                    let view = ThreadView::for_role(thread.clone(), role, &deliveries);
                    self.emit(sockets, "threadUpdated", &payload::thread_updated(view));
                }
            }
            self.count_again(scope, &thread, staff, guests).await?;
        }
        Ok(())
    }

    /// Tells how much is left unread after a change: a message raises that for others, one's own clears it, and both
    /// change the thread. To the staff only in a customer's room, where the thread itself knows the figure.
    async fn count_again(
        &self,
        scope: &Scope,
        thread: &Thread,
        staff: Vec<SocketRef>,
        guests: Vec<SocketRef>,
    ) -> Result<(), StoreError> {
        if thread.customer_id.is_some() {
            for (uid, sockets) in by_reader(staff) {
                self.tell_unread(&sockets, thread, thread.unread_of_customer(&uid).unsigned_abs());
            }
        }
        for (uid, sockets) in by_reader(guests) {
            let unread = scope.unread(thread, &uid, thread.read_up_to(&uid), true).await?;
            self.tell_unread(&sockets, thread, unread);
        }
        Ok(())
    }

    fn tell_unread(&self, sockets: &[SocketRef], thread: &Thread, unread: u64) {
        let payload = json!({ "threadId": thread.thread_id.as_str(), "unreadCount": unread });
        self.emit(sockets, "unreadChanged", &payload);
    }

    /// Tells somebody's own sockets what is left unread.
    async fn show_unread(&self, scope: &Scope, thread: &Thread, uid: &Uid) -> Result<(), StoreError> {
        let account = &thread.account_id;
        for (token, public) in [(format!("s:{uid}"), false), (format!("u:{uid}"), true)] {
            let mut sockets = self.within(vec![room(account, token)]);
            sockets.retain(|socket| occupant(socket).is_some_and(|occupant| occupant.may_see(thread)));
            if sockets.is_empty() {
                continue;
            }
            // In a customer's room the staff counts what the desk counts.
            let unread = match thread.customer_id.is_some() && !public {
                true => thread.unread_of_customer(uid).unsigned_abs(),
                false => scope.unread(thread, uid, thread.read_up_to(uid), public).await?,
            };
            self.tell_unread(&sockets, thread, unread);
        }
        Ok(())
    }

    fn show_typing(&self, thread: &Thread, uid: &Uid, typing: bool, staff_only: bool) {
        let mut sockets = self.holders(&thread.account_id, &thread.staff_viewers);
        if !staff_only {
            sockets.extend(self.guests_of(thread));
        }
        sockets.retain(|socket| occupant(socket).is_some_and(|o| o.actor.uid != *uid));
        let payload: Value =
            json!({ "threadId": thread.thread_id.as_str(), "typing": typing, "from": uid.as_str() });
        self.emit(&sockets, "typing", &payload);
    }

    /// Sends those away whose session was revoked while that was not heard.
    async fn check_sessions(&self, account: &AccountId) -> Result<(), StoreError> {
        let sockets = self.within(vec![format!("account_{account}")]);
        let session = |socket: &SocketRef| occupant(socket).and_then(|occupant| occupant.session.clone());
        let customers: Vec<(String, SocketRef)> =
            sockets.into_iter().filter_map(|socket| Some((session(&socket)?, socket))).collect();
        for some in customers.chunks(BATCH_MAX) {
            let ids: Vec<&str> = some.iter().map(|(id, _)| id.as_str()).collect();
            let valid = self.chat.store.account(account).known_sessions(&ids).await?;
            for (_, socket) in some.iter().filter(|(id, _)| !valid.contains(id)) {
                self.dismiss(socket.id);
            }
        }
        Ok(())
    }

    /// Shows what changed since `since`, from which clients see that they miss messages.
    async fn show_again(&self, account: &AccountId, since: Time) -> Result<(), StoreError> {
        let scope = self.chat.store.account(account);
        let threads = scope.threads_since(since, CATCH_UP_MAX + 1).await?;
        if threads.len() > CATCH_UP_MAX {
            for socket in self.within(vec![format!("account_{account}")]) {
                self.cut(&socket, "catch_up");
            }
            return Ok(());
        }
        let threads: Vec<Arc<Thread>> = threads.into_iter().map(Arc::new).collect();
        let changed: Vec<_> =
            threads.iter().map(|thread| (thread, thread.public_updated_at < since)).collect();
        self.show_threads(&scope, &changed).await
    }
}

/// The sockets of each who reads along.
fn by_reader(sockets: Vec<SocketRef>) -> HashMap<Uid, Vec<SocketRef>> {
    let mut readers: HashMap<Uid, Vec<SocketRef>> = HashMap::new();
    for socket in sockets {
        if let Some(occupant) = occupant(&socket) {
            readers.entry(occupant.actor.uid.clone()).or_default().push(socket);
        }
    }
    readers
}

fn thread_id(event: &LiveEvent) -> Option<&ThreadId> {
    match event {
        LiveEvent::Message { thread, .. }
        | LiveEvent::MessageUpdated { thread, .. }
        | LiveEvent::ThreadUpdated { thread, .. }
        | LiveEvent::Unread { thread, .. }
        | LiveEvent::Typing { thread, .. } => Some(thread),
        LiveEvent::SessionRevoked { .. } => None,
    }
}

/// The threads that `errands` are about, each in the newest state that is known.
async fn threads_of(scope: &Scope, errands: &[Errand]) -> Result<HashMap<ThreadId, Arc<Thread>>, StoreError> {
    let mut absent: Vec<&ThreadId> =
        errands.iter().filter(|errand| errand.thread.is_none()).filter_map(|e| thread_id(&e.event)).collect();
    absent.sort_unstable();
    absent.dedup();
    let read = scope.threads_of(&absent).await?;
    let carried = errands.iter().filter_map(|errand| errand.thread.clone());
    let mut threads: HashMap<ThreadId, Arc<Thread>> = HashMap::new();
    for thread in read.into_iter().map(Arc::new).chain(carried) {
        let known = threads.entry(thread.thread_id.clone()).or_insert_with(|| Arc::clone(&thread));
        if known.version < thread.version {
            *known = thread;
        }
    }
    Ok(threads)
}

async fn messages_of(scope: &Scope, errands: &[Errand]) -> Result<HashMap<MessageId, Message>, StoreError> {
    let mut ids: Vec<&MessageId> = errands
        .iter()
        .filter_map(|errand| match &errand.event {
            LiveEvent::Message { message, .. } | LiveEvent::MessageUpdated { message, .. } => Some(message),
            _ => None,
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let messages = scope.messages_of(&ids).await?;
    Ok(messages.into_iter().map(|message| (message.message_id.clone(), message)).collect())
}
