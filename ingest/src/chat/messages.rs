//! Posting, listing and explaining messages.

use std::sync::Arc;

use mongodb::bson::doc;
use shared::committer::{Post, PostError, Posted};
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::{MessageId, ThreadId};
use shared::domain::message::{Draft, Message};
use shared::domain::thread::Thread;
use shared::ledger::{Attempt, JobRow};
use shared::providers::ssrf;
use shared::store::{IdempotencyKey, PageQuery, User};

use super::failure::Attempted;
use super::{Chat, KeyForm, MessageView, Trace};
use crate::http::{ApiError, Code};

/// Which page of a thread's messages.
#[derive(Debug, Clone)]
pub(crate) struct ListQuery {
    pub(crate) upper_ref: Option<MessageId>,
    pub(crate) lower_ref: Option<MessageId>,
    pub(crate) limit: usize,
    pub(crate) ascending: bool,
    pub(crate) search: Option<String>,
}

/// A page with its authors.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) messages: Vec<MessageView>,
    pub(crate) has_more: bool,
    pub(crate) authors: Vec<Arc<User>>,
}

/// A message with what became of it.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) message: MessageView,
    pub(crate) author: Option<Arc<User>>,
    /// Attempts with the id of their job; `None` for guests.
    pub(crate) attempts: Option<Vec<(String, Attempt)>>,
}

impl Chat {
    /// Posts a message.
    pub(crate) async fn post_message(
        &self,
        actor: &Actor,
        trace: &Trace,
        thread: ThreadId,
        draft: Draft,
        key: Option<KeyForm>,
    ) -> Result<(MessageView, Option<u16>), ApiError> {
        let content = draft.content_hash(thread.as_str(), draft.author_id.as_ref().unwrap_or(&actor.uid));
        let client_id = draft.message_id.as_ref().map_or("", MessageId::as_str);
        let idempotency = key.map(|key| {
            let route = if draft.template.is_some() { "whatsapp-templates" } else { "messages" };
            key.scoped(actor, &format!("threads/{thread}/{route}"), &format!("{content}/{client_id}"))
        });
        let target = draft.message_id.as_ref().map_or_else(String::new, ToString::to_string);
        let metadata = doc! {
            "threadId": thread.as_str(),
            "type": draft.kind.unwrap_or_default().as_str(),
            "source": draft.source.clone().unwrap_or_default().as_str(),
            "attachmentCount": draft.attachments.len() as i64,
        };
        let result = self.commit(actor, trace, thread, draft, idempotency).await;
        let attempted = Attempted::new("message.create", "message", &target).with(metadata);
        let posted = self.audited(result, actor, trace, attempted).await?;
        let replayed = match &posted {
            Posted::New(_) => None,
            Posted::Replayed { status, .. } => Some(*status),
        };
        let view = MessageView::of(posted.message().clone(), actor.role);
        Ok((view.ok_or_else(|| ApiError::not_found("message"))?, replayed))
    }

    /// Commits `draft`, whoever calls; the caller writes a refusal down.
    pub(crate) async fn commit(
        &self,
        actor: &Actor,
        trace: &Trace,
        thread: ThreadId,
        draft: Draft,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Posted, ApiError> {
        self.check_links(&draft)?;
        let post = Post {
            actor: actor.clone(),
            thread,
            draft,
            origin: trace.origin.clone(),
            request_id: trace.request_id.to_string(),
            idempotency,
        };
        Ok(self.committer.post(post).await?)
    }

    /// Refuses links that a provider could never fetch from outside, where the message is to be sent. Whether a
    /// name leads to a private address shows when connecting.
    fn check_links(&self, draft: &Draft) -> Result<(), ApiError> {
        let sent = shared::domain::post::phone_channel_of(draft).is_some();
        let links = draft.attachments.iter().filter(|_| sent);
        for link in links {
            ssrf::check_url_static(&link.url, self.allow_private).map_err(|blocked| {
                ApiError::unprocessable(format!("an attachment's URL cannot be used: {blocked}"))
            })?;
        }
        Ok(())
    }

    /// A page of a thread's messages.
    pub(crate) async fn list_messages(
        &self,
        actor: &Actor,
        thread: &ThreadId,
        query: ListQuery,
    ) -> Result<Listed, ApiError> {
        let thread = self.entitled_thread(actor, thread).await?;
        let (messages, has_more) = self.page(actor, &thread, query).await?;
        let mut uids: Vec<_> = messages.iter().map(|view| view.message.author_id.clone()).collect();
        uids.sort();
        uids.dedup();
        let authors = self.directory.users(&actor.account, &uids).await?;
        Ok(Listed { messages, has_more, authors })
    }

    /// A page of the messages of `thread`, which `actor` may see, and whether there is more.
    pub(crate) async fn page(
        &self,
        actor: &Actor,
        thread: &Thread,
        query: ListQuery,
    ) -> Result<(Vec<MessageView>, bool), ApiError> {
        let page = PageQuery {
            public_only: !actor.role.is_staff(),
            upper: self.resolve(actor, thread, query.upper_ref.as_ref()).await?,
            lower: self.resolve(actor, thread, query.lower_ref.as_ref()).await?,
            limit: query.limit,
            ascending: query.ascending,
            search: query.search,
        };
        let found = self.store.account(&actor.account).messages(&thread.thread_id, &page).await?;
        if found.gave_up {
            return Err(ApiError::unprocessable(
                "the newest part of the thread was searched and has no such message; go on with a reference",
            ));
        }
        let messages = found.messages.into_iter().filter_map(|m| MessageView::of(m, actor.role)).collect();
        Ok((messages, found.has_more))
    }

    /// The oldest `limit` messages above `seq` in the reader's own counter, oldest first, and whether more follow.
    pub(crate) async fn messages_after(
        &self,
        actor: &Actor,
        thread: &ThreadId,
        seq: i64,
        limit: usize,
    ) -> Result<(Thread, Vec<MessageView>, bool), ApiError> {
        let thread = self.entitled_thread(actor, thread).await?;
        let page = PageQuery {
            public_only: !actor.role.is_staff(),
            upper: None,
            lower: Some(seq),
            limit,
            ascending: true,
            search: None,
        };
        let found = self.store.account(&actor.account).messages(&thread.thread_id, &page).await?;
        let messages = found.messages.into_iter().filter_map(|m| MessageView::of(m, actor.role)).collect();
        Ok((thread, messages, found.has_more))
    }

    /// One message with the timeline of its attempts.
    pub(crate) async fn message_story(
        &self,
        actor: &Actor,
        thread: &ThreadId,
        id: &MessageId,
    ) -> Result<Story, ApiError> {
        let thread = self.entitled_thread(actor, thread).await?;
        let message = self.store.account(&actor.account).message(id).await?;
        let message = message.filter(|m| m.thread == thread.key);
        let (key, author) = match &message {
            Some(message) => (message.key.clone(), message.author_id.clone()),
            None => return Err(ApiError::not_found("message")),
        };
        let view = message.and_then(|m| MessageView::of(m, actor.role));
        let message = view.ok_or_else(|| ApiError::not_found("message"))?;
        let author = self.directory.users(&actor.account, &[author]).await?.into_iter().next();
        let attempts = match actor.role {
            Role::Guest => None,
            _ => Some(timeline(self.ledger.jobs_of_message(&key).await?)),
        };
        Ok(Story { message, author, attempts })
    }

    /// The place of a paging reference in the reader's own counter.
    pub(super) async fn resolve(
        &self,
        actor: &Actor,
        thread: &Thread,
        id: Option<&MessageId>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(id) = id else { return Ok(None) };
        let message = self.store.account(&actor.account).message(id).await?;
        let message: Option<Message> = message.filter(|m| m.thread == thread.key);
        let seq = message.and_then(|m| MessageView::of(m, actor.role)).map(|view| view.seq);
        seq.map(Some)
            .ok_or_else(|| ApiError::new(Code::InvalidRef, "the reference is no message of the thread"))
    }
}

fn timeline(jobs: Vec<JobRow>) -> Vec<(String, Attempt)> {
    let mut attempts: Vec<(String, Attempt)> =
        jobs.into_iter().flat_map(|job| job.attempts.into_iter().map(move |a| (job.id.clone(), a))).collect();
    attempts.sort_by_key(|(_, attempt)| attempt.started_at);
    attempts
}

impl From<PostError> for ApiError {
    fn from(error: PostError) -> Self {
        match error {
            PostError::ThreadNotFound => ApiError::not_found("thread"),
            PostError::Rejected(rejection) => rejection.into(),
            PostError::Conflict => {
                ApiError::new(Code::Conflict, "the id belongs to a message with other content")
            }
            PostError::IdempotencyConflict => {
                ApiError::new(Code::IdempotencyConflict, "the Idempotency-Key was used for other content")
            }
            PostError::Busy | PostError::Away => ApiError::unavailable(error),
            PostError::Internal => ApiError::internal(error),
        }
    }
}
