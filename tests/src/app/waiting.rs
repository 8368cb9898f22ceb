//! Waiting for what happens behind a request: by a condition that is looked at again and again, with a deadline
//! and a panic that shows what was there instead.

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::panic::Location;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use serde_json::Value;
use shared::domain::ids::{AccountId, Uid};
use shared::ledger::JobRow;
use shared::presence::{Presence as _, RedisPresence};

use super::{ACCOUNT, TestApp};

/// How long anything may take that should happen at once.
pub const SOON: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

impl TestApp {
    /// Waits until `look` answers something.
    ///
    /// # Panics
    /// At the caller's place, when it does not within [`SOON`].
    #[track_caller]
    pub fn eventually<'a, T>(
        &'a self,
        what: &'a str,
        mut look: impl AsyncFnMut() -> Option<T> + 'a,
    ) -> impl Future<Output = T> + 'a
    where
        T: 'a,
    {
        let place = Location::caller();
        async move {
            let deadline = Instant::now() + SOON;
            loop {
                if let Some(found) = Box::pin(look()).await {
                    return found;
                }
                if Instant::now() > deadline {
                    panic!("{place}: {what} did not happen in {SOON:?}; jobs: {}", self.open_jobs().await);
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Waits until those who mail know that `uid` has a live socket, or has none.
    ///
    /// # Panics
    /// As [`TestApp::eventually`].
    #[track_caller]
    pub fn is_online<'a>(&'a self, uid: &'a str, online: bool) -> LocalBoxFuture<'a, ()> {
        let redis = &self.config().redis;
        let presence = RedisPresence::new(redis.url.expose(), &redis.prefix).expect("a Redis URL");
        let account = AccountId::parse(ACCOUNT).expect("an id");
        let uid = Uid::parse(uid).expect("a uid");
        self.eventually("somebody's coming or going", async move || {
            (presence.is_online(&account, &uid).await == online).then_some(())
        })
        .boxed_local()
    }

    /// Waits until no job of the queues of this app is queued or running.
    ///
    /// # Panics
    /// At the caller's place, with the jobs that are left, when that takes longer than [`SOON`].
    #[track_caller]
    pub fn settled(&self) -> LocalBoxFuture<'_, ()> {
        self.eventually("the end of all jobs", async || {
            let left = self.jobs_where(doc! { "state": { "$in": ["queued", "running"] } }).await;
            left.is_empty().then_some(())
        })
        .boxed_local()
    }

    /// Waits until the delivery of a posted message is in `state`, and returns the message with its attempts, all
    /// of which have ended: that is written a moment after the delivery.
    ///
    /// # Panics
    /// As [`TestApp::eventually`].
    #[track_caller]
    pub fn delivery_of<'a>(&'a self, message: &'a Value, state: &'a str) -> LocalBoxFuture<'a, Value> {
        self.eventually(state, async move || {
            let story = self.story(message).await;
            let running = story["attempts"].as_array()?.iter().any(|attempt| attempt["outcome"].is_null());
            (story["delivery"]["state"] == state && !running).then_some(story)
        })
        .boxed_local()
    }

    /// A posted message with its attempts, as an admin sees it.
    pub fn story<'a>(&'a self, message: &'a Value) -> LocalBoxFuture<'a, Value> {
        async move {
            let part = |field: &str| message[field].as_str().expect("a stored message").to_owned();
            let path = format!("/chat/threads/{}/messages/{}", part("threadId"), part("messageId"));
            self.admin("reader").get(&path).expect(200).await.body
        }
        .boxed_local()
    }

    /// The jobs of the queues of this app that match `filter`, oldest first.
    ///
    /// # Panics
    /// When MongoDB is away.
    pub fn jobs_where(&self, mut filter: Document) -> LocalBoxFuture<'_, Vec<JobRow>> {
        async move {
            let queues: Vec<&str> = self.queues.iter().map(|queue| queue.as_str()).collect();
            filter.insert("queue", doc! { "$in": queues });
            let jobs = self.store().raw().collection::<JobRow>("jobs");
            let found = jobs.find(filter).sort(doc! { "_id": 1 }).await.expect("jobs");
            found.try_collect().await.expect("jobs")
        }
        .boxed_local()
    }

    /// The jobs called `name` of a posted message.
    pub fn jobs_of<'a>(&'a self, message: &'a Value, name: &'a str) -> LocalBoxFuture<'a, Vec<JobRow>> {
        async move {
            let key = format!("{ACCOUNT}/{}", message["messageId"].as_str().expect("a stored message"));
            self.jobs_where(doc! { "message": key, "name": name }).await
        }
        .boxed_local()
    }

    /// The one job called `name` of a posted message.
    ///
    /// # Panics
    /// When there is none or more than one.
    pub fn job_of<'a>(&'a self, message: &'a Value, name: &'a str) -> LocalBoxFuture<'a, JobRow> {
        async move {
            let mut jobs = self.jobs_of(message, name).await;
            assert_eq!(jobs.len(), 1, "{name}");
            jobs.remove(0)
        }
        .boxed_local()
    }

    async fn open_jobs(&self) -> String {
        let open = self.jobs_where(doc! { "state": { "$ne": "done" } }).await;
        let shown = open.iter().take(10).map(|job| {
            let class = job.error_class.as_deref().unwrap_or("");
            let error = job.last_error.as_deref().unwrap_or("");
            format!("{} {} {} due {} {class} {error}", job.name, job.id, job.state.as_str(), job.due_at)
        });
        shown.collect::<Vec<_>>().join("; ")
    }
}
