//! Reads and writes that many jobs share: what waits while a command is in flight goes out together in the next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shared::coalesce::Coalescer;
use shared::domain::contact::Contact;
use shared::domain::message::Message;
use shared::domain::thread::Thread;
use shared::domain::time::Time;
use shared::ledger::{Done, Fenced, JobRow, Ledger};
use shared::store::{AuditRow, Event, EventState, Reservation, Store, StoreError, User, contact_key};

/// Keys in one read or write of a projection.
const BATCH_MAX: usize = 500;
/// Effects in one claim or end: their guards are compared each with each.
const GROUP_MAX: usize = 32;
/// Rest after a small write that nobody waits for.
const WRITE_REST: Duration = Duration::from_millis(50);

type Found<T> = Result<Option<T>, StoreError>;
type Wrote = Result<(), StoreError>;

/// Batched reads: jobs by id, documents by key.
#[derive(Clone)]
pub struct Reads {
    waiting: Coalescer<String, Found<JobRow>>,
    rows: Coalescer<String, Found<JobRow>>,
    messages: Coalescer<String, Found<Message>>,
    threads: Coalescer<String, Found<Thread>>,
    reservations: Coalescer<String, Found<Reservation>>,
    users: Coalescer<String, Found<User>>,
    contacts: Coalescer<String, Found<Contact>>,
    events: Coalescer<String, Found<Event>>,
}

/// Batched writes: effects claimed and done, finished projections, audit rows, events worked through.
#[derive(Clone)]
pub struct Writes {
    takes: Coalescer<(JobRow, Arc<str>), Found<JobRow>>,
    settles: Coalescer<Done, Result<Result<(), Fenced>, StoreError>>,
    done: Coalescer<String, Wrote>,
    audit: Coalescer<AuditRow, Wrote>,
    events: Coalescer<(String, EventState), Wrote>,
}

/// A read of many keys at once.
fn read<T, Fut>(
    name: &'static str,
    command: impl Fn(Vec<String>) -> Fut + Send + Sync + 'static,
) -> Coalescer<String, Found<T>>
where
    T: Clone + Send + 'static,
    Fut: Future<Output = Result<HashMap<String, T>, StoreError>> + Send + 'static,
{
    Coalescer::start(name, BATCH_MAX, move |keys: Vec<String>| {
        let found = command(keys.clone());
        async move {
            match found.await {
                Ok(found) => keys.iter().map(|key| Ok(found.get(key).cloned())).collect(),
                Err(error) => vec![Err(error); keys.len()],
            }
        }
    })
}

/// The answer of `line` for `key`.
async fn ask<K: Send + 'static, V: Send + 'static>(
    line: &Coalescer<K, Result<V, StoreError>>,
    key: K,
) -> Result<V, StoreError> {
    line.call(key).await.unwrap_or_else(|_| Err(StoreError::silence()))
}

impl Reads {
    /// Starts the lines that wait.
    pub fn start(store: &Store, ledger: &Ledger) -> Self {
        let of_ledger = || ledger.clone();
        let of_store = || store.clone();
        let (waiting, rows) = (of_ledger(), of_ledger());
        let (messages, threads, reservations) = (of_store(), of_store(), of_store());
        let (users, contacts, events) = (of_store(), of_store(), of_store());
        Self {
            waiting: read("read_jobs", move |ids| {
                let ledger = waiting.clone();
                async move { ledger.waiting(&ids).await }
            }),
            rows: read("read_rows", move |ids| {
                let ledger = rows.clone();
                async move { ledger.rows_by_id(&ids).await }
            }),
            messages: read("read_messages", move |keys| {
                let store = messages.clone();
                async move { store.messages_for_jobs(&keys).await }
            }),
            threads: read("read_threads", move |keys| {
                let store = threads.clone();
                async move { store.threads_for_jobs(&keys).await }
            }),
            reservations: read("read_reservations", move |keys| {
                let store = reservations.clone();
                async move { store.reservations_for_jobs(&keys).await }
            }),
            users: read("read_users", move |keys| {
                let store = users.clone();
                async move { store.users_for_jobs(&keys).await }
            }),
            contacts: read("read_contacts", move |keys| {
                let store = contacts.clone();
                async move { store.contacts_by_phone(&keys).await }
            }),
            events: read("read_events", move |ids| {
                let store = events.clone();
                async move { store.events_for_jobs(&ids).await }
            }),
        }
    }

    /// Job `id`, when it waits to be done and is due.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting(&self, id: &str) -> Found<JobRow> {
        ask(&self.waiting, id.to_owned()).await
    }

    /// Job `id`, in whatever state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn row(&self, id: &str) -> Found<JobRow> {
        ask(&self.rows, id.to_owned()).await
    }

    /// The message with this key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message(&self, key: &str) -> Found<Message> {
        ask(&self.messages, key.to_owned()).await
    }

    /// The thread with this key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn thread(&self, key: &str) -> Found<Thread> {
        ask(&self.threads, key.to_owned()).await
    }

    /// The reservation with this key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reservation(&self, key: &str) -> Found<Reservation> {
        ask(&self.reservations, key.to_owned()).await
    }

    /// The user with this key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user(&self, key: &str) -> Found<User> {
        ask(&self.users, key.to_owned()).await
    }

    /// The contact that `phone` (E.164) is for our line `line`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contact(&self, line: &str, phone: &str) -> Found<Contact> {
        ask(&self.contacts, contact_key(line, phone)).await
    }

    /// The stored event `id`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn event(&self, id: &str) -> Found<Event> {
        ask(&self.events, id.to_owned()).await
    }
}

impl Writes {
    /// Starts the lines that wait.
    pub fn start(store: &Store, ledger: &Ledger) -> Self {
        let (takes, settles, removes) = (ledger.clone(), ledger.clone(), ledger.clone());
        let (audit, events) = (store.audit(), store.clone());
        Self {
            takes: Coalescer::start("take", GROUP_MAX, move |calls| {
                let ledger = takes.clone();
                async move { take_all(&ledger, calls).await }
            }),
            settles: Coalescer::start("settle", GROUP_MAX, move |done: Vec<Done>| {
                let ledger = settles.clone();
                async move {
                    match ledger.settle_all(&done, Time::now()).await {
                        Ok(settled) => settled.into_iter().map(Ok).collect(),
                        Err(error) => vec![Err(error); done.len()],
                    }
                }
            }),
            done: Coalescer::resting("remove_done", BATCH_MAX, WRITE_REST, move |ids: Vec<String>| {
                let ledger = removes.clone();
                async move { vec![ledger.remove_done(&ids).await; ids.len()] }
            }),
            audit: Coalescer::resting("append_audit", BATCH_MAX, WRITE_REST, move |rows: Vec<AuditRow>| {
                let audit = audit.clone();
                async move { vec![audit.append(&rows).await; rows.len()] }
            }),
            events: Coalescer::resting("set_event_states", BATCH_MAX, WRITE_REST, move |states| {
                let store = events.clone();
                async move { vec![set_event_states(&store, &states).await; states.len()] }
            }),
        }
    }

    /// Claims `job`, whose request is about to be written, for `worker`; `None` when it is not to be had.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take(&self, job: &JobRow, worker: &Arc<str>) -> Found<JobRow> {
        ask(&self.takes, (job.clone(), Arc::clone(worker))).await
    }

    /// Ends the attempt of a job that was accepted.
    ///
    /// # Errors
    /// [`StoreError`]; `Ok(Err(Fenced))` when the job was moved meanwhile.
    pub async fn settle(&self, done: Done) -> Result<Result<(), Fenced>, StoreError> {
        ask(&self.settles, done).await
    }

    /// Deletes a projection that is done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_done(&self, id: &str) -> Wrote {
        ask(&self.done, id.to_owned()).await
    }

    /// Adds a row to the audit trail.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&self, row: AuditRow) -> Wrote {
        ask(&self.audit, row).await
    }

    /// Notes what became of an event.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_event_state(&self, id: &str, state: EventState) -> Wrote {
        ask(&self.events, (id.to_owned(), state)).await
    }
}

/// Claims for each worker, in one command a worker.
async fn take_all(ledger: &Ledger, calls: Vec<(JobRow, Arc<str>)>) -> Vec<Found<JobRow>> {
    let mut workers: Vec<Arc<str>> = calls.iter().map(|(_, worker)| Arc::clone(worker)).collect();
    workers.sort();
    workers.dedup();
    let mut taken: Vec<Found<JobRow>> = vec![Ok(None); calls.len()];
    for worker in workers {
        let (places, jobs): (Vec<usize>, Vec<&JobRow>) =
            calls.iter().enumerate().filter(|(_, (_, w))| *w == worker).map(|(n, (job, _))| (n, job)).unzip();
        let answers = match ledger.take_all(&jobs, &worker).await {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); jobs.len()],
        };
        for (place, answer) in places.into_iter().zip(answers) {
            taken[place] = answer;
        }
    }
    taken
}

async fn set_event_states(store: &Store, states: &[(String, EventState)]) -> Wrote {
    for wanted in [EventState::Processed, EventState::Unrouted, EventState::Failed] {
        let ids: Vec<&str> = states.iter().filter(|(_, s)| *s == wanted).map(|(id, _)| id.as_str()).collect();
        if !ids.is_empty() {
            store.set_event_states(&ids, wanted).await?;
        }
    }
    Ok(())
}
