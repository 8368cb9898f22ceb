//! `/chat/threads/{id}/messages`: post, list, one with its story.

use std::sync::Arc;

use mongodb::bson::{Bson, Document};
use poem::web::Data;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde_json::Value;
use shared::domain::ids::{MessageId, ThreadId, Uid};
use shared::domain::message::{Attachment, Draft, Source};

use super::Tag;
use super::shapes::{AuthorOut, ChannelOut, ContentTypeOut, MessageOut, TypeOut};
use super::sources::SourceForm;
use crate::auth::Caller;
use crate::chat::{KeyForm, ListQuery, Listed, Preview, Story, Trace};
use crate::http::{ApiError, Id, StrictJson};
use crate::services::Services;
use shared::domain::time::rfc3339;

/// Messages of a page when the client names no number.
pub(super) const LIMIT: u32 = 20;

/// Depth of structured payment content.
const PAYMENT_DEPTH_MAX: usize = 16;

pub(super) struct MessagesApi;

/// A message to be posted.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct MessageIn {
    /// The text, at most 32 KiB of UTF-8. Empty only with `paymentContent` or an attachment. A WhatsApp text has
    /// at most 4096 characters, an SMS 1600.
    body: String,
    /// Where it comes from; `hububb` by default. Users may say `hububb` or `operations`, services anything.
    source: Option<Id<SourceForm>>,
    /// The id that the source gave it; services only. Unique per source.
    external_message_id: Option<String>,
    /// URLs or identifiers of at most 15 files.
    attachments: Option<Vec<String>>,
    /// The client's own id, by which a repeated post is recognised.
    message_id: Option<Id<MessageId>>,
    /// `message` by default.
    r#type: Option<TypeOut>,
    /// Structured content; with contentType `payment` or `payment-processed` only.
    payment_content: Option<Any<Value>>,
    /// `text` by default.
    content_type: Option<ContentTypeOut>,
    /// Who wrote it; services only.
    author_id: Option<Id<Uid>>,
}

impl TryFrom<MessageIn> for Draft {
    type Error = ApiError;

    fn try_from(input: MessageIn) -> Result<Self, ApiError> {
        let attachments = input.attachments.unwrap_or_default();
        Ok(Self {
            message_id: input.message_id.map(|id| id.0),
            body: input.body,
            source: input.source.map(|source| Source::from(source.0)),
            external_message_id: input.external_message_id,
            attachments: attachments.into_iter().map(Attachment::from_url).collect(),
            kind: input.r#type.map(Into::into),
            payment_content: input.payment_content.map(|content| payment(content.0)).transpose()?,
            content_type: input.content_type.map(Into::into),
            author_id: input.author_id.map(|id| id.0),
            integration_app: None,
            desk_type: None,
            template: None,
        })
    }
}

/// Payment content as it is stored: an object without keys that MongoDB reads as operators or paths.
fn payment(content: Value) -> Result<Document, ApiError> {
    fn check(value: &Value, depth: usize) -> bool {
        let plain = |key: &str| !key.starts_with('$') && !key.contains(['.', '\0']);
        depth <= PAYMENT_DEPTH_MAX
            && match value {
                Value::Object(map) => map.iter().all(|(key, inner)| plain(key) && check(inner, depth + 1)),
                Value::Array(items) => items.iter().all(|inner| check(inner, depth + 1)),
                _ => true,
            }
    }
    if !content.is_object() {
        return Err(ApiError::invalid_field("/paymentContent", "must be an object"));
    }
    if !check(&content, 0) {
        return Err(ApiError::invalid_field(
            "/paymentContent",
            "must have keys without $ and . and at most 16 levels",
        ));
    }
    match mongodb::bson::serialize_to_bson(&content) {
        Ok(Bson::Document(document)) => Ok(document),
        _ => Err(ApiError::invalid_field("/paymentContent", "has a number out of range")),
    }
}

#[derive(ApiResponse)]
pub(super) enum PostedOut {
    /// Committed now.
    #[oai(status = 201)]
    Created(StrictJson<MessageOut>, #[oai(header = "Idempotent-Replayed")] Option<String>),
    /// The same author posted the same before; nothing was written.
    #[oai(status = 200)]
    Replayed(StrictJson<MessageOut>, #[oai(header = "Idempotent-Replayed")] Option<String>),
}

impl PostedOut {
    pub(super) fn of(message: MessageOut, replayed: Option<u16>) -> Self {
        let mark = replayed.map(|_| "true".to_owned());
        match replayed {
            None | Some(201) => Self::Created(StrictJson(message), mark),
            Some(_) => Self::Replayed(StrictJson(message), mark),
        }
    }
}

/// A message with its author.
#[derive(Debug, Object)]
struct AuthoredMessageOut {
    #[oai(flatten)]
    message: MessageOut,
    /// Who wrote it.
    author: AuthorOut,
}

/// A page of messages.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct MessagesOut {
    messages: Vec<AuthoredMessageOut>,
    /// One more message exists in the direction of the page.
    has_more: bool,
}

/// One try to send a message.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct AttemptOut {
    attempt: u32,
    job_id: String,
    started_at: String,
    finished_at: Option<String>,
    /// ok, retry, parked, unknown, dead or cancelled; absent while it runs.
    outcome: Option<String>,
    /// retry, wait_until, needs_template, needs_operator, permanent, unknown …
    error_class: Option<String>,
    provider_error_code: Option<String>,
    next_attempt_at: Option<String>,
    /// The process that tried.
    worker: String,
    replayed_by: Option<String>,
}

/// A message with its author and the timeline of its attempts.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct MessageStoryOut {
    #[oai(flatten)]
    message: MessageOut,
    /// Who wrote it.
    author: AuthorOut,
    /// Not for guests.
    attempts: Option<Vec<AttemptOut>>,
}

#[derive(ApiResponse)]
enum ResentOut {
    /// It is queued again.
    #[oai(status = 202)]
    Queued(StrictJson<MessageOut>, #[oai(header = "Idempotent-Replayed")] Option<String>),
}

/// What a message would lead to.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct PreviewOut {
    /// Absent for a message that leaves by no channel.
    channel: Option<ChannelOut>,
    would_send: bool,
    /// The guest's phone.
    to: Option<String>,
    /// The number that it would come from, or the provider's id of it.
    from: Option<String>,
    /// Whether a free WhatsApp text may be tried now.
    window_open: bool,
    window_expires_at: Option<String>,
    /// Why it would not be sent: a `delivery.reason`.
    reason: Option<String>,
}

impl From<Preview> for PreviewOut {
    fn from(preview: Preview) -> Self {
        Self {
            channel: preview.channel.map(Into::into),
            would_send: preview.would_send,
            to: preview.to,
            from: preview.from,
            window_open: preview.window.can_reply_freeform(),
            window_expires_at: preview.window.expires_at().map(rfc3339),
            reason: preview.reason.map(|reason| reason.as_str().to_owned()),
        }
    }
}

/// The order within a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum SortIn {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

impl From<Listed> for MessagesOut {
    fn from(listed: Listed) -> Self {
        let author = |uid: &Uid| listed.authors.iter().find(|user| user.uid == *uid).map(AsRef::as_ref);
        let messages = listed.messages.iter().map(|view| AuthoredMessageOut {
            message: view.into(),
            author: AuthorOut::of(&view.message.author_id, author(&view.message.author_id)),
        });
        Self { messages: messages.collect(), has_more: listed.has_more }
    }
}

impl From<Story> for MessageStoryOut {
    fn from(story: Story) -> Self {
        let attempts = story.attempts.map(|attempts| {
            let shown = attempts.into_iter().map(|(job_id, a)| AttemptOut {
                attempt: a.attempt,
                job_id,
                started_at: rfc3339(a.started_at),
                finished_at: a.finished_at.map(rfc3339),
                outcome: a.outcome.map(|o| o.as_str().to_owned()),
                error_class: a.error_class,
                provider_error_code: a.provider_error_code,
                next_attempt_at: a.next_attempt_at.map(rfc3339),
                worker: a.worker,
                replayed_by: a.replayed_by,
            });
            shown.collect()
        });
        Self {
            message: (&story.message).into(),
            author: AuthorOut::of(&story.message.message.author_id, story.author.as_deref()),
            attempts,
        }
    }
}

#[OpenApi(tag = "Tag::Messages")]
impl MessagesApi {
    /// Posts a message.
    ///
    /// Commits it with its thread and the jobs that follow (search, audit, forwarding, WhatsApp, SMS) in one
    /// transaction and answers the stored message. The same author posting the same `messageId` and content again
    /// gets 200 and `Idempotent-Replayed: true`, and nothing is written; other content is 409.
    #[oai(path = "/chat/threads/:id/messages", method = "post", operation_id = "messages.create")]
    async fn create(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        /// Makes a repeated request harmless: the same content is answered as before, other content is 409.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<Id<KeyForm>>>,
        body: StrictJson<MessageIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<PostedOut, ApiError> {
        let draft = body.0.try_into()?;
        let posted = services.chat.post_message(&caller, &trace, id.0.0, draft, key.0.map(|k| k.0)).await?;
        Ok(PostedOut::of((&posted.0).into(), posted.1))
    }

    /// Lists a thread's messages.
    ///
    /// Without a reference, or below `upperRef`, the newest messages; above `lowerRef` the oldest; with both, those
    /// strictly between. Guests see no notes.
    #[oai(path = "/chat/threads/:id/messages", method = "get", operation_id = "messages.list")]
    #[expect(clippy::too_many_arguments, reason = "one per documented parameter")]
    async fn list(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        /// The oldest message that the client holds: older ones are answered.
        #[oai(name = "upperRef")]
        upper_ref: Query<Option<Id<MessageId>>>,
        /// The newest message that the client holds: newer ones are answered.
        #[oai(name = "lowerRef")]
        lower_ref: Query<Option<Id<MessageId>>>,
        /// 1 to 100, 20 by default.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Order within the page, newest first by default.
        sort: Query<Option<SortIn>>,
        /// Only messages with all these words; accents and case do not matter, the last may be the beginning of one.
        /// One request looks at 100,000 messages or 32 MiB of text. Found something: `hasMore` is true, go on below
        /// it; found nothing: 422, go on with a reference further down.
        #[oai(validator(min_length = 1, max_length = 256))]
        search: Query<Option<String>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<MessagesOut>, ApiError> {
        let query = ListQuery {
            upper_ref: upper_ref.0.map(|id| id.0),
            lower_ref: lower_ref.0.map(|id| id.0),
            limit: limit.0.unwrap_or(LIMIT) as usize,
            ascending: sort.0 == Some(SortIn::Asc),
            search: search.0,
        };
        let listed = services.chat.list_messages(&caller, &id.0.0, query).await?;
        Ok(StrictJson(listed.into()))
    }

    /// Shows one message with what became of it.
    #[oai(path = "/chat/threads/:id/messages/:message_id", method = "get", operation_id = "messages.get")]
    async fn get(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        message_id: Path<Id<MessageId>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<MessageStoryOut>, ApiError> {
        let story = services.chat.message_story(&caller, &id.0.0, &message_id.0.0).await?;
        Ok(StrictJson(story.into()))
    }

    /// Sends a message again that failed, is parked or whose outcome is in doubt. Staff only.
    ///
    /// It is tried at once, in the order of its thread; 409 `not_resendable` for any other message. Sending again what
    /// is in doubt may reach the guest twice.
    #[oai(
        path = "/chat/threads/:id/messages/:message_id/resend",
        method = "post",
        operation_id = "messages.resend"
    )]
    async fn resend(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        message_id: Path<Id<MessageId>>,
        /// Makes a repeated request harmless.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<Id<KeyForm>>>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<ResentOut, ApiError> {
        let key = key.0.map(|key| key.0);
        let resent = services.chat.resend(&caller, &trace, &id.0.0, &message_id.0.0, key).await?;
        Ok(ResentOut::Queued(StrictJson((&resent.0).into()), resent.1.then(|| "true".to_owned())))
    }

    /// Tells who would get a message of a type, by which number, and why not. Staff only.
    #[oai(path = "/chat/threads/:id/send-preview", method = "get", operation_id = "messages.preview")]
    async fn preview(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        /// `message` by default.
        r#type: Query<Option<TypeOut>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<PreviewOut>, ApiError> {
        let kind = r#type.0.map(Into::into).unwrap_or_default();
        let preview = services.chat.preview(&caller, &id.0.0, kind).await?;
        Ok(StrictJson(preview.into()))
    }
}
