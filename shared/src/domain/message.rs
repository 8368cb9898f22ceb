//! A message as it is stored, and the draft from which it is made.

use mongodb::bson::{Bson, Document};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::delivery::Delivery;
use super::desk::DeskType;
use super::ids::{AccountId, MalformedId, MessageId, ThreadId, Uid, key};
use super::reading::Place;
use super::template::Template;
use super::time::Time;

/// What kind of message it is. Never changes after the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageType {
    #[default]
    Message,
    WhatsappMessage,
    SmsMessage,
    /// Internal: never reaches a customer or guest.
    Note,
}

impl MessageType {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageType::Message => "message",
            MessageType::WhatsappMessage => "whatsapp-message",
            MessageType::SmsMessage => "sms-message",
            MessageType::Note => "note",
        }
    }
}

/// What the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentType {
    #[default]
    Text,
    Payment,
    PaymentProcessed,
}

impl ContentType {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            ContentType::Text => "text",
            ContentType::Payment => "payment",
            ContentType::PaymentProcessed => "payment-processed",
        }
    }
}

/// Where a message or thread comes from: `[a-z0-9-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source(String);

impl Source {
    pub const HUBUBB: &'static str = "hububb";
    pub const OPERATIONS: &'static str = "operations";
    pub const WHATSAPP: &'static str = "whatsapp";
    pub const SMS: &'static str = "sms";
    pub const TWILIO: &'static str = "twilio";
    pub const HUBUBB_GUEST: &'static str = "hububb-guest";

    /// Checks the form.
    ///
    /// # Errors
    /// [`MalformedId`] when it is empty, longer than 64 or has another character.
    pub fn parse(value: &str) -> Result<Self, MalformedId> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if value.is_empty() || value.len() > 64 || !value.bytes().all(allowed) {
            return Err(MalformedId("source"));
        }
        Ok(Self(value.to_owned()))
    }

    /// The source as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Source {
    fn default() -> Self {
        Self(Source::HUBUBB.to_owned())
    }
}

impl TryFrom<String> for Source {
    type Error = MalformedId;
    fn try_from(value: String) -> Result<Self, MalformedId> {
        Self::parse(&value)
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.0
    }
}

/// A file of a message. API A shows `url` alone, the support desk shows all of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attachment {
    /// A URL, or the identifier of a file.
    pub url: String,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
}

impl Attachment {
    /// An attachment of which only the URL or identifier is known.
    pub fn from_url(url: String) -> Self {
        Self { url, media_type: None, name: None, size: None }
    }
}

/// A message that somebody wants to post, with well-formed fields and nothing decided yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// The client's own id; `None` lets the server make one.
    pub message_id: Option<MessageId>,
    pub body: String,
    pub source: Option<Source>,
    pub external_message_id: Option<String>,
    pub attachments: Vec<Attachment>,
    pub kind: Option<MessageType>,
    pub payment_content: Option<Document>,
    pub content_type: Option<ContentType>,
    /// Services only.
    pub author_id: Option<Uid>,
    /// Bot or automation, support desk only.
    pub integration_app: Option<String>,
    /// What it was called when it was posted through the support desk.
    pub desk_type: Option<DeskType>,
    /// The WhatsApp template that it is.
    pub template: Option<Template>,
}

/// A message as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// `{accountId}/{messageId}`.
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    pub message_id: MessageId,
    pub thread_id: ThreadId,
    /// `{accountId}/{threadId}`: what a thread's messages are found by.
    pub thread: String,
    /// 1, 2, 3 … within the thread, without gaps.
    pub seq: i64,
    /// The same for those who may not see notes; absent on notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_seq: Option<i64>,
    /// How many messages of the room's customer there were, this one included; absent where there is no customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_seq: Option<i64>,
    pub author_id: Uid,
    /// The author's conversation (support desk), where it is not called like the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    pub body: String,
    #[serde(rename = "type")]
    pub kind: MessageType,
    pub source: Source,
    pub content_type: ContentType,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_content: Option<Document>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_app: Option<String>,
    /// What it was called when it was posted through the support desk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desk_type: Option<DeskType>,
    /// The WhatsApp template that it is; `body` is how it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Grows with each change that the search index must see.
    pub rev: i64,
    /// Digest of what the author sent, by which a repeated post is told from a conflicting one.
    pub content_hash: String,
    pub created_at: Time,
    pub updated_at: Time,
}

impl Message {
    /// Whether customers and guests may see it.
    pub fn is_public(&self) -> bool {
        self.kind != MessageType::Note
    }

    /// Where it stands in its thread, for read marks.
    pub fn place(&self) -> Place {
        Place { seq: self.seq, customer_seq: self.customer_seq.unwrap_or(0) }
    }

    /// The conversation that it came from, as the support desk calls it.
    pub fn conversation_id(&self) -> &str {
        self.conversation_id.as_deref().unwrap_or(self.author_id.as_str())
    }

    /// The key of message `id` of `account`.
    pub fn key_of(account: &AccountId, id: &MessageId) -> String {
        key(account, id)
    }
}

impl Draft {
    /// Digest of what `author` posts to `thread` after defaults, independent of field order in the request.
    pub fn content_hash(&self, thread: &str, author: &Uid) -> String {
        let mut hasher = Sha256::new();
        let mut field = |tag: &str, value: &[u8]| {
            hasher.update(tag.as_bytes());
            hasher.update((value.len() as u64).to_le_bytes());
            hasher.update(value);
        };
        field("thread", thread.as_bytes());
        field("author", author.as_str().as_bytes());
        field("body", self.body.as_bytes());
        field("type", self.kind.unwrap_or_default().as_str().as_bytes());
        field("source", self.source.clone().unwrap_or_default().as_str().as_bytes());
        field("content", self.content_type.unwrap_or_default().as_str().as_bytes());
        for a in &self.attachments {
            field("url", a.url.as_bytes());
            field("media", a.media_type.as_deref().unwrap_or_default().as_bytes());
            field("name", a.name.as_deref().unwrap_or_default().as_bytes());
            field("size", &a.size.unwrap_or(-1).to_le_bytes());
        }
        if let Some(id) = &self.external_message_id {
            field("external", id.as_bytes());
        }
        if let Some(app) = &self.integration_app {
            field("app", app.as_bytes());
        }
        if let Some(desk_type) = self.desk_type {
            field("desk", desk_type.as_str().as_bytes());
        }
        if let Some(template) = &self.template {
            // Whether it advertises is not the author's word.
            let asked = Template { marketing: false, ..template.clone() };
            field("template", serde_json::to_string(&asked).unwrap_or_default().as_bytes());
        }
        if let Some(payment) = &self.payment_content {
            field("payment", canonical(payment).to_string().as_bytes());
        }
        hex::encode(&hasher.finalize()[..16])
    }
}

/// Keys sorted at every level, so that two spellings of one object have one digest.
fn canonical(document: &Document) -> Document {
    fn sorted(value: &Bson) -> Bson {
        match value {
            Bson::Document(inner) => Bson::Document(canonical(inner)),
            Bson::Array(items) => Bson::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    let mut entries: Vec<_> = document.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter().collect()
}
