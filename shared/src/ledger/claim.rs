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

/// What a wake-up is about, seen without claiming anything.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// The head of the lane, which waits to be claimed. It may be another than the one that woke us.
    Head(Box<JobRow>),
    /// As [`Claim::Gone`].
    Gone,
    /// As [`Claim::Behind`].
    Behind,
    /// As [`Claim::BehindParked`].
    BehindParked { job: Box<JobRow>, head: Box<JobRow> },
}

/// What a claim says about the request that it is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The request comes later, if at all: [`Ledger::begin_send`] will tell.
    Claimed,
    /// The request is about to be written: from here on a death of the worker leaves the outcome unknown.
    Sending,
}

impl Ledger {
    /// Finds the job that the wake-up of job `id` is about: the head of its lane.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(&self, id: &str) -> Result<Look, StoreError> {
        match self.job(id).await? {
            Some(job) => self.look_from(job).await,
            None => Ok(Look::Gone),
        }
    }

    /// As [`Ledger::look`], for a job that was just read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look_from(&self, job: JobRow) -> Result<Look, StoreError> {
        if job.state != JobState::Queued {
            return Ok(Look::Gone);
        }
        let head = match &job.lane {
            Some(lane) if job.overtakes => self.first(lane, true).await?,
            Some(lane) => self.first(lane, false).await?,
            None => None,
        };
        let Some(head) = head.filter(|head| head.id != job.id) else {
            return Ok(Look::Head(Box::new(job)));
        };
        Ok(match head.state {
            JobState::Queued => Look::Head(Box::new(head)),
            JobState::Parked => Look::BehindParked { job: Box::new(job), head: Box::new(head) },
            _ => Look::Behind,
        })
    }

    /// Takes the head of the lane of job `id` for `worker`.
    ///
    /// The claim counts as a start, begins the next attempt and takes a lease by the store's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, id: &str, worker: &str) -> Result<Claim, StoreError> {
        Ok(match self.look(id).await? {
            Look::Head(head) => match self.take(&head, worker, Mark::Claimed).await? {
                Some(job) => Claim::Taken(Box::new(job)),
                None => Claim::Behind,
            },
            Look::Gone => Claim::Gone,
            Look::Behind => Claim::Behind,
            Look::BehindParked { job, head } => Claim::BehindParked { job, head },
        })
    }

    /// The first job of `lane` that holds it.
    pub(super) async fn head(&self, lane: &str) -> Result<Option<JobRow>, StoreError> {
        self.first(lane, false).await
    }

    /// As [`Ledger::head`], past those that are parked if `past_parked`.
    async fn first(&self, lane: &str, past_parked: bool) -> Result<Option<JobRow>, StoreError> {
        let mut filter = doc! { "lane": lane, "open": true };
        if past_parked {
            filter.insert("state", doc! { "$ne": "parked" });
        }
        Ok(self.rows().find_one(filter).sort(doc! { "laneSeq": 1 }).await?)
    }

    /// Claims `job` as it was seen, for `worker`; `None` when it was moved meanwhile, is not due by the store's
    /// clock, or another job of its lane runs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take(&self, job: &JobRow, worker: &str, mark: Mark) -> Result<Option<JobRow>, StoreError> {
        let filter = doc! { "_id": &job.id, "state": "queued", "epoch": job.epoch };
        // Whether it is due is asked here and not in the filter: there, an expression makes SecantusDB read the
        // whole collection.
        let claimed = doc! { "$mergeObjects": ["$$ROOT", self.claimed_fields(worker, mark)] };
        let mut update = vec![doc! { "$replaceWith": { "$cond": [is_due(), claimed, "$$ROOT"] } }];
        if mark == Mark::Claimed {
            update.push(doc! { "$unset": "sendingAt" });
        }
        let rows = self.rows();
        let find = rows.find_one_and_update(filter, update).return_document(ReturnDocument::After);
        match find.await {
            Ok(row) => Ok(row.filter(|row| row.epoch == job.epoch + 1)),
            // The lane's mutex: another job of it is running.
            Err(error) if duplicate_index(&error).is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a claim changes, from what stands in the row.
    pub(super) fn claimed_fields(&self, worker: &str, mark: Mark) -> Document {
        let lease_millis = self.lease.as_millis() as i64;
        let next = |field: &str| doc! { "$add": [format!("${field}"), 1_i64] };
        let begun =
            doc! { "attempt": next("attempt"), "startedAt": "$$NOW", "worker": { "$literal": worker } };
        let by = doc! { "$cond": [{ "$ifNull": ["$replayBy", false] }, { "replayedBy": "$replayBy" }, {}] };
        let begun = doc! { "$mergeObjects": [begun, by] };
        let story =
            Bson::Array(vec![doc! { "$ifNull": ["$attempts", []] }.into(), Bson::Array(vec![begun.into()])]);
        let mut fields = doc! {
            "state": "running",
            "epoch": next("epoch"),
            "starts": next("starts"),
            "attempt": next("attempt"),
            "attempts": { "$slice": [{ "$concatArrays": story }, -ATTEMPTS_KEPT] },
            "leaseUntil": { "$dateAdd": { "startDate": "$$NOW", "unit": "millisecond", "amount": lease_millis } },
        };
        if mark == Mark::Sending {
            fields.insert("sendingAt", "$$NOW");
        }
        fields
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
