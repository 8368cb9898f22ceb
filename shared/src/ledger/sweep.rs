//! What the dispatcher does with the ledger: push what is due, take back what died, end what waited enough.

use std::collections::VecDeque;
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use serde::Deserialize;

use super::{JobRow, Ledger, STARTS_MAX};
use crate::domain::delivery::Reason;
use crate::domain::ids::AccountId;
use crate::domain::jobs::JobState;
use crate::domain::time::Time;
use crate::queue::Queue;
use crate::store::StoreError;

/// A job that is due.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Due {
    #[serde(rename = "_id")]
    pub id: String,
    pub account_id: AccountId,
}

/// What became of a job whose worker vanished.
#[derive(Debug, Clone, PartialEq)]
pub enum Recovered {
    /// Back in the queue: nothing had been sent, or sending it again is harmless.
    Requeued(JobRow),
    /// It may have been sent.
    Unknown(JobRow),
    /// It killed its worker too often.
    Poison(JobRow),
}

impl Ledger {
    /// Jobs of `queue` that are due and not in Redis, at most `limit`, taking turns between accounts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due(&self, queue: Queue, limit: usize, now: Time) -> Result<Vec<Due>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let filter = doc! {
            "queue": queue.as_str(),
            "state": "queued",
            "pushAfter": { "$lte": now },
            "dueAt": { "$lte": now },
        };
        let jobs = self.store.collection::<Due>("jobs");
        let find = jobs.find(filter).projection(doc! { "accountId": 1 }).sort(doc! { "pushAfter": 1 });
        let rows: Vec<Due> = find.limit(limit as i64).await?.try_collect().await?;
        Ok(take_turns(rows))
    }

    /// Notes that `ids` are in Redis for the next `hold`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_pushed(&self, ids: &[&str], hold: Duration) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let later = doc! { "$dateAdd": {
            "startDate": "$$NOW", "unit": "millisecond", "amount": hold.as_millis() as i64,
        } };
        let filter = doc! { "_id": { "$in": ids }, "state": "queued" };
        self.raw().update_many(filter, vec![doc! { "$set": { "pushAfter": later } }]).await?;
        Ok(())
    }

    /// Redis has lost its data: everything that waits is pushed again as it falls due. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_pushes(&self) -> Result<u64, StoreError> {
        let filter = doc! { "state": "queued", "queue": { "$in": Queue::ALL.map(Queue::as_str).to_vec() } };
        let update = vec![doc! { "$set": { "pushAfter": "$dueAt" } }];
        Ok(self.raw().update_many(filter, update).await?.modified_count)
    }

    /// Takes back one job whose lease has ended; `None` when there is none. `idempotent` tells the kinds whose
    /// effect may be repeated.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recover_one(
        &self,
        idempotent: impl Fn(&str) -> bool,
        grace: Duration,
        now: Time,
    ) -> Result<Option<Recovered>, StoreError> {
        let filter = doc! { "state": "running", "leaseUntil": { "$lte": now } };
        let Some(job) = self.rows().find_one(filter).sort(doc! { "leaseUntil": 1 }).await? else {
            return Ok(None);
        };
        let maybe_sent = job.sending_at.is_some() && !idempotent(&job.name);
        let (state, mut fields) = if maybe_sent {
            (
                JobState::Unknown,
                doc! { "graceUntil": after(grace), "reason": Reason::OutcomeUnknown.as_str() },
            )
        } else if job.starts >= STARTS_MAX {
            (
                JobState::Dead,
                doc! { "finishedAt": "$$NOW", "open": "$$REMOVE", "errorClass": "poison",
                "reason": Reason::NeedsOperator.as_str() },
            )
        } else {
            (JobState::Queued, doc! { "dueAt": "$$NOW", "pushAfter": "$$NOW" })
        };
        fields.insert("state", state.as_str());
        fields.insert("epoch", job.epoch + 1);
        fields.insert("leaseUntil", "$$REMOVE");
        fields.insert("attempts", abandoned(&job, state));
        let guard = doc! { "_id": &job.id, "state": "running", "epoch": job.epoch };
        let rows = self.rows();
        let find = rows.find_one_and_update(guard, vec![doc! { "$set": fields }]);
        let Some(row) = find.return_document(ReturnDocument::After).await? else { return Ok(None) };
        Ok(Some(match state {
            JobState::Unknown => Recovered::Unknown(row),
            JobState::Dead => Recovered::Poison(row),
            _ => Recovered::Requeued(row),
        }))
    }

    /// Ends the grace of one job, whoever it is of; see [`Ledger::end_grace_of`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_grace(&self, resend_once: bool, now: Time) -> Result<Option<JobRow>, StoreError> {
        match self.grace_ended(now).await? {
            Some(job) => self.end_grace_of(&job, resend_once).await,
            None => Ok(None),
        }
    }

    /// A job of unknown outcome whose grace has ended; [`Ledger::end_grace_of`] ends it. `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grace_ended(&self, now: Time) -> Result<Option<JobRow>, StoreError> {
        let filter = doc! { "state": "unknown", "graceUntil": { "$lte": now } };
        Ok(self.rows().find_one(filter).sort(doc! { "graceUntil": 1 }).await?)
    }

    /// Ends the grace of `job`: sent again where `resend_once` allows it and it was not before, else left to an
    /// operator; either way its lane goes on. `None` when it was moved meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_grace_of(&self, job: &JobRow, resend_once: bool) -> Result<Option<JobRow>, StoreError> {
        let again = resend_once && job.resends == 0;
        let mut fields = doc! { "graceUntil": "$$REMOVE", "epoch": job.epoch + 1 };
        if again {
            fields.extend(doc! { "state": "queued", "dueAt": "$$NOW", "pushAfter": "$$NOW", "resends": 1,
            "starts": 0, "sendingAt": "$$REMOVE" });
        } else {
            fields.insert("open", "$$REMOVE");
        }
        let guard = doc! { "_id": &job.id, "state": "unknown", "epoch": job.epoch };
        let rows = self.rows();
        let find = rows.find_one_and_update(guard, vec![doc! { "$set": fields }]);
        Ok(find.return_document(ReturnDocument::After).await?)
    }

    /// Becomes or stays the leader called `name` for `hold`: answers the store's time if `holder` leads. An
    /// unexpired lease of another is never taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lead(&self, name: &str, holder: &str, hold: Duration) -> Result<Option<Time>, StoreError> {
        let filter = doc! { "_id": name, "$or": [
            { "holder": holder },
            { "$expr": { "$lte": ["$until", "$$NOW"] } },
        ] };
        let update = vec![doc! { "$set": {
            "holder": { "$literal": holder }, "until": after(hold), "at": "$$NOW",
        } }];
        let leases = self.store.collection::<Document>("leases");
        let find = leases.find_one_and_update(filter, update).upsert(true);
        match find.return_document(ReturnDocument::After).await {
            Ok(lease) => Ok(lease.and_then(|lease| lease.get_datetime("at").ok().copied())),
            // It exists and belongs to another.
            Err(error) if crate::store::duplicate_index(&error).is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the leadership up, so that another need not wait for its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resign(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let leases = self.store.collection::<Document>("leases");
        leases.delete_one(doc! { "_id": name, "holder": holder }).await?;
        Ok(())
    }
}

pub(super) fn after(delay: Duration) -> Document {
    doc! { "$dateAdd": { "startDate": "$$NOW", "unit": "millisecond", "amount": delay.as_millis() as i64 } }
}

/// The timeline of a job whose worker vanished: its last attempt ended with the lease.
fn abandoned(job: &JobRow, state: JobState) -> mongodb::bson::Bson {
    let outcome = match state {
        JobState::Unknown => super::AttemptOutcome::Unknown,
        JobState::Dead => super::AttemptOutcome::Dead,
        _ => super::AttemptOutcome::Retry,
    };
    let mut attempts = job.attempts.clone();
    if let Some(last) = attempts.last_mut() {
        last.outcome = Some(outcome);
        last.error_class = Some("worker_lost".to_owned());
        last.finished_at = job.lease_until;
        last.sending_at = job.sending_at;
    }
    let story = mongodb::bson::serialize_to_bson(&attempts).unwrap_or(mongodb::bson::Bson::Array(Vec::new()));
    doc! { "$literal": story }.into()
}

/// Round-robin by account, oldest first within each.
fn take_turns(rows: Vec<Due>) -> Vec<Due> {
    let mut accounts: Vec<(AccountId, VecDeque<Due>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let total = rows.len();
    for row in rows {
        let place = *places.entry(row.account_id.clone()).or_insert_with(|| {
            accounts.push((row.account_id.clone(), VecDeque::new()));
            accounts.len() - 1
        });
        accounts[place].1.push_back(row);
    }
    let mut turns = Vec::with_capacity(total);
    while turns.len() < total {
        turns.extend(accounts.iter_mut().filter_map(|(_, waiting)| waiting.pop_front()));
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_take_turns_and_keep_their_own_order() {
        let due = |id: &str, account: &str| Due {
            id: id.to_owned(),
            account_id: AccountId::parse(account).expect("an account"),
        };
        let rows = vec![
            due("a1", "a"),
            due("a2", "a"),
            due("a3", "a"),
            due("b1", "b"),
            due("c1", "c"),
            due("b2", "b"),
        ];
        let ids: Vec<String> = take_turns(rows).into_iter().map(|d| d.id).collect();
        assert_eq!(ids, ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }
}
