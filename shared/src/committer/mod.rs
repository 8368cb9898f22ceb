//! The commit path: message, thread state and job rows in one transaction, whoever calls.
//!
//! Threads hash onto slots. What waits in a slot while its last commit is in flight is taken together in the
//! next one: no timer, so a lone message commits at once and a hot thread commits dozens at a time. A batch that
//! fails because of one member is settled member by member. A caller that goes away never cancels a commit.
//! No call to MongoDB may take longer than a third of the deadline: a connection that silently died costs a try.
//!
//! Failpoints: `commit.before_txn`, `commit.inside_txn`, `commit.after_commit`, `commit.before_push`.

mod announce;
mod batch;
mod directory;
mod plan;
mod pusher;
mod settle;
mod txn;

use std::collections::VecDeque;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use directory::Directory;
pub use pusher::Pusher;

use crate::config::Commit as CommitConfig;
use crate::domain::actor::Actor;
use crate::domain::ids::{MessageId, ThreadId, Uid};
use crate::domain::message::{Draft, Message};
use crate::domain::rejection::Rejection;
use crate::domain::thread::Thread;
use crate::live::LivePublisher;
use crate::store::{IdempotencyKey, Origin, Store, StoreError};
use crate::task;

/// A message that a caller wants committed.
#[derive(Debug, Clone)]
pub struct Post {
    pub actor: Actor,
    pub thread: ThreadId,
    pub draft: Draft,
    /// Where the request came from, for the audit row.
    pub origin: Origin,
    pub request_id: String,
    pub idempotency: Option<IdempotencyKey>,
}

/// What a post led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Posted {
    /// Committed now.
    New(Message),
    /// Committed before, by the same request; nothing was written.
    Replayed { message: Message, status: u16 },
}

impl Posted {
    /// The stored message.
    pub fn message(&self) -> &Message {
        match self {
            Posted::New(message) | Posted::Replayed { message, .. } => message,
        }
    }
}

/// Why nothing was committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostError {
    #[error("there is no such thread in the account")]
    ThreadNotFound,
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The id, or the external id, belongs to a message with other content.
    #[error("the id belongs to another message")]
    Conflict,
    /// The key was used for other content.
    #[error("the idempotency key was used for other content")]
    IdempotencyConflict,
    /// Too much waits already.
    #[error("too many messages wait to be committed")]
    Busy,
    /// MongoDB did not answer in time. The message may have been committed.
    #[error("the store is away")]
    Away,
    /// A fault of ours, logged where it happened.
    #[error("internal fault")]
    Internal,
}

impl From<&StoreError> for PostError {
    fn from(error: &StoreError) -> Self {
        if error.is_away() { PostError::Away } else { PostError::Internal }
    }
}

/// A post on its way: its ids are fixed, so that a repeated attempt is recognised.
#[derive(Debug)]
struct Member {
    post: Post,
    /// `{accountId}/{threadId}`.
    thread_key: String,
    /// `{accountId}/{messageId}`.
    message_key: String,
    /// The client chose the id, so it may have been used before.
    client_id: bool,
    /// An earlier commit of it may have succeeded.
    in_doubt: bool,
    deadline: Instant,
    reply: Option<oneshot::Sender<Result<Posted, PostError>>>,
}

impl Member {
    /// Whose message it will be.
    fn author(&self) -> &Uid {
        self.post.draft.author_id.as_ref().unwrap_or(&self.post.actor.uid)
    }

    fn answer(&mut self, result: Result<Posted, PostError>) {
        if let Some(reply) = self.reply.take() {
            // The caller may have gone away; the commit stands.
            let _ = reply.send(result);
        }
    }
}

#[derive(Default)]
struct Slot {
    waiting: VecDeque<Member>,
    running: bool,
}

/// Commits messages. Clones share slots and cache.
#[derive(Clone)]
pub struct Committer {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    directory: Directory,
    pusher: Pusher,
    live: LivePublisher,
    threads: quick_cache::sync::Cache<String, Arc<Thread>>,
    slots: Vec<Mutex<Slot>>,
    hasher: RandomState,
    batch_max: usize,
    queue_max: usize,
    deadline: Duration,
    push_grace: Duration,
    /// After which what is unread is mailed; none where no mail server is configured.
    mail_delay: Option<Duration>,
    /// The longest that one step of a try may take.
    patience: Duration,
}

/// Thread documents kept in the process; a stale one costs a retry.
const THREADS_CACHED: usize = 10_000;
/// How many silent connections a commit may meet before its deadline.
const TRIES: u32 = 3;

impl Committer {
    /// A committer on `store`; ids of committed jobs go to `pusher`, which the dispatcher backs up after
    /// `push_grace`, and those who watch are told by `live`.
    pub fn new(
        store: &Store,
        directory: &Directory,
        pusher: &Pusher,
        live: &LivePublisher,
        config: &CommitConfig,
        push_grace: Duration,
    ) -> Self {
        let inner = Inner {
            store: store.clone(),
            directory: directory.clone(),
            pusher: pusher.clone(),
            live: live.clone(),
            threads: quick_cache::sync::Cache::new(THREADS_CACHED),
            slots: (0..config.slots).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            batch_max: config.batch_max,
            queue_max: config.queue_max,
            deadline: config.deadline,
            patience: config.deadline / TRIES,
            push_grace,
            mail_delay: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Has unread messages mailed after `delay`; without, no job is made for it. For a committer that is not shared
    /// yet.
    ///
    /// # Panics
    /// When it was cloned or used before.
    #[must_use]
    pub fn mailing_after(mut self, delay: Option<Duration>) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("the committer is not shared yet");
        inner.mail_delay = delay;
        self
    }

    /// Commits `post`, or tells why not. Dropping the future does not cancel the commit.
    ///
    /// # Errors
    /// [`PostError`].
    pub async fn post(&self, post: Post) -> Result<Posted, PostError> {
        let (reply, answer) = oneshot::channel();
        let started = Instant::now();
        self.enter(self.member(post, reply))?;
        let answer = tokio::time::timeout(self.inner.deadline + Duration::from_millis(500), answer).await;
        metrics::histogram!("ingest_commit_seconds").record(started.elapsed().as_secs_f64());
        match answer {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(PostError::Internal), // the committing task panicked
            Err(_) => Err(PostError::Away),
        }
    }

    /// Forgets the cached state of a thread that was changed elsewhere. Only saves a retry.
    pub fn forget(&self, thread_key: &str) {
        self.inner.threads.remove(thread_key);
    }

    fn member(&self, mut post: Post, reply: oneshot::Sender<Result<Posted, PostError>>) -> Member {
        let account = &post.actor.account;
        let client_id = post.draft.message_id.is_some();
        let id = post.draft.message_id.get_or_insert_with(MessageId::generate);
        Member {
            thread_key: crate::domain::ids::key(account, &post.thread),
            message_key: crate::domain::ids::key(account, &*id),
            client_id,
            in_doubt: false,
            deadline: Instant::now() + self.inner.deadline,
            reply: Some(reply),
            post,
        }
    }

    fn enter(&self, member: Member) -> Result<(), PostError> {
        let place = self.inner.hasher.hash_one(&member.thread_key) as usize % self.inner.slots.len();
        let mut slot = self.inner.slots[place].lock();
        if slot.waiting.len() >= self.inner.queue_max {
            return Err(PostError::Busy);
        }
        slot.waiting.push_back(member);
        if !slot.running {
            slot.running = true;
            drop(slot);
            let inner = Arc::clone(&self.inner);
            inner.start(place);
        }
        Ok(())
    }
}

impl Inner {
    fn start(self: Arc<Self>, place: usize) {
        task::spawn("commit", async move { self.drain(place).await });
    }

    /// What `call` answers, or that MongoDB is away when it takes too long.
    async fn patiently<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::time::timeout(self.patience, call).await.unwrap_or_else(|_| Err(StoreError::silence()))
    }

    /// Commits what waits in a slot until nothing does.
    async fn drain(self: Arc<Self>, place: usize) {
        let guard = Release { inner: &self, place };
        loop {
            let batch: Vec<Member> = {
                let mut slot = self.slots[place].lock();
                let n = slot.waiting.len().min(self.batch_max);
                if n == 0 {
                    slot.running = false;
                    std::mem::forget(guard);
                    return;
                }
                slot.waiting.drain(..n).collect()
            };
            self.settle(batch).await;
        }
    }
}

/// A panic in a batch loses its members' answers, but not those of the members behind it.
struct Release<'a> {
    inner: &'a Arc<Inner>,
    place: usize,
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let mut slot = self.inner.slots[self.place].lock();
        slot.running = !slot.waiting.is_empty();
        if slot.running {
            Arc::clone(self.inner).start(self.place);
        }
    }
}
