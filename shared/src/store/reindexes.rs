//! Rebuilds of the search indices: how far each is, and that there is one at a time.
//!
//! A process works under a lease on the store's clock, renewed with each step it saves. One that died leaves its row,
//! and the next process that asks goes on with it; the row's owner fences off one that comes back late.

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc, serialize_to_bson};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Store, StoreError};
use crate::domain::time::Time;
use crate::ledger::Ledger;
use crate::search::IndexKind;

/// After which a silent process is taken for dead. Longer than one bulk may take.
const LEASE: Duration = Duration::from_secs(15);
/// Its name in the collection `leases`: one rebuild at a time.
const LEASE_NAME: &str = "reindex";

/// Where a rebuild stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReindexState {
    /// Unfinished; whether anybody works on it says the lease.
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
    /// Another process works on one.
    Busy,
}

/// The rebuilds.
#[derive(Debug, Clone)]
pub struct Reindexes {
    rows: Collection<ReindexRow>,
    leases: Ledger,
}

impl Store {
    /// The rebuilds of the search indices.
    pub fn reindexes(&self) -> Reindexes {
        Reindexes { rows: self.collection("reindexes"), leases: Ledger::new(self, LEASE) }
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
    /// A rebuild of `kinds` by process `owner`.
    fn new(kinds: &[IndexKind], owner: &str) -> Self {
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
            owner: owner.to_owned(),
            claims: 1,
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
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, kinds: &[IndexKind], owner: &str) -> Result<Claimed, StoreError> {
        if self.leases.lead(LEASE_NAME, owner, LEASE).await?.is_none() {
            return Ok(Claimed::Busy);
        }
        let left = doc! { "state": "running" };
        let take = doc! { "$set": { "owner": owner }, "$inc": { "claims": 1_i64 } };
        let taken = self.rows.find_one_and_update(left, take).return_document(ReturnDocument::After);
        if let Some(row) = taken.await? {
            return Ok(Claimed::Yours(row));
        }
        let row = ReindexRow::new(kinds, owner);
        self.rows.insert_one(&row).await?;
        Ok(Claimed::Yours(row))
    }

    /// Stores how far `row` is and renews its lease; false when another process has taken it over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save(&self, row: &ReindexRow) -> Result<bool, StoreError> {
        // The row first: who lost it must not take the lease of the next one.
        let mine = self.set(row, doc! { "parts": serialize_to_bson(&row.parts)? }).await?;
        Ok(mine && self.leases.lead(LEASE_NAME, &row.owner, LEASE).await?.is_some())
    }

    /// Lets the next process go on at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release(&self, row: &ReindexRow) -> Result<(), StoreError> {
        self.leases.resign(LEASE_NAME, &row.owner).await
    }

    /// Ends `row` for good; false when it is another process's.
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
            "parts": serialize_to_bson(&row.parts)?,
            "state": serialize_to_bson(&state)?,
            "finishedAt": Time::now(),
        };
        if let Some(error) = error {
            set.insert("error", error);
        }
        let mine = self.set(row, set).await?;
        self.release(row).await?;
        Ok(mine)
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

    /// Changes `row` where it is still its owner's and unfinished.
    async fn set(&self, row: &ReindexRow, mut set: Document) -> Result<bool, StoreError> {
        set.insert("updatedAt", Time::now());
        let mine = doc! { "_id": &row.id, "owner": &row.owner, "state": "running" };
        let result = self.rows.update_one(mine, doc! { "$set": set }).await?;
        Ok(result.matched_count == 1)
    }
}
