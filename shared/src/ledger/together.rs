//! Claims and ends of many jobs at once: one command for all that wait, since each one costs a flush of the journal.
//!
//! A command changes only the rows that are still as its members saw them, each by its own epoch. Which those were is
//! read back, so that every member learns its own outcome.

use std::collections::HashMap;

use futures::TryStreamExt;
use futures::future::try_join_all;
use mongodb::bson::{Bson, Document, deserialize_from_document, doc, serialize_to_bson};
use ulid::Ulid;

use super::claim::is_due;
use super::outcome::ended;
use super::{Attempt, Fenced, JobRow, Ledger, Mark, Trouble, Verdict};
use crate::domain::jobs::JobState;
use crate::domain::time::Time;
use crate::store::{StoreError, duplicate_index};

/// A job that a provider accepted, or for which there was nothing to do.
#[derive(Debug, Clone)]
pub struct Done {
    /// As claimed.
    pub job: JobRow,
    pub provider_id: Option<String>,
}

impl Ledger {
    /// As [`Ledger::take`] with [`Mark::Sending`], for several jobs; answers in their order.
    ///
    /// # Errors
    /// [`StoreError`]: which of them were claimed is not known.
    pub async fn take_all(&self, jobs: &[&JobRow], worker: &str) -> Result<Vec<Option<JobRow>>, StoreError> {
        if let [job] = jobs {
            return Ok(vec![self.take(job, worker, Mark::Sending).await?]);
        }
        let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        let group = Ulid::new().to_string();
        let mut fields = self.claimed_fields(worker, Mark::Sending);
        fields.insert("group", &group);
        let claimed = doc! { "$mergeObjects": ["$$ROOT", fields] };
        let ours = doc! { "$and": [is_due(), doc! { "$in": [seen(), doc! { "$literal": names(jobs) }] }] };
        let update = vec![doc! { "$replaceWith": { "$cond": [ours, claimed, "$$ROOT"] } }];
        let filter = doc! { "_id": { "$in": &ids }, "state": "queued" };
        let updated = self.raw().update_many(filter, update).await;
        // The lane's mutex of one of them: those before it are claimed or none is, the rest is tried one by one.
        let alone = updated.as_ref().is_err_and(|error| duplicate_index(error).is_some());
        // After any other failure, what was claimed is ours all the same: left alone, it would be in doubt.
        let found = self.rows().find(doc! { "_id": { "$in": ids }, "group": group }).await?;
        let mut rows: HashMap<String, JobRow> =
            found.map_ok(|row| (row.id.clone(), row)).try_collect().await?;
        if let Err(error) = updated
            && !alone
            && rows.is_empty()
        {
            return Err(error.into());
        }
        // The same job twice is one claim.
        let taken: Vec<Option<JobRow>> = jobs.iter().map(|job| rows.remove(&job.id)).collect();
        if !alone {
            return Ok(taken);
        }
        try_join_all(jobs.iter().zip(taken).map(|(job, taken)| async move {
            match taken {
                Some(row) => Ok(Some(row)),
                None => self.take(job, worker, Mark::Sending).await,
            }
        }))
        .await
    }

    /// As [`Ledger::settle`] with [`Verdict::Done`], for several jobs; answers in their order.
    ///
    /// # Errors
    /// [`StoreError`]: which of them were written down is not known.
    pub async fn settle_all(&self, done: &[Done], now: Time) -> Result<Vec<Result<(), Fenced>>, StoreError> {
        if let [only] = done {
            let verdict = Verdict::Done { provider_id: only.provider_id.clone() };
            return Ok(vec![self.settle(&only.job, &verdict, &Trouble::default(), now).await?]);
        }
        let ids: Vec<&str> = done.iter().map(|done| done.job.id.as_str()).collect();
        let members = done.iter().map(Done::member).collect::<Result<Vec<Document>, StoreError>>()?;
        let filter = doc! { "_id": { "$in": &ids }, "state": "running" };
        let updated = self.raw().update_many(filter.clone(), end_of_each(members)).await?;
        if updated.modified_count == done.len() as u64 {
            return Ok(vec![Ok(()); done.len()]);
        }
        let fields = doc! { "state": 1, "epoch": 1 };
        let found = self.raw().find(doc! { "_id": { "$in": ids } }).projection(fields).await?;
        let rows: Vec<Standing> = found
            .map_ok(deserialize_from_document)
            .try_collect::<Vec<_>>()
            .await?
            .into_iter()
            .collect::<Result<_, _>>()?;
        let ended = |job: &JobRow| {
            rows.iter().any(|row| row.id == job.id && row.epoch == job.epoch && row.state == JobState::Done)
        };
        Ok(done.iter().map(|done| if ended(&done.job) { Ok(()) } else { Err(Fenced) }).collect())
    }
}

#[derive(serde::Deserialize)]
struct Standing {
    #[serde(rename = "_id")]
    id: String,
    state: JobState,
    #[serde(default)]
    epoch: i64,
}

impl Done {
    /// What the group's command writes into this row alone.
    fn member(&self) -> Result<Document, StoreError> {
        let job = &self.job;
        let verdict = Verdict::Done { provider_id: None };
        let (earlier, last): (&[Attempt], Vec<Attempt>) = match job.attempts.split_last() {
            Some((last, earlier)) => (earlier, vec![ended(job, last, &verdict, &Trouble::default())]),
            None => (&[], Vec::new()),
        };
        Ok(doc! {
            "id": &job.id,
            "epoch": job.epoch,
            "earlier": serialize_to_bson(earlier)?,
            "last": serialize_to_bson(&last)?,
            "set": self.provider_id.as_ref().map_or_else(Document::new, |id| doc! { "providerId": id }),
        })
    }
}

/// How a job stood: `{id}.{epoch}`.
fn seen() -> Document {
    doc! { "$concat": ["$_id", ".", { "$toString": "$epoch" }] }
}

fn names(jobs: &[&JobRow]) -> Vec<String> {
    jobs.iter().map(|job| format!("{}.{}", job.id, job.epoch)).collect()
}

/// Ends each row by the member that claimed it; others of the same ids stay as they are.
fn end_of_each(members: Vec<Document>) -> Vec<Document> {
    let same = doc! { "$and": [{ "$eq": ["$$one.id", "$_id"] }, { "$eq": ["$$one.epoch", "$epoch"] }] };
    let mine = doc! { "$filter": { "input": { "$literal": members }, "as": "one", "cond": same } };
    let is_mine = || doc! { "$eq": [{ "$type": "$mine" }, "object"] };
    let finished = doc! { "$map": { "input": "$mine.last", "as": "last",
    "in": { "$mergeObjects": ["$$last", { "finishedAt": "$$NOW" }] } } };
    let written = doc! {
        "state": JobState::Done.as_str(),
        "finishedAt": "$$NOW",
        "attempts": { "$concatArrays": ["$mine.earlier", finished] },
    };
    let merged = doc! { "$mergeObjects": ["$$ROOT", "$mine.set", written] };
    let gone = ["leaseUntil", "sendingAt", "reason", "open", "graceUntil"].map(|field| {
        let kept = Bson::Array(vec![is_mine().into(), "$$REMOVE".into(), format!("${field}").into()]);
        (field.to_owned(), Bson::Document(doc! { "$cond": kept }))
    });
    vec![
        doc! { "$set": { "mine": { "$arrayElemAt": [mine, 0] } } },
        doc! { "$set": Document::from_iter(gone) },
        doc! { "$replaceWith": { "$cond": [is_mine(), merged, "$$ROOT"] } },
        doc! { "$unset": "mine" },
    ]
}
