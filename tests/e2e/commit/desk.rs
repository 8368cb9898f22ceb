//! An account with its people and threads, processes that post to it, and the check of what is stored.

use std::time::Duration;

use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::doc;
use shared::committer::{Committer, Directory, Post, PostError, Posted, Pusher};
use shared::config;
use shared::domain::actor::{Actor, Role, Roles};
use shared::domain::ids::{AccountId, MessageId, ThreadId, Uid};
use shared::domain::message::{Draft, Message};
use shared::domain::post::post;
use shared::domain::thread::{Thread, ThreadDraft};
use shared::domain::time::Time;
use shared::ledger::JobRow;
use shared::live::LivePublisher;
use shared::queue::Wakeups;
use shared::store::{IdempotencyKey, Origin, Store};
use tests::servers::mongodb::TestDatabase;

/// Everybody who posts in these tests.
const PEOPLE: [(&str, Role); 6] = [
    ("host", Role::Agent),
    ("cohost", Role::Agent),
    ("boss", Role::Admin),
    ("guest", Role::Guest),
    ("stranger", Role::Guest),
    ("ota", Role::Service),
];

/// How long the dispatcher leaves a new job to the push of its own request.
const PUSH_GRACE: Duration = Duration::from_secs(5);

pub(super) fn commit_config() -> config::Commit {
    config::Commit { slots: 8, batch_max: 64, queue_max: 1024, deadline: Duration::from_secs(10) }
}

/// A process that posts: its pool of connections, cache and slots. Redis is away, which costs it nothing.
pub(super) fn replica_with(store: &Store, config: &config::Commit) -> Committer {
    let nowhere = Wakeups::new("redis://127.0.0.1:1", "t", 1).expect("a URL");
    let committer = Committer::new(
        store,
        &Directory::new(store),
        &Pusher::start(nowhere, 1),
        &LivePublisher::silent(),
        config,
        PUSH_GRACE,
    );
    committer.mailing_after(Some(Duration::from_secs(60)))
}

pub(super) fn uid(value: &str) -> Uid {
    Uid::parse(value).expect("a uid")
}

pub(super) fn message_id(value: &str) -> MessageId {
    MessageId::parse(value).expect("a message id")
}

pub(super) fn text(body: &str) -> Draft {
    Draft { body: body.to_owned(), ..Draft::default() }
}

/// A draft with an id of the client's own.
pub(super) fn named(id: &str, body: &str) -> Draft {
    Draft { message_id: Some(message_id(id)), ..text(body) }
}

fn role_of(who: &str) -> Role {
    PEOPLE.iter().find(|(name, _)| *name == who).expect("somebody of the desk").1
}

/// One account in a database of its own.
pub(super) struct Desk {
    pub(super) db: TestDatabase,
    pub(super) account: AccountId,
}

impl Desk {
    pub(super) async fn open() -> Self {
        Self::at(TestDatabase::new().await.expect("mongodb")).await
    }

    pub(super) async fn at(db: TestDatabase) -> Self {
        let desk = Self { db, account: AccountId::parse("acme").expect("an account") };
        let scope = desk.store().account(&desk.account);
        for (who, role) in PEOPLE {
            scope.note_caller(&uid(who), role, None, Time::now()).await.expect("noted");
        }
        desk
    }

    pub(super) fn store(&self) -> &Store {
        self.db.store()
    }

    pub(super) fn replica(&self) -> Committer {
        replica_with(self.store(), &commit_config())
    }

    pub(super) fn actor(&self, who: &str) -> Actor {
        Actor {
            account: self.account.clone(),
            uid: uid(who),
            role: role_of(who),
            conversation_id: who.to_owned(),
        }
    }

    /// A thread in which `guest` takes part.
    pub(super) async fn thread(&self, id: &str) -> Thread {
        self.thread_of(id, ThreadDraft::default()).await
    }

    pub(super) async fn thread_of(&self, id: &str, draft: ThreadDraft) -> Thread {
        let thread_id = Some(ThreadId::parse(id).expect("a thread id"));
        let draft = ThreadDraft { thread_id, participant_ids: vec![uid("guest")], ..draft };
        let thread = Thread::create(draft, &self.actor("host"), Time::now()).expect("a thread");
        self.threads().insert_one(&thread).await.expect("stored");
        thread
    }

    /// Stores `next` as another process would: with the version after that of `before`.
    pub(super) async fn replace(&self, before: &Thread, next: &Thread) {
        let guard = doc! { "_id": &before.key, "version": before.version };
        let replaced = self.threads().replace_one(guard, next).await.expect("replaced");
        assert_eq!(replaced.matched_count, 1, "the thread was moved meanwhile");
    }

    pub(super) fn post(&self, thread: &str, who: &str, draft: Draft) -> Post {
        Post {
            actor: self.actor(who),
            thread: ThreadId::parse(thread).expect("a thread id"),
            draft,
            origin: Origin::default(),
            request_id: "req".to_owned(),
            idempotency: None,
        }
    }

    pub(super) fn keyed(&self, key: &str, post: Post) -> Post {
        let hash = post.draft.content_hash(post.thread.as_str(), &post.actor.uid);
        let scope = format!("{}/{}/post/{key}", self.account, post.actor.uid);
        Post { idempotency: Some(IdempotencyKey { scope, content_hash: hash }), ..post }
    }

    fn threads(&self) -> Collection<Thread> {
        self.store().raw().collection("threads")
    }

    pub(super) async fn stored(&self, thread: &Thread) -> Thread {
        let found = self.threads().find_one(doc! { "_id": &thread.key }).await.expect("read");
        found.expect("the thread")
    }

    pub(super) async fn messages(&self, thread: &Thread) -> Vec<Message> {
        let messages = self.store().raw().collection::<Message>("messages");
        let find = messages.find(doc! { "thread": &thread.key }).sort(doc! { "seq": 1 });
        find.await.expect("read").try_collect().await.expect("read")
    }

    async fn jobs(&self, thread: &Thread) -> Vec<JobRow> {
        let jobs = self.store().raw().collection::<JobRow>("jobs");
        jobs.find(doc! { "thread": &thread.key }).await.expect("read").try_collect().await.expect("read")
    }

    /// Checks that what is stored of `thread`, which was created as given, is what the pure core makes of its
    /// messages in the order of `seq`: every message, the thread's whole state, and exactly the jobs called for.
    pub(super) async fn assert_whole(&self, thread: &Thread) -> Vec<Message> {
        let messages = self.messages(thread).await;
        let roles: Roles = PEOPLE.into_iter().map(|(who, role)| (uid(who), role)).collect();
        let (mut state, mut called_for) = (thread.clone(), Vec::new());
        for message in &messages {
            let actor = self.actor(message.author_id.as_str());
            let commit =
                post(&state, &roles, redraft(message), &actor, message.created_at).expect("admitted");
            assert_eq!(commit.message, *message, "a message is what the core makes of it");
            called_for.extend(commit.jobs.iter().map(|j| {
                (
                    message.key.clone(),
                    j.kind.name.to_owned(),
                    j.lane.clone(),
                    j.lane.as_ref().map(|_| j.lane_seq),
                )
            }));
            state = commit.thread;
        }
        assert_eq!(self.stored(thread).await, state, "the thread is what its messages make of it");
        let mut written: Vec<_> = self.jobs(thread).await.into_iter().map(written_job).collect();
        written.sort();
        called_for.sort();
        assert_eq!(written, called_for, "each message has its jobs, once");
        messages
    }
}

fn written_job(row: JobRow) -> (String, String, Option<String>, Option<i64>) {
    (row.message.expect("of a message"), row.name, row.lane, row.lane_seq)
}

/// The draft that led to `message`.
fn redraft(message: &Message) -> Draft {
    let message = message.clone();
    Draft {
        message_id: Some(message.message_id),
        body: message.body,
        source: Some(message.source),
        external_message_id: message.external_message_id,
        attachments: message.attachments,
        kind: Some(message.kind),
        payment_content: message.payment_content,
        content_type: Some(message.content_type),
        author_id: None,
        integration_app: message.integration_app,
        desk_type: message.desk_type,
        template: message.template,
    }
}

/// How many were new and how many repeated; anything else fails the test.
pub(super) fn new_and_replayed(answers: &[Result<Posted, PostError>]) -> (usize, usize) {
    let answers: Vec<&Posted> = answers.iter().map(|answer| answer.as_ref().expect("posted")).collect();
    let replayed = answers.iter().filter(|posted| posted.is_replay()).count();
    (answers.len() - replayed, replayed)
}
