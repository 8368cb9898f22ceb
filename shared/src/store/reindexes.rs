//! Rebuilds of the search indices: how far each is, and that there is one at a time.
//!
//! A process holds an unfinished rebuild by a lease on the store's clock, renewed with each step it saves. One that
//! died leaves its row, and the next process that asks goes on with it.

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc, serialize_to_bson};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Store, StoreError, duplicate_index};
use crate::domain::time::Time;
use crate::search::IndexKind;

/// After which a silent process is taken for dead. Longer than one bulk may take.
const LEASE: Duration = Duration::from_secs(15);
/// Rounds of look-and-claim; each lost race costs one.
const ROUNDS_MAX: usize = 5;

/// Where a rebuild stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReindexState {
    /// Unfinished; whether anybody works on it says the lease. A unique index lets only one row be in this state.
    Running,
    Done,
    /// It cannot be finished: what it was filling is gone. The next one begins anew.
    Failed,
}

/// Where one index of it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    #[default]
    Waiting,
    /// Writes go to the new index, which is being filled; searches read old and new.
    Copying,
    /// Searches read the new index alone.
    Swapped,
    /// The old indices are deleted.
    Done,
}

/// One index of a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReindexPart {
    pub index: IndexKind,
    pub phase: Phase,
    /// The new index, once it is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The indices to be deleted at the end.
    #[serde(default)]
    pub old: Vec<String>,
    /// The last key that was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Documents copied, those that were there already among them.
    pub copied: i64,
    /// Documents that Elasticsearch will not take; the logs name them.
    pub rejected: i64,
    /// About how many there are.
    pub total: i64,
}

/// A rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReindexRow {
    #[serde(rename = "_id")]
    pub id: String,
    pub state: ReindexState,
    pub parts: Vec<ReindexPart>,
    /// The process that works on it.
    pub owner: String,
    pub lease_until: Time,
    /// How many processes have worked on it.
    pub claims: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub started_at: Time,
    pub updated_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The caller's, new or left by a process that ended.
    Yours(ReindexRow),
    /// Another process works on it.
    Busy(ReindexRow),
}

/// The rebuilds.
#[derive(Debug, Clone)]
pub struct Reindexes {
    rows: Collection<ReindexRow>,
}

impl Store {
    /// The rebuilds of the search indices.
    pub fn reindexes(&self) -> Reindexes {
        Reindexes { rows: self.collection("reindexes") }
    }

    /// Whether there is anything that a search should find.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holds_threads(&self) -> Result<bool, StoreError> {
        let threads = self.collection::<Document>("threads");
        Ok(threads.find_one(doc! {}).projection(doc! { "_id": 1 }).await?.is_some())
    }
}

impl ReindexRow {
    /// A rebuild of `kinds` that nobody works on yet.
    fn new(kinds: &[IndexKind]) -> Self {
        let part = |index| ReindexPart {
            index,
            phase: Phase::Waiting,
            target: None,
            old: Vec::new(),
            after: None,
            copied: 0,
            rejected: 0,
            total: 0,
        };
        let now = Time::now();
        Self {
            id: Ulid::new().to_string(),
            state: ReindexState::Running,
            parts: IndexKind::ALL.into_iter().filter(|kind| kinds.contains(kind)).map(part).collect(),
            owner: String::new(),
            lease_until: Time::from_millis(0),
            claims: 0,
            error: None,
            started_at: now,
            updated_at: now,
            finished_at: None,
        }
    }

    /// The indices that it rebuilds.
    pub fn kinds(&self) -> Vec<IndexKind> {
        self.parts.iter().map(|part| part.index).collect()
    }

    /// Whether a process before this one left it unfinished.
    pub fn is_resumed(&self) -> bool {
        self.claims > 1
    }
}

impl Reindexes {
    /// Takes over the unfinished rebuild whose process is gone, or begins one of `kinds` where there is none.
    ///
    /// Needs the indexes of [`Store::ensure_indexes`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, kinds: &[IndexKind], owner: &str) -> Result<Claimed, StoreError> {
        for _ in 0..ROUNDS_MAX {
            let free = doc! { "state": "running", "$expr": { "$lte": ["$leaseUntil", "$$NOW"] } };
            let take = vec![doc! { "$set": {
                "owner": { "$literal": owner },
                "leaseUntil": lease(),
                "updatedAt": "$$NOW",
                "claims": { "$add": ["$claims", 1] },
            } }];
            let taken = self.rows.find_one_and_update(free, take).return_document(ReturnDocument::After);
            if let Some(row) = taken.await? {
                return Ok(Claimed::Yours(row));
            }
            if let Some(row) = self.rows.find_one(doc! { "state": "running" }).await? {
                return Ok(Claimed::Busy(row));
            }
            match self.rows.insert_one(ReindexRow::new(kinds)).await {
                Err(error) if duplicate_index(&error).is_none() => return Err(error.into()),
                _ => {} // whoever inserted it: it is claimed as any other
            }
        }
        Err(StoreError::silence())
    }

    /// Stores how far `row` is and renews its lease; false when another process has taken it over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save(&self, row: &ReindexRow) -> Result<bool, StoreError> {
        self.set(row, doc! { "parts": literal(row)?, "leaseUntil": lease() }).await
    }

    /// Lets the next process go on at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release(&self, row: &ReindexRow) -> Result<bool, StoreError> {
        self.set(row, doc! { "leaseUntil": Time::from_millis(0) }).await
    }

    /// Ends `row` for good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish(
        &self,
        row: &ReindexRow,
        state: ReindexState,
        error: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut set = doc! {
            "parts": literal(row)?,
            "state": serialize_to_bson(&state)?,
            "finishedAt": "$$NOW",
        };
        if let Some(error) = error {
            set.insert("error", doc! { "$literal": error });
        }
        self.set(row, set).await
    }

    /// Rebuild `id`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, id: &str) -> Result<Option<ReindexRow>, StoreError> {
        Ok(self.rows.find_one(doc! { "_id": id }).await?)
    }

    /// The latest rebuilds, newest first, at most 100.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest(&self) -> Result<Vec<ReindexRow>, StoreError> {
        use futures::TryStreamExt;
        Ok(self.rows.find(doc! {}).sort(doc! { "_id": -1 }).limit(100).await?.try_collect().await?)
    }

    /// Changes `row` where it is still its owner's.
    async fn set(&self, row: &ReindexRow, mut set: Document) -> Result<bool, StoreError> {
        set.insert("updatedAt", "$$NOW");
        let mine = doc! { "_id": &row.id, "owner": &row.owner, "state": "running" };
        let result = self.rows.update_one(mine, vec![doc! { "$set": set }]).await?;
        Ok(result.matched_count == 1)
    }
}

fn literal(row: &ReindexRow) -> Result<Document, mongodb::bson::error::Error> {
    Ok(doc! { "$literal": serialize_to_bson(&row.parts)? })
}

fn lease() -> Document {
    doc! { "$dateAdd": { "startDate": "$$NOW", "unit": "millisecond", "amount": LEASE.as_millis() as i64 } }
}
