//! Claiming an effect: the head of its lane, under a lease, one running job per lane.

use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::{ATTEMPTS_KEPT, JobRow, Ledger};
use crate::domain::jobs::JobState;
use crate::store::{StoreError, duplicate_index};

/// What a wake-up led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// This job is ours until its lease ends. It may be another than the one that woke us: the lane's head.
    Taken(Box<JobRow>),
    /// Finished, running elsewhere, or never there: the wake-up was old.
    Gone,
    /// An earlier job of the lane runs or waits; its end pushes this one.
    Behind,
    /// An earlier job of the lane is parked; texts behind it park too.
    BehindParked { job: Box<JobRow>, head: Box<JobRow> },
}

impl Ledger {
    /// Takes the head of the lane of job `id` for `worker`.
    ///
    /// The claim counts as a start, begins the next attempt and takes a lease by the store's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, id: &str, worker: &str) -> Result<Claim, StoreError> {
        let Some(job) = self.job(id).await? else { return Ok(Claim::Gone) };
        if job.state != JobState::Queued {
            return Ok(Claim::Gone);
        }
        let head = match &job.lane {
            Some(lane) => self.head(lane).await?,
            None => None,
        };
        let target = match head {
            Some(head) if head.id != job.id => match head.state {
                JobState::Queued => head,
                JobState::Parked => {
                    return Ok(Claim::BehindParked { job: Box::new(job), head: Box::new(head) });
                }
                _ => return Ok(Claim::Behind),
            },
            _ => job,
        };
        self.take(&target, worker).await
    }

    /// The first job of `lane` that holds it.
    pub(super) async fn head(&self, lane: &str) -> Result<Option<JobRow>, StoreError> {
        let filter = doc! { "lane": lane, "open": true };
        Ok(self.rows().find_one(filter).sort(doc! { "laneSeq": 1 }).await?)
    }

    async fn take(&self, job: &JobRow, worker: &str) -> Result<Claim, StoreError> {
        let filter = doc! { "_id": &job.id, "state": "queued", "epoch": job.epoch };
        // Whether it is due is asked here and not in the filter: there, an expression makes SecantusDB read the
        // whole collection.
        let claimed = doc! { "$mergeObjects": ["$$ROOT", self.claimed_fields(job, worker)] };
        let update = vec![
            doc! { "$replaceWith": { "$cond": [is_due(), claimed, "$$ROOT"] } },
            doc! { "$unset": "sendingAt" },
        ];
        let rows = self.rows();
        let find = rows.find_one_and_update(filter, update).return_document(ReturnDocument::After);
        match find.await {
            Ok(Some(row)) if row.epoch == job.epoch + 1 => Ok(Claim::Taken(Box::new(row))),
            Ok(_) => Ok(Claim::Behind),
            // The lane's mutex: another job of it is running.
            Err(error) if duplicate_index(&error).is_some() => Ok(Claim::Behind),
            Err(error) => Err(error.into()),
        }
    }

    fn claimed_fields(&self, job: &JobRow, worker: &str) -> Document {
        let lease_millis = self.lease.as_millis() as i64;
        let attempt = i64::from(job.attempt) + 1;
        let begun = doc! { "attempt": attempt, "startedAt": "$$NOW", "worker": { "$literal": worker } };
        let story =
            Bson::Array(vec![doc! { "$ifNull": ["$attempts", []] }.into(), Bson::Array(vec![begun.into()])]);
        doc! {
            "state": "running",
            "epoch": job.epoch + 1,
            "starts": job.starts + 1,
            "attempt": attempt,
            "attempts": { "$slice": [{ "$concatArrays": story }, -ATTEMPTS_KEPT] },
            "leaseUntil": { "$dateAdd": { "startDate": "$$NOW", "unit": "millisecond", "amount": lease_millis } },
        }
    }

    /// Notes that the request of the current attempt is about to be written. From here on a death of the worker
    /// leaves the outcome unknown; before it, nothing was sent. Answers `false` when the job was taken away.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_send(&self, job: &JobRow) -> Result<bool, StoreError> {
        let lease_millis = self.lease.as_millis() as i64;
        let filter = doc! { "_id": &job.id, "state": "running", "epoch": job.epoch };
        let update = vec![doc! { "$set": {
            "sendingAt": "$$NOW",
            "leaseUntil": { "$dateAdd": { "startDate": "$$NOW", "unit": "millisecond", "amount": lease_millis } },
        } }];
        Ok(self.raw().update_one(filter, update).await?.matched_count == 1)
    }
}

/// Whether a job is due by the store's clock. Due when it was made is due now, whatever the clock of the process
/// that made it.
pub(super) fn is_due() -> Document {
    doc! { "$or": [{ "$lte": ["$dueAt", "$$NOW"] }, { "$eq": ["$dueAt", "$createdAt"] }] }
}
