//! What became of messages that left by a channel: news applied to `delivery`, guarded by what it was before.
//!
//! A message that is sent and reported is written several times, each time with a flush of the journal. Writes that
//! wait while others are in flight go out in one command; a lone one is written at once.

use std::collections::HashMap;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc, serialize_to_bson};
use mongodb::{Collection, Database};

use super::{Scope, StoreError, duplicate_index};
use crate::coalesce::Coalescer;
use crate::domain::delivery::{Delivery, DeliveryState, News};
use crate::domain::message::Message;
use crate::domain::time::Time;

/// Messages in one command.
const GROUP_MAX: usize = 32;

/// A change of one message's delivery.
#[derive(Debug, Clone)]
struct Change {
    key: String,
    /// `delivery` as it was seen: written only while it stands.
    before: Delivery,
    after: Delivery,
    updated_at: Time,
    /// To be kept as `externalMessageId`.
    external_id: Option<String>,
}

/// How a change went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applied {
    Written,
    /// Others changed the message meanwhile.
    Beaten,
    /// Another message has the external id.
    IdTaken,
}

/// The waiting line of changes. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Deliveries {
    changes: Coalescer<Change, Result<Applied, StoreError>>,
}

impl Deliveries {
    pub(super) fn start(db: &Database) -> Self {
        let messages = db.collection("messages");
        let changes = Coalescer::start("deliver", GROUP_MAX, move |changes| {
            let messages = messages.clone();
            async move { apply_all(&messages, changes).await }
        });
        Self { changes }
    }
}

impl Scope {
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
        provider_id: Option<&str>,
    ) -> Result<Option<Delivery>, StoreError> {
        match self.message_by_key(key).await? {
            Some(message) => self.deliver_to(message, news, provider_id).await,
            None => Ok(None),
        }
    }

    /// As [`Scope::deliver`], for a message that was just read; one that others changed meanwhile is read again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliver_to(
        &self,
        mut message: Message,
        news: &News,
        mut provider_id: Option<&str>,
    ) -> Result<Option<Delivery>, StoreError> {
        loop {
            let Some(before) = message.delivery else { return Ok(None) };
            let next = before.after(news);
            let adopt = provider_id.filter(|_| message.external_message_id.is_none());
            if next.is_none() && adopt.is_none() {
                return Ok(None);
            }
            let change = Change {
                key: message.key,
                after: next.clone().unwrap_or_else(|| before.clone()),
                before,
                updated_at: message.updated_at.max(news.at),
                external_id: adopt.map(str::to_owned),
            };
            let key = change.key.clone();
            let applied = self.store.deliveries.changes.call(change).await;
            match applied.unwrap_or_else(|_| Err(StoreError::silence()))? {
                Applied::Written => return Ok(next),
                // The first that the provider gave an id keeps it.
                Applied::IdTaken => provider_id = None,
                Applied::Beaten => {}
            }
            let Some(again) = self.message_by_key(&key).await? else { return Ok(None) };
            message = again;
        }
    }

    /// Notes on the thread that a WhatsApp message was accepted at `at`; never moves back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_whatsapp_sent(&self, thread_key: &str, at: Time) -> Result<(), StoreError> {
        // Alone, never with others: commits change several threads in one transaction, and SecantusDB lets no
        // transaction go on in a collection where an update of many waits for one of its documents.
        let update = doc! { "$max": { "lastWhatsappMessageSentAt": at } };
        let filter = doc! { "_id": thread_key, "accountId": self.account.as_str() };
        self.store.collection::<Document>("threads").update_one(filter, update).await?;
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

impl Change {
    fn set(&self) -> Result<Document, StoreError> {
        let mut set = doc! { "delivery": serialize_to_bson(&self.after)?, "updatedAt": self.updated_at };
        if let Some(id) = &self.external_id {
            set.insert("externalMessageId", id);
        }
        Ok(set)
    }

    async fn apply(&self, messages: &Collection<Document>) -> Result<Applied, StoreError> {
        let guard = doc! {
            "_id": &self.key,
            "delivery.state": self.before.state.as_str(),
            "delivery.attempt": self.before.attempt,
            "delivery.updatedAt": self.before.updated_at,
        };
        match messages.update_one(guard, doc! { "$set": self.set()? }).await {
            Ok(result) if result.matched_count == 1 => Ok(Applied::Written),
            Ok(_) => Ok(Applied::Beaten),
            Err(error) if duplicate_index(&error).is_some() => Ok(Applied::IdTaken),
            Err(error) => Err(error.into()),
        }
    }
}

async fn apply_all(
    messages: &Collection<Document>,
    changes: Vec<Change>,
) -> Vec<Result<Applied, StoreError>> {
    let mut alone = vec![true; changes.len()];
    // Two changes of one message: the later ones see what the first made of it.
    let keys: std::collections::HashSet<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    if changes.len() > 1
        && keys.len() == changes.len()
        && let Ok(written) = apply_together(messages, &changes).await
    {
        alone = written.into_iter().map(|written| !written).collect();
    }
    let applied = changes.iter().zip(alone).map(|(change, alone)| async move {
        if alone { change.apply(messages).await } else { Ok(Applied::Written) }
    });
    futures::future::join_all(applied).await
}

/// Writes those of `changes` whose message is as it was seen, in one command; answers which those were. Any failure
/// leaves the rest to be written one by one.
async fn apply_together(
    messages: &Collection<Document>,
    changes: &[Change],
) -> Result<Vec<bool>, StoreError> {
    let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    let members = changes
        .iter()
        .map(|change| Ok(doc! { "key": &change.key, "before": serialize_to_bson(&change.before)?, "set": change.set()? }))
        .collect::<Result<Vec<Document>, StoreError>>()?;
    let same = doc! { "$and": [
        { "$eq": ["$$one.key", "$_id"] },
        { "$eq": ["$$one.before.state", "$delivery.state"] },
        { "$eq": ["$$one.before.attempt", "$delivery.attempt"] },
        { "$eq": ["$$one.before.updatedAt", "$delivery.updatedAt"] },
    ] };
    let mine = doc! { "$filter": { "input": { "$literal": members }, "as": "one", "cond": same } };
    let update = vec![
        doc! { "$set": { "change": { "$arrayElemAt": [mine, 0] } } },
        doc! { "$replaceWith": { "$mergeObjects": ["$$ROOT", "$change.set"] } },
        doc! { "$unset": "change" },
    ];
    let updated = messages.update_many(doc! { "_id": { "$in": &keys } }, update).await;
    if updated.is_ok_and(|updated| updated.modified_count == changes.len() as u64) {
        return Ok(vec![true; changes.len()]);
    }
    let found = messages.find(doc! { "_id": { "$in": keys } }).projection(doc! { "delivery": 1 }).await?;
    let found: Vec<Document> = found.try_collect().await?;
    let shown: HashMap<&str, Option<&mongodb::bson::Bson>> = found
        .iter()
        .filter_map(|message| Some((message.get_str("_id").ok()?, message.get("delivery"))))
        .collect();
    changes
        .iter()
        .map(|change| {
            let after = serialize_to_bson(&change.after)?;
            // News that change nothing but an id are told apart by nothing: they are written again, which is harmless.
            Ok(change.after != change.before && shown.get(change.key.as_str()) == Some(&Some(&after)))
        })
        .collect()
}
