//! Creating, listing, changing and reading threads.

use std::time::{Duration, Instant};

use mongodb::bson::doc;
use rand::Rng as _;
use shared::domain::Time;
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::{MessageId, ThreadId};
use shared::domain::thread::{Thread, ThreadDraft, ThreadPatch};
use shared::store::{Created, Cursor, IdempotencyRow, ThreadFilter};

use super::failure::Attempted;
use super::views::last_message_keys;
use super::{Chat, KeyForm, ThreadView, Trace};
use crate::http::{ApiError, Code};

/// How long a change by hand is tried again while other writers are faster. A lively thread is written dozens of times a
/// second, each time by one of those who want to.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause before the next try.
const PAUSE_MAX: Duration = Duration::from_millis(20);

impl Chat {
    /// Creates a thread; the status is that of the first answer when it was created before.
    pub(crate) async fn create_thread(
        &self,
        actor: &Actor,
        trace: &Trace,
        draft: ThreadDraft,
        key: Option<KeyForm>,
    ) -> Result<(ThreadView, Option<u16>), ApiError> {
        let target = draft.thread_id.as_ref().map_or_else(String::new, ToString::to_string);
        let result = self.try_create(actor, trace, draft, key).await;
        let attempted = Attempted::new("thread.create", "thread", &target);
        let (thread, replayed) = self.audited(result, actor, trace, attempted).await?;
        Ok((self.view(thread, actor).await?, replayed))
    }

    async fn try_create(
        &self,
        actor: &Actor,
        trace: &Trace,
        draft: ThreadDraft,
        key: Option<KeyForm>,
    ) -> Result<(Thread, Option<u16>), ApiError> {
        let client_id = draft.thread_id.clone();
        let thread = Thread::create(draft, actor, Time::now())?;
        let scope = self.store.account(&actor.account);
        let content = format!("{}/{}", thread.content_hash, client_id.as_ref().map_or("", ThreadId::as_str));
        let key = key.map(|key| key.scoped(actor, "threads", &content));
        if let Some(key) = &key
            && let Some(row) = scope.idempotency(key).await?
        {
            return self.answer_again(actor, &row, &key.content_hash).await;
        }
        let row = key.as_ref().map(|key| IdempotencyRow {
            scope: key.scope.clone(),
            content_hash: key.content_hash.clone(),
            resource_id: thread.thread_id.to_string(),
            status: 201,
            created_at: thread.created_at,
        });
        let job = self.index_job(&thread, trace);
        match scope.create_thread(&thread, &job, row.as_ref()).await? {
            Created::New(thread) => {
                self.push([job]);
                self.announce_new(&thread);
                Ok((thread, None))
            }
            Created::Replayed(thread) => Ok((thread, Some(200))),
            Created::Conflict => match &key {
                // Another request with the same key was faster.
                Some(key) if client_id.is_none() => match scope.idempotency(key).await? {
                    Some(row) => self.answer_again(actor, &row, &key.content_hash).await,
                    None => Err(conflict()),
                },
                _ => Err(conflict()),
            },
        }
    }

    async fn answer_again(
        &self,
        actor: &Actor,
        row: &IdempotencyRow,
        content_hash: &str,
    ) -> Result<(Thread, Option<u16>), ApiError> {
        if row.content_hash != content_hash {
            return Err(ApiError::new(
                Code::IdempotencyConflict,
                "the Idempotency-Key was used for other content",
            ));
        }
        let id = ThreadId::parse(&row.resource_id).map_err(ApiError::internal)?;
        let thread = self.store.account(&actor.account).thread(&id).await?;
        let thread = thread.ok_or_else(|| ApiError::not_found("thread"))?;
        Ok((thread, u16::try_from(row.status).ok()))
    }

    /// Thread `id`.
    pub(crate) async fn thread(&self, actor: &Actor, id: &ThreadId) -> Result<ThreadView, ApiError> {
        let thread = self.entitled_thread(actor, id).await?;
        self.view(thread, actor).await
    }

    /// A page of threads, newest first, with the cursor of the next.
    pub(crate) async fn list_threads(
        &self,
        actor: &Actor,
        mut filter: ThreadFilter,
        cursor: Option<&str>,
    ) -> Result<(Vec<ThreadView>, Option<String>), ApiError> {
        let scope = self.store.account(&actor.account);
        filter.after = self.place(actor, cursor)?;
        let page = scope.threads(actor, &filter).await?;
        let deliveries = scope.deliveries(&last_message_keys(&page.threads)).await?;
        let threads = page.threads.into_iter().map(|t| ThreadView::of(t, actor, &deliveries)).collect();
        Ok((threads, page.next.map(|cursor| cursor.encode())))
    }

    /// Where a page begins.
    pub(super) fn place(&self, actor: &Actor, cursor: Option<&str>) -> Result<Option<Cursor>, ApiError> {
        let scope = self.store.account(&actor.account);
        let place = cursor.map(|text| Cursor::decode(text, &scope).ok_or(()));
        place.transpose().map_err(|()| ApiError::invalid_parameter("cursor", "is not one of ours"))
    }

    /// Changes a thread by hand.
    pub(crate) async fn patch_thread(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &ThreadId,
        patch: ThreadPatch,
    ) -> Result<ThreadView, ApiError> {
        let change = |thread: &Thread| thread.patched(patch.clone(), actor);
        let result = match self.change(actor, trace, id, change).await {
            // Operators and guests learn nothing from the order of the checks.
            Err(error) if error.code == Code::NotFound && !actor.role.is_staff() => {
                Err(ApiError::new(Code::Forbidden, "only staff may change threads"))
            }
            other => other,
        };
        let attempted = Attempted::new("thread.update", "thread", id.as_str());
        let thread = self.audited(result, actor, trace, attempted).await?;
        self.view(thread, actor).await
    }

    /// Moves the caller's read mark up to `up_to`, or to the end; answers how much is left unread.
    pub(crate) async fn read(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &ThreadId,
        up_to: Option<MessageId>,
    ) -> Result<u64, ApiError> {
        let result = self.move_mark(actor, trace, id, up_to.as_ref()).await;
        let metadata = doc! { "threadId": id.as_str() };
        let attempted = Attempted::new("thread.read", "thread", id.as_str()).with(metadata);
        let thread = self.audited(result, actor, trace, attempted).await?;
        let mark = thread.read_up_to(&actor.uid);
        let scope = self.store.account(&actor.account);
        Ok(scope.unread(&thread, &actor.uid, mark, actor.role == Role::Guest).await?)
    }

    /// Moves the caller's read mark up to `up_to`, or to the end; the caller writes a refusal down.
    pub(crate) async fn move_mark(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &ThreadId,
        up_to: Option<&MessageId>,
    ) -> Result<Thread, ApiError> {
        let scope = self.store.account(&actor.account);
        let place = match up_to {
            Some(message) => {
                let thread = self.entitled_thread(actor, id).await?;
                self.resolve(actor, &thread, Some(message)).await?;
                scope.message(message).await?.map(|m| m.place())
            }
            None => None,
        };
        let read = |thread: &Thread| {
            shared::domain::access::check_entitled(thread, actor)?;
            Ok(thread.read_by(&actor.uid, place.unwrap_or(thread.place())))
        };
        self.change(actor, trace, id, read).await
    }

    /// Applies `change` to the thread as it is, again while other writers are faster; `None` changes nothing.
    async fn change(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &ThreadId,
        change: impl Fn(&Thread) -> Result<Option<Thread>, shared::domain::Rejection>,
    ) -> Result<Thread, ApiError> {
        let scope = self.store.account(&actor.account);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let thread = scope.thread(id).await?.ok_or_else(|| ApiError::not_found("thread"))?;
            let Some(next) = change(&thread)? else { return Ok(thread) };
            let job = self.index_job(&next, trace);
            if scope.update_thread(&next, &job).await? {
                self.committer.forget(&next.key);
                self.push([job]);
                self.announce_change(&thread, &next);
                return Ok(next);
            }
            if Instant::now() > deadline {
                return Err(ApiError::unavailable(anyhow::anyhow!("the thread changes too fast")));
            }
            let pause = PAUSE_MAX.mul_f64(rand::rng().random_range(0.0..1.0));
            tokio::time::sleep(pause).await;
        }
    }

    async fn view(&self, thread: Thread, actor: &Actor) -> Result<ThreadView, ApiError> {
        let threads = [thread];
        let deliveries = self.store.account(&actor.account).deliveries(&last_message_keys(&threads)).await?;
        let [thread] = threads;
        Ok(ThreadView::of(thread, actor, &deliveries))
    }
}

fn conflict() -> ApiError {
    ApiError::new(Code::Conflict, "the id belongs to a thread with other content")
}
