//! Objects that several endpoints of the desk take or answer with.

use poem_openapi::{ApiResponse, Enum, Object};
use shared::domain::desk::{DeskType, SenderType};
use shared::domain::message::{Attachment, Draft, Message};
use shared::domain::thread::Thread;
use shared::domain::time::rfc3339;

use super::examples;
use crate::chat::MessageView;
use crate::desk::Sent;
use crate::http::StrictJson;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(super) enum DeskTypeForm {
    /// Plain text.
    Text,
    /// Internal; never reaches a customer. Agents only.
    Note,
    /// A picture, attached.
    Image,
    /// A file, attached.
    File,
}

impl From<DeskTypeForm> for DeskType {
    fn from(form: DeskTypeForm) -> Self {
        match form {
            DeskTypeForm::Text => Self::Text,
            DeskTypeForm::Note => Self::Note,
            DeskTypeForm::Image => Self::Image,
            DeskTypeForm::File => Self::File,
        }
    }
}

impl From<DeskType> for DeskTypeForm {
    fn from(desk_type: DeskType) -> Self {
        match desk_type {
            DeskType::Text => Self::Text,
            DeskType::Note => Self::Note,
            DeskType::Image => Self::Image,
            DeskType::File => Self::File,
        }
    }
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(super) enum SenderOut {
    /// The room's customer.
    Customer,
    /// Anybody else.
    Agent,
}

impl From<SenderType> for SenderOut {
    fn from(sender: SenderType) -> Self {
        match sender {
            SenderType::Customer => Self::Customer,
            SenderType::Agent => Self::Agent,
        }
    }
}

/// A file of a message to be sent.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct DeskAttachmentIn {
    /// An http or https URL of at most 4096 bytes.
    url: String,
    /// The media type, such as `image/png`.
    #[oai(validator(min_length = 1, max_length = 127))]
    r#type: String,
    #[oai(validator(max_length = 256))]
    name: Option<String>,
    /// In bytes.
    #[oai(validator(minimum(value = "0")))]
    size: Option<i64>,
}

/// The message itself.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct DeskMessageIn {
    r#type: DeskTypeForm,
    /// The text, at most 32 KiB of UTF-8; empty only for `image` and `file`.
    content: String,
    /// At most 15; `image` and `file` need one.
    attachments: Option<Vec<DeskAttachmentIn>>,
}

impl DeskMessageIn {
    pub(super) fn text(content: &str) -> Self {
        Self { r#type: DeskTypeForm::Text, content: content.to_owned(), attachments: None }
    }

    /// The draft that it means, written by `integration_app` or by a person.
    pub(super) fn draft(self, integration_app: Option<String>) -> Draft {
        let desk_type = DeskType::from(self.r#type);
        let attachments = self.attachments.unwrap_or_default().into_iter().map(|file| Attachment {
            url: file.url,
            media_type: Some(file.r#type),
            name: file.name,
            size: file.size,
        });
        Draft {
            body: self.content,
            kind: Some(desk_type.kind()),
            desk_type: Some(desk_type),
            attachments: attachments.collect(),
            integration_app,
            ..Draft::default()
        }
    }
}

/// A file of a message.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct DeskAttachmentOut {
    url: String,
    /// The media type.
    r#type: String,
    name: Option<String>,
    /// In bytes.
    size: Option<i64>,
}

/// A message as the support desk shows it.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct DeskMessageOut {
    #[oai(rename = "_id")]
    pub(super) id: String,
    pub(super) room_id: String,
    /// The conversation of its author: an agent's or the customer's.
    pub(super) conversation_id: String,
    pub(super) content: String,
    pub(super) r#type: DeskTypeForm,
    pub(super) attachments: Option<Vec<DeskAttachmentOut>>,
    /// The bot or automation that wrote it.
    pub(super) integration_app: Option<String>,
    /// 1, 2, 3 … within the room, without gaps; customers count what they may see.
    pub(super) seq: i64,
    pub(super) created_at: String,
    pub(super) updated_at: String,
    /// Who wrote it; in the agents' lists and at sockets.
    pub(super) sender_type: Option<SenderOut>,
    /// Whether the customer wrote it; in the customer's lists. At a guest's socket: whether the guest did.
    pub(super) is_mine: Option<bool>,
}

impl DeskMessageOut {
    /// A message at the place `seq`, without telling who wrote it.
    pub(super) fn of(message: &Message, seq: i64) -> Self {
        let files = message.attachments.iter().map(|file| DeskAttachmentOut {
            url: file.url.clone(),
            r#type: file.media_type().to_owned(),
            name: file.name.clone(),
            size: file.size,
        });
        let files: Vec<_> = files.collect();
        Self {
            id: message.message_id.to_string(),
            room_id: message.thread_id.to_string(),
            conversation_id: message.conversation_id().to_owned(),
            content: message.body.clone(),
            r#type: message.shown_as().into(),
            attachments: Some(files).filter(|files| !files.is_empty()),
            integration_app: message.integration_app.clone(),
            seq,
            created_at: rfc3339(message.created_at),
            updated_at: rfc3339(message.updated_at),
            sender_type: None,
            is_mine: None,
        }
    }

    /// As live sockets show it. `is_mine` is for guests only.
    pub(crate) fn live(room: &Thread, view: &MessageView, is_mine: Option<bool>) -> Self {
        Self { is_mine, ..Self::for_agent(room, view) }
    }

    /// As agents see it.
    pub(super) fn for_agent(room: &Thread, view: &MessageView) -> Self {
        let sender = room.sender_of(&view.message).into();
        Self { sender_type: Some(sender), ..Self::of(&view.message, view.seq) }
    }

    /// As the room's customer sees it.
    pub(super) fn for_customer(room: &Thread, view: &MessageView) -> Self {
        let mine = room.is_customer(&view.message.author_id);
        Self { is_mine: Some(mine), ..Self::of(&view.message, view.seq) }
    }
}

/// The sent message, wrapped once.
#[derive(Debug, Clone, Object)]
pub(super) struct DeskSentMessage {
    pub(super) message: DeskMessageOut,
}

/// A message that was sent.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct DeskSentOut {
    /// Always true; an error has its own form.
    pub(super) success: bool,
    /// The message, wrapped twice.
    pub(super) messages: DeskSentMessage,
}

impl poem_openapi::types::Example for DeskSentOut {
    fn example() -> Self {
        examples::sent()
    }
}

#[derive(ApiResponse)]
pub(super) enum DeskSent {
    /// It is stored.
    #[oai(status = 200)]
    Sent(StrictJson<DeskSentOut>, #[oai(header = "Idempotent-Replayed")] Option<String>),
}

impl From<Sent> for DeskSent {
    fn from(sent: Sent) -> Self {
        let message = DeskMessageOut::of(&sent.view.message, sent.view.seq);
        let out = DeskSentOut { success: true, messages: DeskSentMessage { message } };
        Self::Sent(StrictJson(out), sent.replayed.then(|| "true".to_owned()))
    }
}

/// A page of a room's messages.
#[derive(Debug, Clone, Object)]
pub(super) struct DeskMessagesOut {
    /// Always true; an error has its own form.
    pub(super) success: bool,
    pub(super) messages: Vec<DeskMessageOut>,
    /// One more message exists in the direction of the page.
    #[oai(rename = "hasMore")]
    pub(super) has_more: bool,
}
