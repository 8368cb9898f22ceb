//! Sending, listing and marking as read, for agents and customers alike.

use mongodb::bson::{Document, doc};
use shared::committer::Posted;
use shared::domain::Time;
use shared::domain::actor::{Actor, Role};
use shared::domain::desk::DeskType;
use shared::domain::ids::{MessageId, ThreadId, Uid};
use shared::domain::message::Draft;
use shared::domain::thread::Thread;
use shared::store::{Created, IdempotencyKey, IdempotencyRow};
use url::Url;

use super::Desk;
use crate::chat::{Attempted, KeyForm, ListQuery, MessageView, Trace};
use crate::http::{ApiError, Code};

/// A message to be sent.
pub(crate) struct Sending {
    /// As the client wrote it.
    pub(crate) room_id: String,
    pub(crate) draft: Draft,
    /// Makes the room when it is absent.
    pub(crate) new_room: bool,
    /// Whose room it will be.
    pub(crate) support_conversation_id: Option<Uid>,
    pub(crate) key: Option<KeyForm>,
}

/// A message that is stored.
pub(crate) struct Sent {
    pub(crate) view: MessageView,
    /// The same request was answered before.
    pub(crate) replayed: bool,
}

/// How far somebody has read.
pub(crate) struct Marking {
    /// As the client wrote it.
    pub(crate) room_id: String,
    /// Up to this message; all of them when it is left out.
    pub(crate) up_to: Option<MessageId>,
    pub(crate) key: Option<KeyForm>,
}

impl Desk {
    /// Sends a message to a room.
    pub(crate) async fn send(
        &self,
        actor: &Actor,
        trace: &Trace,
        sending: Sending,
    ) -> Result<Sent, ApiError> {
        let mut metadata = room_metadata(&sending.room_id);
        metadata.insert("type", sending.draft.kind.unwrap_or_default().as_str());
        metadata.insert("attachmentCount", sending.draft.attachments.len() as i64);
        let result = self.try_send(actor, trace, sending).await;
        let attempted = Attempted::new("message.create", "message", "").with(metadata);
        self.chat.audited(result, actor, trace, attempted).await
    }

    async fn try_send(&self, actor: &Actor, trace: &Trace, sending: Sending) -> Result<Sent, ApiError> {
        check_draft(actor, &sending.draft)?;
        let idempotency = sending.key.as_ref().map(|key| key.scoped(actor, SEND, &content(actor, &sending)));
        let room = match self.room(actor, &sending.room_id).await {
            Err(absent) if absent.code == Code::NotFound && sending.new_room => {
                self.make_room(actor, trace, &sending).await?
            }
            found => found?,
        };
        if sending.new_room && is_of_another(&room, sending.support_conversation_id.as_ref()) {
            return Err(ApiError::new(Code::Conflict, "the room belongs to another conversation"));
        }
        let posted = self.chat.commit(actor, trace, room.thread_id, sending.draft, idempotency).await?;
        let replayed = posted.is_replay();
        let (Posted::New(message) | Posted::Replayed { message, .. }) = posted;
        let view = MessageView::of(message, actor.role).ok_or_else(|| ApiError::not_found("message"))?;
        Ok(Sent { view, replayed })
    }

    /// Makes the room that a message is sent to; another request may be faster.
    async fn make_room(&self, actor: &Actor, trace: &Trace, sending: &Sending) -> Result<Thread, ApiError> {
        let id = ThreadId::parse(&sending.room_id).map_err(|_| ApiError::not_found("room"))?;
        let customer = sending.support_conversation_id.as_ref().ok_or_else(|| {
            ApiError::unprocessable("a new room needs support_conversation_id, whose room it will be")
        })?;
        let room = Thread::room(&actor.account, Some(id), customer, Time::now());
        let job = self.chat.index_job(&room, trace);
        match self.scope(actor).create_thread(&room, &job, None).await? {
            Created::New(room) => {
                self.chat.push([job]);
                self.chat.announce_new(&room);
                Ok(room)
            }
            Created::Replayed(_) | Created::Conflict => match self.room(actor, &sending.room_id).await {
                Err(error) if error.code == Code::NotFound => {
                    Err(ApiError::new(Code::Conflict, "the id belongs to a thread that is no room"))
                }
                found => found,
            },
        }
    }

    /// A page of a room's messages, and whether there is more.
    pub(crate) async fn list(
        &self,
        actor: &Actor,
        room_id: &str,
        query: ListQuery,
    ) -> Result<(Thread, Vec<MessageView>, bool), ApiError> {
        let room = self.room(actor, room_id).await?;
        let (messages, has_more) = self.chat.page(actor, &room, query).await?;
        Ok((room, messages, has_more))
    }

    /// Moves the caller's read mark; answers how much is left unread and whether the request came before.
    pub(crate) async fn read(
        &self,
        actor: &Actor,
        trace: &Trace,
        marking: Marking,
    ) -> Result<(u64, bool), ApiError> {
        let metadata = room_metadata(&marking.room_id);
        let target = metadata.get_str("threadId").unwrap_or_default().to_owned();
        let result = self.try_read(actor, trace, marking).await;
        let attempted = Attempted::new("thread.read", "thread", &target).with(metadata);
        self.chat.audited(result, actor, trace, attempted).await
    }

    async fn try_read(
        &self,
        actor: &Actor,
        trace: &Trace,
        marking: Marking,
    ) -> Result<(u64, bool), ApiError> {
        let room = self.room(actor, &marking.room_id).await?;
        let scope = self.scope(actor);
        let up_to = marking.up_to.as_ref().map_or("", MessageId::as_str);
        let content = format!("{}/{up_to}", room.thread_id);
        let key = marking.key.map(|key| key.scoped(actor, READ, &content));
        if let Some(key) = &key
            && let Some(row) = scope.idempotency(key).await?
        {
            return match row.content_hash == key.content_hash {
                true => Ok((self.unread(actor, &room).await?, true)),
                false => Err(ApiError::new(
                    Code::IdempotencyConflict,
                    "the Idempotency-Key was used for other content",
                )),
            };
        }
        let room = self.chat.move_mark(actor, trace, &room.thread_id, marking.up_to.as_ref()).await?;
        if let Some(key) = key {
            scope.note_idempotency(&answered(key, &room)).await?;
        }
        Ok((self.unread(actor, &room).await?, false))
    }
}

/// What keys are scoped to beside account and caller; a caller is either staff or a customer.
const SEND: &str = "support/message";
const READ: &str = "support/message/read";

fn answered(key: IdempotencyKey, room: &Thread) -> IdempotencyRow {
    IdempotencyRow {
        scope: key.scope,
        content_hash: key.content_hash,
        resource_id: room.thread_id.to_string(),
        status: 200,
        created_at: Time::now(),
    }
}

/// All that makes two requests the same.
fn content(actor: &Actor, sending: &Sending) -> String {
    let draft = sending.draft.content_hash(&sending.room_id, &actor.uid);
    let whose = sending.support_conversation_id.as_ref().map_or("", Uid::as_str);
    format!("{draft}/{}/{whose}", sending.new_room)
}

/// What the support desk asks of a message beyond the rules of all messages.
fn check_draft(actor: &Actor, draft: &Draft) -> Result<(), ApiError> {
    if actor.role == Role::Guest {
        if draft.desk_type == Some(DeskType::Note) {
            return Err(ApiError::unprocessable("a customer cannot write notes"));
        }
        if draft.integration_app.is_some() {
            return Err(ApiError::unprocessable("integration_app is for the staff's side"));
        }
    }
    // Both sides' browsers open them.
    let web = |url: &str| {
        let url = Url::parse(url).ok();
        url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    if !draft.attachments.iter().all(|file| web(&file.url)) {
        return Err(ApiError::unprocessable("an attachment's url must be an http or https URL"));
    }
    Ok(())
}

/// Whether the room has a customer other than the one that is named.
fn is_of_another(room: &Thread, named: Option<&Uid>) -> bool {
    named.is_some_and(|named| room.customer_id.as_ref().is_some_and(|customer| customer != named))
}

/// What the audit trail says of a room that a client named: nothing, unless it has the form of an id.
fn room_metadata(room_id: &str) -> Document {
    match ThreadId::parse(room_id) {
        Ok(id) => doc! { "threadId": id.as_str() },
        Err(_) => doc! {},
    }
}
