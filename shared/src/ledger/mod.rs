//! The job ledger: the collection `jobs`, which is the truth about everything that must follow a commit.
//!
//! Redis only wakes workers up. Every change here is a filtered update on `{_id, state, epoch}`: where it finds
//! nothing, somebody else moved the job, and the caller stops ([`Fenced`]). States: docs/JOB_STATES.md.
//!
//! Two kinds of jobs. *Effects* (those with a lane) are claimed under a lease, and keep a timeline of attempts.
//! *Projections* (search, audit) are idempotent: they are not claimed and are deleted when done.

mod claim;
mod outcome;
mod projection;
mod refusal;
mod release;
mod repaired;
mod row;
mod survey;
mod sweep;
mod together;

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc};

pub use claim::{Claim, Look, Mark};
pub use outcome::{Fenced, PACED, Trouble, Verdict};
pub use refusal::LateRefusal;
pub use repaired::Released;
pub use row::{Attempt, AttemptOutcome, JobRow};
pub use survey::QueueDepth;
pub use sweep::{Due, Recovered};
pub use together::Done;

use crate::queue::Queue;
use crate::store::{Store, StoreError};

/// Deaths of a worker under one job after which the job is dead as poison.
pub const STARTS_MAX: i32 = 3;
/// Attempts whose story is kept.
pub const ATTEMPTS_KEPT: i32 = 50;

/// The ledger. Clones share one pool.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Store,
    lease: Duration,
}

impl Ledger {
    /// The ledger of `store`; a claim holds for `lease`, by the store's clock.
    pub fn new(store: &Store, lease: Duration) -> Self {
        Self { store: store.clone(), lease }
    }

    /// The store below.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn rows(&self) -> Collection<JobRow> {
        self.store.collection("jobs")
    }

    fn raw(&self) -> Collection<Document> {
        self.store.collection("jobs")
    }

    /// Adds a job outside a commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add(&self, row: &JobRow) -> Result<(), StoreError> {
        self.rows().insert_one(row).await?;
        Ok(())
    }

    /// Adds those of `rows` that are not there yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_missing(&self, rows: &[JobRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        match self.rows().insert_many(rows).ordered(false).await {
            Ok(_) => Ok(()),
            Err(error) if crate::store::only_duplicates(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Job `id`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job(&self, id: &str) -> Result<Option<JobRow>, StoreError> {
        Ok(self.rows().find_one(doc! { "_id": id }).await?)
    }

    /// The outbound jobs of a message, oldest first; e-mails about it do not deliver it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn jobs_of_message(&self, message_key: &str) -> Result<Vec<JobRow>, StoreError> {
        use futures::TryStreamExt;
        let filter = doc! {
            "message": message_key, "lane": { "$exists": true }, "queue": { "$ne": Queue::Email.as_str() },
        };
        Ok(self.rows().find(filter).sort(doc! { "_id": 1 }).await?.try_collect().await?)
    }

    /// The job that a provider knows by `provider_id`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job_by_provider_id(&self, provider_id: &str) -> Result<Option<JobRow>, StoreError> {
        Ok(self.rows().find_one(doc! { "providerId": provider_id }).await?)
    }
}
