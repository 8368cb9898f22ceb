//! Jobs that go on, or end, by another hand than their worker's: released by a person or a message, looked up at the
//! provider, expired.

use futures::TryStreamExt;
use mongodb::bson::doc;
use mongodb::options::ReturnDocument;

use super::{JobRow, Ledger};
use crate::domain::delivery::Reason;
use crate::domain::jobs::{JobEvent, JobState};
use crate::domain::time::Time;
use crate::queue::Queue;
use crate::store::StoreError;

impl Ledger {
    /// Lets `job` be tried again, from wherever that may happen; `by` stands in the timeline of its next attempt.
    /// Answers `false` when it was moved meanwhile, or was delivered after all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release(&self, job: &JobRow, by: Option<&str>) -> Result<bool, StoreError> {
        let sources = JobState::sources(JobEvent::Release);
        let filter = doc! { "_id": &job.id, "epoch": job.epoch, "state": { "$in": sources } };
        let mut set = doc! {
            "state": "queued", "open": true, "dueAt": "$$NOW", "pushAfter": "$$NOW", "starts": 0, "attemptCount": 0,
            "epoch": { "$add": ["$epoch", 1] },
        };
        for gone in
            ["reason", "errorClass", "lastError", "finishedAt", "graceUntil", "lookAfter", "sendingAt"]
        {
            set.insert(gone, "$$REMOVE");
        }
        if let Some(by) = by {
            set.insert("replayBy", doc! { "$literal": by });
        }
        Ok(self.raw().update_one(filter, vec![doc! { "$set": set }]).await?.matched_count == 1)
    }

    /// The parked jobs of `lane`, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn parked_in_lane(&self, lane: &str) -> Result<Vec<JobRow>, StoreError> {
        let filter = doc! { "lane": lane, "open": true, "state": "parked" };
        Ok(self.rows().find(filter).sort(doc! { "laneSeq": 1 }).await?.try_collect().await?)
    }

    /// Ends one job that has been parked since before `since`, counted from its commit. `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expire_parked(&self, since: Time) -> Result<Option<JobRow>, StoreError> {
        let filter = doc! { "state": "parked", "createdAt": { "$lt": since }, "lane": { "$exists": true } };
        let Some(job) = self.rows().find_one(filter).sort(doc! { "createdAt": 1 }).await? else {
            return Ok(None);
        };
        let guard = doc! { "_id": &job.id, "state": "parked", "epoch": job.epoch };
        let set = doc! {
            "state": "dead", "reason": Reason::Expired.as_str(), "finishedAt": "$$NOW", "open": "$$REMOVE",
            "epoch": job.epoch + 1,
        };
        let rows = self.rows();
        let find = rows.find_one_and_update(guard, vec![doc! { "$set": set }]);
        Ok(find.return_document(ReturnDocument::After).await?)
    }

    /// Jobs of `queue` in doubt that are to be looked up at the provider now: their next look is put off to
    /// `again`, so that nobody else looks meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn in_doubt(
        &self,
        queue: Queue,
        now: Time,
        again: Time,
        limit: i64,
    ) -> Result<Vec<JobRow>, StoreError> {
        let unseen =
            doc! { "$or": [{ "lookAfter": { "$exists": false } }, { "lookAfter": { "$lte": now } }] };
        let filter = doc! {
            "state": "unknown", "graceUntil": { "$exists": true }, "queue": queue.as_str(), "$and": [unseen],
        };
        let found: Vec<JobRow> = self.rows().find(filter).limit(limit).await?.try_collect().await?;
        for job in &found {
            let guard = doc! { "_id": &job.id, "state": "unknown", "epoch": job.epoch };
            self.raw().update_one(guard, doc! { "$set": { "lookAfter": again } }).await?;
        }
        Ok(found)
    }
}
