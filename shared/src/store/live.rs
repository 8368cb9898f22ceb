//! Reads for live sockets: many messages and threads of an account at once, and the threads that changed of late.

use futures::TryStreamExt;
use mongodb::bson::doc;

use super::{Scope, StoreError};
use crate::domain::access;
use crate::domain::ids::{MessageId, ThreadId};
use crate::domain::message::Message;
use crate::domain::thread::Thread;
use crate::domain::time::Time;

impl Scope {
    /// Those of `ids` that are messages of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn messages_of(&self, ids: &[&MessageId]) -> Result<Vec<Message>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = ids.iter().map(|id| self.key(id)).collect();
        let messages = self.store.collection::<Message>("messages");
        Ok(messages.find(doc! { "_id": { "$in": keys } }).await?.try_collect().await?)
    }

    /// Those of `ids` that are threads of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn threads_of(&self, ids: &[&ThreadId]) -> Result<Vec<Thread>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = ids.iter().map(|id| self.key(id)).collect();
        let threads = self.store.collection::<Thread>("threads");
        Ok(threads.find(doc! { "_id": { "$in": keys } }).await?.try_collect().await?)
    }

    /// The threads in which something was said since `since`, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn threads_since(&self, since: Time, limit: usize) -> Result<Vec<Thread>, StoreError> {
        // Every thread has one of these tokens, so the index of the staff's view serves.
        let filter = doc! {
            "accountId": self.account.as_str(),
            "staffViewers": { "$in": access::every_staff_token() },
            "updatedAt": { "$gte": since },
        };
        let threads = self.store.collection::<Thread>("threads");
        let find = threads.find(filter).sort(doc! { "updatedAt": -1 }).limit(limit as i64);
        Ok(find.await?.try_collect().await?)
    }
}
