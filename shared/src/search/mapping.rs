//! The two indices: their names, settings and strict mappings.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One of the two indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexKind {
    /// One document per thread, version = the thread's `version`.
    Threads,
    /// One document per message, version = the message's `rev`.
    Messages,
}

impl IndexKind {
    /// Both, in the order in which they are made.
    pub const ALL: [Self; 2] = [Self::Threads, Self::Messages];

    /// Name of the alias after the prefix; also the metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Messages => "messages",
        }
    }

    /// The strict mapping. Fields may be added, which reaches existing indices too; a changed one needs a rebuild.
    pub(super) fn mapping(self) -> Value {
        let properties = match self {
            Self::Messages => json!({
                "accountId": keyword(),
                "threadId": keyword(),
                "messageId": keyword(),
                "seq": { "type": "long" },
                "type": keyword(),
                "source": keyword(),
                "contentType": keyword(),
                "authorId": keyword(),
                "externalMessageId": keyword(),
                "note": { "type": "boolean" },
                "createdAt": date(),
                "rev": { "type": "long" },
                "body": kept(),
                "text": folded_words(),
                "ids": folded_words(),
            }),
            Self::Threads => json!({
                "accountId": keyword(),
                "threadId": keyword(),
                "kind": keyword(),
                "source": keyword(),
                "status": keyword(),
                "important": { "type": "boolean" },
                "participantIds": keyword(),
                "assignedAgentIds": keyword(),
                "viewers": keyword(),
                "needsAttention": keyword(),
                "updatedAt": date(),
                "publicUpdatedAt": date(),
                "version": { "type": "long" },
                "title": kept(),
                "guestName": kept(),
                "lastMessage": folded_words(),
                "lastPublicMessage": folded_words(),
                "text": folded_words(),
                "ids": folded_words(),
            }),
        };
        json!({
            "dynamic": "strict",
            // Without it a forgotten routing would look in the wrong shard and find nothing.
            "_routing": { "required": true },
            // Derived from what is kept; the indices are rebuilt from MongoDB, never from themselves.
            "_source": { "excludes": ["text", "ids", "lastMessage", "lastPublicMessage"] },
            "properties": properties,
        })
    }

    /// True for a field of this index: the only words of Elasticsearch's reasons that may be passed on.
    pub(super) fn has_field(self, name: &str) -> bool {
        self.mapping()["properties"].get(name).is_some()
    }
}

fn keyword() -> Value {
    json!({ "type": "keyword" })
}

fn date() -> Value {
    json!({ "type": "date", "format": "strict_date_optional_time" })
}

/// An original, kept for highlights and never searched.
fn kept() -> Value {
    json!({ "type": "text", "index": false, "norms": false })
}

/// Words made by `search::words_joined`: blanks separate them and nothing else is done here. They are only
/// compared and never ranked, so neither positions nor frequencies are stored.
fn folded_words() -> Value {
    json!({
        "type": "text",
        "analyzer": "whitespace",
        "search_analyzer": "standard", // for people who ask by hand; our own questions are finished words
        "norms": false,
        "index_options": "docs",
        "index_prefixes": { "min_chars": 1, "max_chars": 12 },
    })
}
