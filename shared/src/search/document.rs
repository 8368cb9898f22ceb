//! The documents: plain fields in, folded words added when they are written.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::error::IndexError;
use super::mapping::IndexKind;
use super::words::{WordQuery, words_joined};

/// Longest document id in bytes; Elasticsearch refuses the whole bulk for one that is longer.
const ID_BYTES_MAX: usize = 512;

/// One message as it is indexed. Originals only: folding is done here.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageDoc {
    /// The account; also the routing.
    pub account_id: String,
    /// The thread that holds it.
    pub thread_id: String,
    /// Unique within the account.
    pub message_id: String,
    /// Its place in the thread.
    pub seq: u64,
    /// `message`, `note`, `whatsapp-message` …
    #[serde(rename = "type")]
    pub message_type: String,
    /// Where it came from.
    pub source: String,
    /// `text`, `payment` …
    pub content_type: String,
    /// Who wrote it.
    pub author_id: String,
    /// The body as written; kept for highlights.
    pub body: String,
    /// Commit time.
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    /// Notes are for staff only and are filtered out of every other search.
    pub note: bool,
    /// The id that the source gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_message_id: Option<String>,
    /// Its revision; an older one never replaces a newer one.
    pub rev: u64,
}

impl MessageDoc {
    /// True when the words find this message: what Elasticsearch would say, for messages it does not hold yet.
    pub fn matches(&self, query: &WordQuery) -> bool {
        query.matches_with_ids(&self.search_text(), &self.search_ids())
    }

    fn search_text(&self) -> String {
        words_joined(&self.body)
    }

    fn search_ids(&self) -> String {
        words_joined(&format!(
            "{} {}",
            self.message_id,
            self.external_message_id.as_deref().unwrap_or_default()
        ))
    }
}

/// One thread as it is indexed. Originals only: folding is done here.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadDoc {
    /// The account; also the routing.
    pub account_id: String,
    /// Unique within the account.
    pub thread_id: String,
    /// `guest`, `support`, `team`.
    pub kind: String,
    /// Where it came from.
    pub source: String,
    /// `open`, `snoozed`, `resolved`.
    pub status: String,
    /// The flag.
    pub important: bool,
    /// The title as written; kept for highlights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The guest's name as written; kept for highlights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_name: Option<String>,
    /// Ids that find the thread (its own, its reservation's …). Guests search them too: nothing for staff only.
    #[serde(skip)]
    pub ids: Vec<String>,
    /// All participants.
    pub participant_ids: Vec<String>,
    /// Agents in charge.
    pub assigned_agent_ids: Vec<String>,
    /// Entitlement tokens (`staff`, `admins`, `u:…`).
    pub viewers: Vec<String>,
    /// Who has something to read.
    pub needs_attention: Vec<String>,
    /// Body of the last message, notes too.
    #[serde(skip)]
    pub last_message: Option<String>,
    /// Body of the last message that is no note.
    #[serde(skip)]
    pub last_public_message: Option<String>,
    /// Last change.
    #[serde(serialize_with = "milliseconds")]
    pub updated_at: DateTime<Utc>,
    /// Last change that guests see.
    #[serde(serialize_with = "optional_milliseconds", skip_serializing_if = "Option::is_none")]
    pub public_updated_at: Option<DateTime<Utc>>,
    /// Its version; an older one never replaces a newer one.
    pub version: u64,
}

impl ThreadDoc {
    /// True when the words find this thread by its own fields: title, guest name, ids.
    pub fn matches(&self, query: &WordQuery) -> bool {
        query.matches_with_ids(&self.search_text(), &self.search_ids())
    }

    fn search_text(&self) -> String {
        let [title, guest] = [&self.title, &self.guest_name].map(|name| name.as_deref().unwrap_or_default());
        words_joined(&format!("{title} {guest}"))
    }

    fn search_ids(&self) -> String {
        words_joined(&self.ids.join(" "))
    }
}

/// One document to be written.
#[derive(Clone)]
pub enum IndexOp {
    /// Write a message unless a newer revision is there.
    Message(Box<MessageDoc>),
    /// Write a thread unless a newer version is there.
    Thread(Box<ThreadDoc>),
}

impl From<MessageDoc> for IndexOp {
    fn from(doc: MessageDoc) -> Self {
        Self::Message(Box::new(doc))
    }
}

impl From<ThreadDoc> for IndexOp {
    fn from(doc: ThreadDoc) -> Self {
        Self::Thread(Box::new(doc))
    }
}

/// Shows ids and versions, never text.
impl std::fmt::Debug for IndexOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} v{}", self.kind().name(), self.id(), self.version())
    }
}

/// Which of two writes of one document stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionRule {
    /// The newer version; of equal ones the later write.
    LaterWrite,
    /// The newer version; of equal ones the one that is there.
    Present,
}

impl VersionRule {
    fn version_type(self) -> &'static str {
        match self {
            Self::LaterWrite => "external_gte",
            Self::Present => "external",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithWords<'a, T> {
    #[serde(flatten)]
    doc: &'a T,
    text: String,
    ids: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_public_message: Option<String>,
}

impl IndexOp {
    /// The index it belongs to.
    pub fn kind(&self) -> IndexKind {
        match self {
            Self::Message(_) => IndexKind::Messages,
            Self::Thread(_) => IndexKind::Threads,
        }
    }

    /// The document id, `{accountId}/{id}`, as in MongoDB.
    pub fn id(&self) -> String {
        match self {
            Self::Message(doc) => format!("{}/{}", doc.account_id, doc.message_id),
            Self::Thread(doc) => format!("{}/{}", doc.account_id, doc.thread_id),
        }
    }

    /// The external version.
    pub fn version(&self) -> u64 {
        match self {
            Self::Message(doc) => doc.rev,
            Self::Thread(doc) => doc.version,
        }
    }

    fn account(&self) -> &str {
        match self {
            Self::Message(doc) => &doc.account_id,
            Self::Thread(doc) => &doc.account_id,
        }
    }

    /// The two lines of a bulk request for this document.
    ///
    /// Refuses what would make Elasticsearch refuse the whole bulk: an id too long, no account, a version over 2^63.
    pub(super) fn lines(&self, alias: &str, rule: VersionRule) -> Result<Vec<u8>, IndexError> {
        let id = self.id();
        if id.len() > ID_BYTES_MAX {
            return Err(IndexError::refused("id_too_long", None));
        }
        if self.account().is_empty() {
            return Err(IndexError::refused("account_missing", Some("accountId")));
        }
        if i64::try_from(self.version()).is_err() {
            return Err(IndexError::refused("version_too_large", None));
        }
        let action = serde_json::json!({ "index": {
            "_index": alias,
            "_id": id,
            "routing": self.account(),
            "version": self.version(),
            "version_type": rule.version_type(),
        }});
        let mut lines = serde_json::to_vec(&action).map_err(|_| unwritable())?;
        lines.push(b'\n');
        match self {
            Self::Message(doc) => {
                let (text, ids) = (doc.search_text(), doc.search_ids());
                let doc =
                    WithWords { doc: doc.as_ref(), text, ids, last_message: None, last_public_message: None };
                serde_json::to_writer(&mut lines, &doc).map_err(|_| unwritable())?;
            }
            Self::Thread(doc) => {
                let doc = WithWords {
                    doc: doc.as_ref(),
                    text: doc.search_text(),
                    ids: doc.search_ids(),
                    last_message: doc.last_message.as_deref().map(words_joined),
                    last_public_message: doc.last_public_message.as_deref().map(words_joined),
                };
                serde_json::to_writer(&mut lines, &doc).map_err(|_| unwritable())?;
            }
        }
        lines.push(b'\n');
        Ok(lines)
    }
}

fn unwritable() -> IndexError {
    IndexError::refused("not_serialisable", None)
}

fn milliseconds<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn optional_milliseconds<S: Serializer>(
    at: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => milliseconds(at, serializer),
        None => serializer.serialize_none(),
    }
}
