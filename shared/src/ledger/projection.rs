//! Projections: idempotent jobs without a claim, deleted in batches when done.

use std::collections::HashMap;
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::doc;
use mongodb::options::ReturnDocument;

use super::claim::is_due;
use super::sweep::after;
use super::{JobRow, Ledger, STARTS_MAX};
use crate::domain::time::Time;
use crate::store::StoreError;

impl Ledger {
    /// Those of `ids` that wait to be done and are due, in one read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting<S: AsRef<str>>(&self, ids: &[S]) -> Result<HashMap<String, JobRow>, StoreError> {
        // In two stages: an expression beside the ids makes SecantusDB read the whole collection.
        let pipeline = [
            doc! { "$match": { "_id": { "$in": texts(ids) }, "state": "queued" } },
            doc! { "$match": { "$expr": is_due() } },
        ];
        let rows = self.rows();
        let found = rows.aggregate(pipeline).with_type::<JobRow>().await?;
        let rows: Vec<JobRow> = found.try_collect().await?;
        Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
    }

    /// Those of `ids` that exist, in whatever state, in one read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rows_by_id<S: AsRef<str>>(&self, ids: &[S]) -> Result<HashMap<String, JobRow>, StoreError> {
        let found = self.rows().find(doc! { "_id": { "$in": texts(ids) } }).await?;
        Ok(found.map_ok(|row| (row.id.clone(), row)).try_collect().await?)
    }

    /// Deletes finished projections in one command.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_done<S: AsRef<str>>(&self, ids: &[S]) -> Result<(), StoreError> {
        self.raw().delete_many(doc! { "_id": { "$in": texts(ids) } }).await?;
        Ok(())
    }

    /// Counts a start of a redelivered projection before it runs alone; answers the job, or `None` when it is
    /// gone, not due, or has died too often, in which case it is dead as poison now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn start_redelivered(&self, id: &str, now: Time) -> Result<Option<JobRow>, StoreError> {
        if !self.waiting(&[id]).await?.contains_key(id) {
            return Ok(None);
        }
        let filter = doc! { "_id": id, "state": "queued" };
        let update = doc! { "$inc": { "starts": 1 } };
        let rows = self.rows();
        let find = rows.find_one_and_update(filter, update).return_document(ReturnDocument::After);
        let Some(row) = find.await? else { return Ok(None) };
        if row.starts <= STARTS_MAX {
            return Ok(Some(row));
        }
        self.bury(id, "poison", "the worker died under it again and again", now).await?;
        metrics::counter!("job_poison_total", "queue" => row.queue.as_str()).increment(1);
        Ok(None)
    }

    /// Puts a failed projection back for `wait`, by the store's clock, and counts the attempt.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn postpone(
        &self,
        id: &str,
        wait: Duration,
        class: &str,
        text: &str,
    ) -> Result<(), StoreError> {
        let update = vec![doc! { "$set": {
            "dueAt": after(wait),
            "pushAfter": after(wait),
            "errorClass": { "$literal": class },
            "lastError": { "$literal": text },
            "starts": 0,
            "attemptCount": { "$add": ["$attemptCount", 1] },
            "epoch": { "$add": ["$epoch", 1] },
        } }];
        self.raw().update_one(doc! { "_id": id, "state": "queued" }, update).await?;
        Ok(())
    }

    /// Ends a job that will not be tried again by itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bury(&self, id: &str, class: &str, text: &str, now: Time) -> Result<(), StoreError> {
        let update = doc! {
            "$set": { "state": "dead", "errorClass": class, "lastError": text, "finishedAt": now },
            "$unset": { "open": "", "leaseUntil": "" },
            "$inc": { "attemptCount": 1, "epoch": 1 },
        };
        let filter = doc! { "_id": id, "state": { "$in": ["queued", "parked"] } };
        self.raw().update_one(filter, update).await?;
        Ok(())
    }

    /// Sets a claimed effect aside until a program knows its kind; its lane waits for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn park_unknown_effect(&self, job: &JobRow) -> Result<(), StoreError> {
        let update = doc! {
            "$set": { "state": "parked", "reason": "unknown_kind", "errorClass": "unknown_kind", "starts": 0 },
            "$unset": { "leaseUntil": "" },
        };
        self.raw()
            .update_one(doc! { "_id": &job.id, "state": "running", "epoch": job.epoch }, update)
            .await?;
        Ok(())
    }

    /// Sets a job aside until this program knows its kind: a rolling deploy, not a failure.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn park_unknown_kind(&self, id: &str) -> Result<(), StoreError> {
        let update =
            doc! { "$set": { "state": "parked", "reason": "unknown_kind", "errorClass": "unknown_kind" } };
        self.raw().update_one(doc! { "_id": id, "state": "queued" }, update).await?;
        Ok(())
    }
}

fn texts<S: AsRef<str>>(ids: &[S]) -> Vec<&str> {
    ids.iter().map(AsRef::as_ref).collect()
}
