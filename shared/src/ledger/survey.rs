//! Counting the ledger, for metrics and operators.

use std::collections::HashMap;
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde::Deserialize;

use super::Ledger;
use crate::domain::ids::AccountId;
use crate::domain::jobs::JobState;
use crate::domain::time::Time;
use crate::queue::Queue;
use crate::store::StoreError;

/// How long the server may look for the oldest waiting jobs.
const SURVEY_MAX: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct OldestWaiting {
    #[serde(rename = "_id")]
    account: AccountId,
    oldest: Time,
}

/// One queue and state.
#[derive(Debug, Clone, Deserialize)]
pub struct QueueDepth {
    pub queue: Queue,
    pub state: JobState,
    pub count: i64,
    /// When the oldest of them was to run.
    pub oldest: Time,
}

impl Ledger {
    /// Counts by queue and state, of everything that is not done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn depths(&self) -> Result<Vec<QueueDepth>, StoreError> {
        let pipeline = vec![
            doc! { "$match": { "state": { "$ne": "done" } } },
            doc! { "$group": {
                "_id": { "queue": "$queue", "state": "$state" },
                "count": { "$sum": 1_i64 },
                "oldest": { "$min": "$dueAt" },
            } },
            doc! { "$project": { "_id": 0, "queue": "$_id.queue", "state": "$_id.state", "count": 1, "oldest": 1 } },
        ];
        let mut cursor = self.raw().aggregate(pipeline).await?;
        let mut depths = Vec::new();
        while let Some(row) = cursor.try_next().await? {
            depths.push(mongodb::bson::deserialize_from_document::<QueueDepth>(row)?);
        }
        Ok(depths)
    }

    /// When the oldest job of `queue` that waits was committed, for each account that has one.
    ///
    /// # Errors
    /// [`StoreError`], also when counting a very long queue takes more than a second.
    pub async fn oldest_waiting(&self, queue: Queue) -> Result<HashMap<AccountId, Time>, StoreError> {
        let pipeline = vec![
            doc! { "$match": { "queue": queue.as_str(), "state": "queued" } },
            doc! { "$group": { "_id": "$accountId", "oldest": { "$min": "$createdAt" } } },
        ];
        let raw = self.raw();
        let mut cursor = raw.aggregate(pipeline).max_time(SURVEY_MAX).await?;
        let mut oldest = HashMap::new();
        while let Some(row) = cursor.try_next().await? {
            let row: OldestWaiting = mongodb::bson::deserialize_from_document(row)?;
            oldest.insert(row.account, row.oldest);
        }
        Ok(oldest)
    }

    /// How many jobs of `queue` are queued or running.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backlog(&self, queue: Queue) -> Result<u64, StoreError> {
        let filter: Document = doc! { "queue": queue.as_str(), "state": { "$in": ["queued", "running"] } };
        Ok(self.raw().count_documents(filter).await?)
    }
}
