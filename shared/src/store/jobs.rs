//! Reads for jobs: many documents at once by key, whatever their accounts. The keys come from the ledger, whose
//! rows carry the account that committed them; a rebuild of the search indices walks through all of them.

use std::collections::HashMap;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde::de::DeserializeOwned;

use super::{Event, Reservation, Scope, Store, StoreError, User};
use crate::domain::message::Message;
use crate::domain::thread::Thread;
use crate::search::IndexKind;

impl Store {
    /// Messages by key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn messages_for_jobs(&self, keys: &[String]) -> Result<HashMap<String, Message>, StoreError> {
        self.by_key("messages", keys, |m: &Message| m.key.clone()).await
    }

    /// Stored events by id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events_for_jobs(&self, ids: &[String]) -> Result<HashMap<String, Event>, StoreError> {
        self.by_key("events", ids, |e: &Event| e.event_id.clone()).await
    }

    /// Threads by key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn threads_for_jobs(&self, keys: &[String]) -> Result<HashMap<String, Thread>, StoreError> {
        self.by_key("threads", keys, |t: &Thread| t.key.clone()).await
    }

    /// Reservations by key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reservations_for_jobs(
        &self,
        keys: &[String],
    ) -> Result<HashMap<String, Reservation>, StoreError> {
        self.by_key("reservations", keys, |r: &Reservation| r.key.clone()).await
    }

    /// Users by key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users_for_jobs(&self, keys: &[String]) -> Result<HashMap<String, User>, StoreError> {
        self.by_key("users", keys, |u: &User| u.key.clone()).await
    }

    /// The next `limit` messages of all accounts above key `after`, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn messages_above(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.above("messages", after, limit).await
    }

    /// The next `limit` threads of all accounts above key `after`, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn threads_above(&self, after: Option<&str>, limit: usize) -> Result<Vec<Thread>, StoreError> {
        self.above("threads", after, limit).await
    }

    /// About how many documents an index will have.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn about_how_many(&self, kind: IndexKind) -> Result<u64, StoreError> {
        Ok(self.collection::<Document>(kind.name()).estimated_document_count().await?)
    }

    async fn above<T>(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let filter = after.map_or_else(Document::new, |key| doc! { "_id": { "$gt": key } });
        let collection = self.collection::<T>(collection);
        let find = collection.find(filter).sort(doc! { "_id": 1 }).limit(limit as i64);
        Ok(find.await?.try_collect().await?)
    }

    async fn by_key<T>(
        &self,
        collection: &str,
        keys: &[String],
        key: impl Fn(&T) -> String,
    ) -> Result<HashMap<String, T>, StoreError>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let collection = self.collection::<T>(collection);
        let found: Vec<T> = collection.find(doc! { "_id": { "$in": keys } }).await?.try_collect().await?;
        Ok(found.into_iter().map(|document| (key(&document), document)).collect())
    }
}

impl Scope {
    /// The thread with key `{accountId}/{threadId}`, which must be of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn thread_by_key(&self, key: &str) -> Result<Option<Thread>, StoreError> {
        let filter = doc! { "_id": key, "accountId": self.account.as_str() };
        Ok(self.store.collection::<Thread>("threads").find_one(filter).await?)
    }
}
