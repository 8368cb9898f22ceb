//! Reading messages: one, many, a page.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::scan::Scan;
use super::{Scope, Store, StoreError};
use crate::domain::ids::{MessageId, ThreadId};
use crate::domain::message::{Message, Source};
use crate::search::{WordQuery, fold};

/// Which messages of a thread a page holds. Refs are exclusive.
#[derive(Debug, Clone)]
pub struct PageQuery {
    /// Only messages that are no notes, counted by `publicSeq`.
    pub public_only: bool,
    /// Below this `seq`: the oldest that the client holds.
    pub upper: Option<i64>,
    /// Above this `seq`: the newest that the client holds.
    pub lower: Option<i64>,
    /// 1–100.
    pub limit: usize,
    /// Oldest first on the page.
    pub ascending: bool,
    /// All words, prefix on the last, folded.
    pub search: Option<String>,
}

/// A page of messages.
#[derive(Debug, Clone)]
pub struct Page {
    pub messages: Vec<Message>,
    /// One more visible message exists in the direction of the page, or may: a search looks at a bounded number.
    pub has_more: bool,
    /// A search looked at as many messages as it may and found none of its words.
    pub gave_up: bool,
}

impl Scope {
    /// Message `id` of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message(&self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        self.message_by_key(&self.key(id)).await
    }

    /// The message with key `{accountId}/{messageId}`, which must be of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message_by_key(&self, key: &str) -> Result<Option<Message>, StoreError> {
        let filter = doc! { "_id": key, "accountId": self.account.as_str() };
        Ok(self.store.collection::<Message>("messages").find_one(filter).await?)
    }

    /// The message that an external system knows by `id`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message_by_external_id(
        &self,
        source: &Source,
        id: &str,
    ) -> Result<Option<Message>, StoreError> {
        let filter =
            doc! { "accountId": self.account.as_str(), "source": source.as_str(), "externalMessageId": id };
        let messages = self.store.collection::<Message>("messages");
        Ok(messages.find_one(filter).read_concern(super::settled()).await?)
    }

    /// The deliveries of some messages, by message key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliveries(&self, keys: &[&str]) -> Result<Vec<Message>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let filter = doc! { "_id": { "$in": keys }, "delivery": { "$exists": true } };
        Ok(self.store.collection::<Message>("messages").find(filter).await?.try_collect().await?)
    }

    /// A page of `thread`'s messages. A search without any word finds nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn messages(&self, thread: &ThreadId, query: &PageQuery) -> Result<Page, StoreError> {
        let words = match query.search.as_deref().map(WordQuery::parse) {
            Some(None) => return Ok(Page { messages: Vec::new(), has_more: false, gave_up: false }),
            Some(words) => words,
            None => None,
        };
        let order = if query.public_only { "publicSeq" } else { "seq" };
        let mut range = Document::new();
        if let Some(upper) = query.upper {
            range.insert("$lt", upper);
        }
        if let Some(lower) = query.lower {
            range.insert("$gt", lower);
        }
        let mut filter = doc! { "thread": self.key(thread) };
        match (range.is_empty(), query.public_only) {
            (false, _) => drop(filter.insert(order, range)),
            (true, true) => drop(filter.insert(order, doc! { "$exists": true })),
            (true, false) => {}
        }
        // Which end of the range a page is cut from: the lower ref's side only when it stands alone, or when
        // both are given and the page is read upwards.
        let from_below = query.lower.is_some() && (query.upper.is_none() || query.ascending);
        let direction = if from_below { 1 } else { -1 };
        let collection = self.store.collection::<Message>("messages");
        let find = collection.find(filter).sort(doc! { order: direction });
        let mut cursor = match words {
            Some(_) => find.batch_size(200).await?,
            None => find.limit(query.limit as i64 + 1).await?,
        };
        let mut messages: Vec<Message> = Vec::with_capacity(query.limit + 1);
        let mut scan = Scan::default();
        while messages.len() <= query.limit && !scan.is_over() {
            let Some(message) = cursor.try_next().await? else { break };
            if let Some(words) = &words {
                scan.count(message.body.len());
                tokio::task::consume_budget().await; // folding is work, and a batch of messages is at hand
                if !words.matches(&fold(&message.body)) {
                    continue;
                }
            }
            messages.push(message);
        }
        let has_more = messages.len() > query.limit || scan.is_over();
        let gave_up = messages.is_empty() && scan.is_over();
        messages.truncate(query.limit);
        if from_below != query.ascending {
            messages.reverse();
        }
        Ok(Page { messages, has_more, gave_up })
    }
}

impl Store {
    /// Messages by key, whatever their account: for the commit path, whose keys carry the caller's account.
    pub(crate) async fn messages_by_key(&self, keys: &[&str]) -> Result<Vec<Message>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let messages = self.collection::<Message>("messages");
        let find = messages.find(doc! { "_id": { "$in": keys } }).read_concern(super::settled());
        Ok(find.await?.try_collect().await?)
    }
}
