//! The support desk's words for what the core knows: a room's customer, a message's type, what is unread.

use serde::{Deserialize, Serialize};

use super::ids::{AccountId, ThreadId, Uid};
use super::message::{Attachment, Message, MessageType};
use super::thread::{Thread, ThreadDraft, ThreadKind};
use super::time::Time;

/// What the support desk calls a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeskType {
    Text,
    /// Internal: never reaches the customer.
    Note,
    Image,
    File,
}

impl DeskType {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            DeskType::Text => "text",
            DeskType::Note => "note",
            DeskType::Image => "image",
            DeskType::File => "file",
        }
    }

    /// The kind of message that it is for everybody else.
    pub fn kind(self) -> MessageType {
        if self == DeskType::Note { MessageType::Note } else { MessageType::Message }
    }
}

/// Who wrote a message of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderType {
    Customer,
    Agent,
}

/// Endings of file names that browsers show as pictures, with their media types.
const IMAGES: [(&str, &str); 10] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("svg", "image/svg+xml"),
    ("bmp", "image/bmp"),
    ("heic", "image/heic"),
    ("tiff", "image/tiff"),
];

impl Attachment {
    /// Its media type: what was said when it was posted, else what the end of its URL tells.
    pub fn media_type(&self) -> &str {
        self.media_type
            .as_deref()
            .unwrap_or_else(|| by_ending(&self.url).unwrap_or("application/octet-stream"))
    }

    fn is_image(&self) -> bool {
        let said =
            self.media_type.as_deref().is_some_and(|said| said.to_ascii_lowercase().starts_with("image"));
        said || by_ending(&self.url).is_some()
    }
}

/// The media type of a picture, by the ending of its path.
fn by_ending(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let (_, ending) = file.rsplit_once('.')?;
    IMAGES.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, media)| *media)
}

impl Message {
    /// What the support desk calls it: what it was posted as, else what it looks like.
    pub fn shown_as(&self) -> DeskType {
        match self.desk_type {
            _ if self.kind == MessageType::Note => DeskType::Note,
            Some(posted_as) => posted_as,
            None if self.attachments.iter().any(Attachment::is_image) => DeskType::Image,
            None if !self.attachments.is_empty() => DeskType::File,
            None => DeskType::Text,
        }
    }
}

impl Thread {
    /// A room of the support desk for `customer`; `id` as a client chose it, else a new one.
    pub fn room(account: &AccountId, id: Option<ThreadId>, customer: &Uid, now: Time) -> Thread {
        let draft = ThreadDraft {
            thread_id: id,
            kind: Some(ThreadKind::Support),
            participant_ids: vec![customer.clone()],
            ..ThreadDraft::default()
        };
        Thread::assemble(account, draft, Some(customer.clone()), now)
    }

    /// Whether `uid` is the room's customer.
    pub fn is_customer(&self, uid: &Uid) -> bool {
        self.customer_id.as_ref() == Some(uid)
    }

    /// Who wrote `message`, which must be of this room.
    pub fn sender_of(&self, message: &Message) -> SenderType {
        if self.is_customer(&message.author_id) { SenderType::Customer } else { SenderType::Agent }
    }

    /// How many messages of the room's customer stand above the read mark of `uid`.
    pub fn unread_of_customer(&self, uid: &Uid) -> i64 {
        let read = self.read_marks.iter().find(|m| m.uid == *uid).map_or(0, |m| m.customer_seq);
        self.customer_seq - read
    }
}
