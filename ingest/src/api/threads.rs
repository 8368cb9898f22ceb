//! `/chat/threads`: create, list, show, change, read.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use shared::domain::ids::{MessageId, ReservationId, ThreadId, Uid};
use shared::domain::message::Source;
use shared::domain::thread::{ThreadDraft, ThreadPatch};
use shared::store::{ThreadFilter, View};

use super::Tag;
use super::messages::LIMIT;
use super::shapes::{KindOut, StatusOut, ThreadOut};
use super::sources::SourceForm;
use crate::auth::Caller;
use crate::chat::{Found, KeyForm, ThreadView, Trace};
use crate::http::{ApiError, Id, OptionalJson, StrictJson};
use crate::services::Services;

pub(super) struct ThreadsApi;

/// A thread to be created.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ThreadIn {
    /// The client's own id, by which a repeated request is recognised.
    thread_id: Option<Id<ThreadId>>,
    /// `guest` by default.
    kind: Option<KindOut>,
    /// `hububb` by default; messages of a `hububb-guest` thread are forwarded to the guest platform.
    source: Option<Id<SourceForm>>,
    /// At most 256 characters.
    title: Option<String>,
    participant_ids: Option<Vec<Id<Uid>>>,
    reservation_id: Option<Id<ReservationId>>,
    /// Support threads: who alone may see it, beside the admins.
    assigned_agent_ids: Option<Vec<Id<Uid>>>,
    important: Option<bool>,
}

impl From<ThreadIn> for ThreadDraft {
    fn from(input: ThreadIn) -> Self {
        Self {
            thread_id: input.thread_id.map(|id| id.0),
            kind: input.kind.map(Into::into),
            source: input.source.map(|source| Source::from(source.0)),
            title: input.title,
            participant_ids: input.participant_ids.map(uids).unwrap_or_default(),
            reservation_id: input.reservation_id.map(|id| id.0),
            assigned_agent_ids: input.assigned_agent_ids.map(uids).unwrap_or_default(),
            important: input.important,
        }
    }
}

/// Changes to a thread; what is absent stays.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ThreadPatchIn {
    /// At most 256 characters.
    title: Option<String>,
    important: Option<bool>,
    status: Option<StatusOut>,
    /// Replaces the list.
    assigned_agent_ids: Option<Vec<Id<Uid>>>,
    /// Null removes it.
    reservation_id: MaybeUndefined<Id<ReservationId>>,
}

impl From<ThreadPatchIn> for ThreadPatch {
    fn from(input: ThreadPatchIn) -> Self {
        Self {
            title: input.title,
            important: input.important,
            status: input.status.map(Into::into),
            assigned_agent_ids: input.assigned_agent_ids.map(uids),
            reservation_id: match input.reservation_id {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(id) => Some(Some(id.0)),
            },
        }
    }
}

/// How far the caller has read.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ReadMarkIn {
    /// Up to this message; all of them when it is left out.
    up_to: Option<Id<MessageId>>,
}

/// What is left unread.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ReadMarkOut {
    thread_id: String,
    /// Messages of others above the mark.
    unread_count: u64,
}

/// A thread of a list.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct ListedThreadOut {
    #[oai(flatten)]
    thread: ThreadOut,
    /// With `q`: pieces of text with the words in `<em>…</em>` and everything else escaped as HTML. Empty where an
    /// id was found.
    highlights: Option<Vec<String>>,
}

/// A page of threads.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct ThreadsOut {
    threads: Vec<ListedThreadOut>,
    /// Where the next page begins.
    next_cursor: Option<String>,
    has_more: bool,
    /// With `q`: how long the oldest change that the search index does not hold yet has waited, in milliseconds.
    /// New messages are found all the same.
    index_lag_ms: Option<u64>,
    /// With `q`: true when more threads have the words than the 1,000 latest, which alone are looked at.
    truncated: Option<bool>,
}

impl ThreadsOut {
    fn listed(threads: Vec<ThreadView>, next_cursor: Option<String>) -> Self {
        let threads =
            threads.into_iter().map(|view| ListedThreadOut { thread: view.into(), highlights: None });
        Self {
            threads: threads.collect(),
            has_more: next_cursor.is_some(),
            next_cursor,
            index_lag_ms: None,
            truncated: None,
        }
    }
}

impl From<Found> for ThreadsOut {
    fn from(found: Found) -> Self {
        let threads = found
            .threads
            .into_iter()
            .map(|(view, highlights)| ListedThreadOut { thread: view.into(), highlights: Some(highlights) });
        Self {
            threads: threads.collect(),
            has_more: found.next_cursor.is_some(),
            next_cursor: found.next_cursor,
            index_lag_ms: Some(found.index_lag_ms),
            truncated: found.truncated.then_some(true),
        }
    }
}

#[derive(ApiResponse)]
enum CreatedOut {
    /// Created now.
    #[oai(status = 201)]
    Created(StrictJson<ThreadOut>, #[oai(header = "Idempotent-Replayed")] Option<String>),
    /// The same was created before; nothing was written.
    #[oai(status = 200)]
    Replayed(StrictJson<ThreadOut>, #[oai(header = "Idempotent-Replayed")] Option<String>),
}

/// Which threads a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum ViewIn {
    /// All that the caller may see.
    Recent,
    /// Those that wait for the caller.
    Unread,
    /// Those with the flag.
    Important,
}

impl From<ViewIn> for View {
    fn from(view: ViewIn) -> Self {
        match view {
            ViewIn::Recent => View::Recent,
            ViewIn::Unread => View::Unread,
            ViewIn::Important => View::Important,
        }
    }
}

fn uids(ids: Vec<Id<Uid>>) -> Vec<Uid> {
    ids.into_iter().map(|id| id.0).collect()
}

#[OpenApi(tag = "Tag::Threads")]
impl ThreadsApi {
    /// Creates a thread. Staff only.
    ///
    /// The same `threadId` with the same content again is answered 200 with `Idempotent-Replayed: true`; other
    /// content is 409.
    #[oai(path = "/chat/threads", method = "post", operation_id = "threads.create")]
    async fn create(
        &self,
        caller: Caller,
        /// Makes a repeated request harmless: the same content is answered as before, other content is 409.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<Id<KeyForm>>>,
        body: StrictJson<ThreadIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<CreatedOut, ApiError> {
        let (view, replayed) =
            services.chat.create_thread(&caller, &trace, body.0.into(), key.0.map(|k| k.0)).await?;
        let mark = replayed.map(|_| "true".to_owned());
        Ok(match replayed {
            None | Some(201) => CreatedOut::Created(StrictJson(view.into()), mark),
            Some(_) => CreatedOut::Replayed(StrictJson(view.into()), mark),
        })
    }

    /// Lists threads, newest first; with `q` those in which its words stand.
    ///
    /// A thread in which something is written while you page moves to the top; no page shows a thread twice. Without
    /// `q` the list is right at once. With it, all words must stand in one message, or in the thread's title, guest
    /// name and ids; accents and case do not matter, the last word may be the beginning of one, and nothing in `q`
    /// is syntax.
    #[oai(path = "/chat/threads", method = "get", operation_id = "threads.list")]
    #[expect(clippy::too_many_arguments, reason = "one per documented parameter")]
    async fn list(
        &self,
        caller: Caller,
        /// `recent` by default.
        view: Query<Option<ViewIn>>,
        source: Query<Option<Id<SourceForm>>>,
        kind: Query<Option<KindOut>>,
        status: Query<Option<StatusOut>>,
        /// What to look for: 1 to 256 characters without the blanks round them.
        q: Query<Option<String>>,
        /// The `nextCursor` of the page before.
        #[oai(validator(max_length = 256))]
        cursor: Query<Option<String>>,
        /// 1 to 100, 20 by default.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<ThreadsOut>, ApiError> {
        let filter = ThreadFilter {
            view: view.0.map(Into::into).unwrap_or_default(),
            source: source.0.map(|source| Source::from(source.0)),
            kind: kind.0.map(Into::into),
            status: status.0.map(Into::into),
            within: None,
            after: None,
            limit: limit.0.unwrap_or(LIMIT) as usize,
        };
        let cursor = cursor.0.as_deref();
        if let Some(question) = &q.0 {
            let found = services.chat.search_threads(&caller, filter, cursor, question).await?;
            return Ok(StrictJson(found.into()));
        }
        let (threads, next_cursor) = services.chat.list_threads(&caller, filter, cursor).await?;
        Ok(StrictJson(ThreadsOut::listed(threads, next_cursor)))
    }

    /// Shows a thread.
    #[oai(path = "/chat/threads/:id", method = "get", operation_id = "threads.get")]
    async fn get(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<ThreadOut>, ApiError> {
        let view = services.chat.thread(&caller, &id.0.0).await?;
        Ok(StrictJson(view.into()))
    }

    /// Changes a thread. Staff only.
    #[oai(path = "/chat/threads/:id", method = "patch", operation_id = "threads.update")]
    async fn update(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        body: StrictJson<ThreadPatchIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<ThreadOut>, ApiError> {
        let view = services.chat.patch_thread(&caller, &trace, &id.0.0, body.0.into()).await?;
        Ok(StrictJson(view.into()))
    }

    /// Marks a thread as read.
    ///
    /// Clears the caller's attention up to there; reading alone never does.
    #[oai(path = "/chat/threads/:id/read", method = "post", operation_id = "threads.read")]
    async fn read(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        body: OptionalJson<ReadMarkIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<ReadMarkOut>, ApiError> {
        let up_to = body.0.and_then(|mark| mark.up_to).map(|id| id.0);
        let unread_count = services.chat.read(&caller, &trace, &id.0.0, up_to).await?;
        Ok(StrictJson(ReadMarkOut { thread_id: id.0.0.to_string(), unread_count }))
    }
}
