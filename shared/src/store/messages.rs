//! Reading messages: one, many, a page.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::scan::Scan;
use super::{Scope, Store, StoreError, duplicate_index};
use crate::domain::delivery::{Delivery, DeliveryState, News};
use crate::domain::ids::{MessageId, ThreadId};
use crate::domain::message::{Message, Source};
use crate::domain::time::Time;
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

    /// Applies `news` to the delivery of message `key`; answers the message after it, or `None` when the news
    /// was late, repeated or beaten. `provider_id` is kept as the message's `externalMessageId` where it has
    /// none yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliver(
        &self,
        key: &str,
        news: &News,
        mut provider_id: Option<&str>,
    ) -> Result<Option<Delivery>, StoreError> {
        loop {
            let Some(message) = self.message_by_key(key).await? else { return Ok(None) };
            let Some(now) = &message.delivery else { return Ok(None) };
            let next = now.after(news);
            let adopt = provider_id.filter(|_| message.external_message_id.is_none());
            if next.is_none() && adopt.is_none() {
                return Ok(None);
            }
            let shown = next.clone().unwrap_or_else(|| now.clone());
            let mut set = doc! {
                "delivery": mongodb::bson::serialize_to_bson(&shown)?,
                "updatedAt": message.updated_at.max(news.at),
            };
            if let Some(id) = adopt {
                set.insert("externalMessageId", id);
            }
            let guard = doc! {
                "_id": key,
                "delivery.state": now.state.as_str(),
                "delivery.attempt": now.attempt,
                "delivery.updatedAt": now.updated_at,
            };
            let messages = self.store.collection::<Document>("messages");
            match messages.update_one(guard, doc! { "$set": set }).await {
                Ok(result) if result.matched_count == 1 => return Ok(next),
                Ok(_) => {}
                // The provider gave one id to two messages: the first keeps it.
                Err(error) if duplicate_index(&error).is_some() => provider_id = None,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Notes on the thread that a WhatsApp message was accepted at `at`; never moves back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_whatsapp_sent(&self, thread_key: &str, at: Time) -> Result<(), StoreError> {
        let update = doc! { "$max": { "lastWhatsappMessageSentAt": at } };
        self.store
            .collection::<Document>("threads")
            .update_one(doc! { "_id": thread_key, "accountId": self.account.as_str() }, update)
            .await?;
        Ok(())
    }

    /// Whether `state` is what the message's delivery shows now; for tests and the operators' story.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delivery_state(&self, key: &str) -> Result<Option<DeliveryState>, StoreError> {
        Ok(self.message_by_key(key).await?.and_then(|m| m.delivery).map(|d| d.state))
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
