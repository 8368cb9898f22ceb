//! Writing down how an attempt ended, and letting the lane go on.

use mongodb::bson::{Document, doc};

use super::{AttemptOutcome, JobRow, Ledger};
use crate::domain::delivery::{News, Reason};
use crate::domain::jobs::{JobEvent, JobState};
use crate::domain::time::Time;
use crate::store::StoreError;

/// Somebody else moved the job: the caller's result is void, except for what the provider has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job was moved by somebody else")]
pub struct Fenced;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done; `provider_id` is what the provider calls it.
    Done { provider_id: Option<String> },
    /// Again at `due_at`. `counts` is false for refusals that cost no attempt.
    Retry { due_at: Time, counts: bool },
    /// Waits for an event or a person.
    Park { reason: Reason },
    /// The provider may or may not have taken it; waits for a proof until `grace_until`.
    Unknown { grace_until: Time },
    /// Never again by itself.
    Dead { reason: Reason },
}

impl Verdict {
    fn event(&self) -> JobEvent {
        match self {
            Verdict::Done { .. } => JobEvent::Succeed,
            Verdict::Retry { .. } => JobEvent::Retry,
            Verdict::Park { .. } => JobEvent::Park,
            Verdict::Unknown { .. } => JobEvent::LoseTrack,
            Verdict::Dead { .. } => JobEvent::GiveUp,
        }
    }

    /// How the attempt is shown in the timeline.
    pub fn outcome(&self) -> AttemptOutcome {
        match self {
            Verdict::Done { .. } => AttemptOutcome::Ok,
            Verdict::Retry { .. } => AttemptOutcome::Retry,
            Verdict::Park { .. } => AttemptOutcome::Parked,
            Verdict::Unknown { .. } => AttemptOutcome::Unknown,
            Verdict::Dead { .. } => AttemptOutcome::Dead,
        }
    }
}

/// What is known of a failure, for the timeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    pub class: Option<String>,
    pub provider_code: Option<String>,
    /// Safe text: no phone number, no message.
    pub text: Option<String>,
}

impl Ledger {
    /// Ends the current attempt of `job`, which the caller has claimed.
    ///
    /// # Errors
    /// [`StoreError`]; `Ok(Err(Fenced))` when the job was moved meanwhile.
    pub async fn settle(
        &self,
        job: &JobRow,
        verdict: &Verdict,
        trouble: &Trouble,
        now: Time,
    ) -> Result<Result<(), Fenced>, StoreError> {
        let state = JobState::Running.after(verdict.event()).unwrap_or(JobState::Dead);
        let (mut set, mut unset) =
            (doc! { "state": state.as_str() }, doc! { "leaseUntil": "", "sendingAt": "" });
        match verdict {
            Verdict::Done { provider_id } => {
                close(&mut set, &mut unset, now);
                if let Some(id) = provider_id {
                    set.insert("providerId", id);
                }
            }
            Verdict::Retry { due_at, counts } => {
                set.insert("dueAt", *due_at);
                set.insert("pushAfter", *due_at);
                set.insert("starts", 0);
                set.insert("attemptCount", job.attempt_count + i32::from(*counts));
            }
            Verdict::Park { reason } => {
                set.insert("reason", reason.as_str());
                set.insert("starts", 0);
            }
            Verdict::Unknown { grace_until } => {
                set.insert("graceUntil", *grace_until);
                set.insert("reason", Reason::OutcomeUnknown.as_str());
                set.insert("attemptCount", job.attempt_count + 1);
            }
            Verdict::Dead { reason } => {
                close(&mut set, &mut unset, now);
                set.insert("reason", reason.as_str());
                set.insert("attemptCount", job.attempt_count + 1);
            }
        }
        self.tell_story(job, verdict, trouble, now, &mut set);
        let filter = doc! { "_id": &job.id, "state": "running", "epoch": job.epoch };
        let result = self.raw().update_one(filter, doc! { "$set": set, "$unset": unset }).await?;
        Ok(if result.matched_count == 1 { Ok(()) } else { Err(Fenced) })
    }

    fn tell_story(&self, job: &JobRow, verdict: &Verdict, trouble: &Trouble, now: Time, set: &mut Document) {
        let optional = [("errorClass", &trouble.class), ("lastError", &trouble.text)];
        for (field, value) in optional {
            if let Some(value) = value {
                set.insert(field, value);
            }
        }
        let Some(last) = job.attempts.len().checked_sub(1) else { return };
        let mut story =
            |field: &str, value: mongodb::bson::Bson| set.insert(format!("attempts.{last}.{field}"), value);
        story("finishedAt", now.into());
        story("outcome", verdict.outcome().as_str().into());
        if let Some(class) = &trouble.class {
            story("errorClass", class.into());
        }
        if let Some(code) = &trouble.provider_code {
            story("providerErrorCode", code.into());
        }
        if let Verdict::Retry { due_at, .. } = verdict {
            story("nextAttemptAt", (*due_at).into());
        }
    }

    /// A provider proved that the job's message arrived: done, whatever it was. Answers whether that was news.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prove(&self, id: &str, provider_id: Option<&str>, now: Time) -> Result<bool, StoreError> {
        let (mut set, mut unset) = (doc! { "state": "done" }, doc! { "leaseUntil": "", "graceUntil": "" });
        close(&mut set, &mut unset, now);
        if let Some(provider_id) = provider_id {
            set.insert("providerId", provider_id);
        }
        let filter = doc! { "_id": id, "state": { "$in": JobState::sources(JobEvent::Prove) } };
        let update = doc! { "$set": set, "$unset": unset, "$inc": { "epoch": 1 } };
        Ok(self.raw().update_one(filter, update).await?.matched_count == 1)
    }

    /// A provider refused the message of `job` after having accepted it: dead, or parked until the customer
    /// writes. Answers whether the job was still where that applies.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refuse(
        &self,
        job: &JobRow,
        for_now: bool,
        class: &str,
        news: &News,
        now: Time,
    ) -> Result<bool, StoreError> {
        let event = if for_now { JobEvent::RefuseForNow } else { JobEvent::Refuse };
        let (mut set, mut unset) = (doc! { "errorClass": class }, doc! { "graceUntil": "" });
        if let Some(reason) = news.reason {
            set.insert("reason", reason.as_str());
        }
        if for_now {
            set.insert("state", JobState::Parked.as_str());
            set.insert("open", true);
            unset.insert("finishedAt", "");
        } else {
            set.insert("state", JobState::Dead.as_str());
            close(&mut set, &mut unset, now);
        }
        if let Some(place) = job.attempts.iter().position(|a| a.attempt == news.attempt) {
            let outcome = if for_now { AttemptOutcome::Parked } else { AttemptOutcome::Dead };
            set.insert(format!("attempts.{place}.outcome"), outcome.as_str());
            set.insert(format!("attempts.{place}.errorClass"), class);
            if let Some(code) = &news.provider_error_code {
                set.insert(format!("attempts.{place}.providerErrorCode"), code);
            }
        }
        let filter =
            doc! { "_id": &job.id, "state": { "$in": JobState::sources(event) }, "epoch": job.epoch };
        let update = doc! { "$set": set, "$unset": unset, "$inc": { "epoch": 1 } };
        Ok(self.raw().update_one(filter, update).await?.matched_count == 1)
    }

    /// Parks a job that stands behind a parked head. Answers whether it was still queued.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn park_behind(&self, job: &JobRow, reason: Option<&str>) -> Result<bool, StoreError> {
        let filter = doc! { "_id": &job.id, "state": "queued", "epoch": job.epoch };
        let set = doc! { "state": "parked", "reason": reason.unwrap_or(Reason::NeedsTemplate.as_str()) };
        Ok(self.raw().update_one(filter, doc! { "$set": set }).await?.matched_count == 1)
    }

    /// Lets the parked jobs of `lane` go on, all at once, in their order. Answers how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_lane(&self, lane: &str, now: Time) -> Result<u64, StoreError> {
        let filter = doc! { "lane": lane, "open": true, "state": "parked" };
        let update = doc! {
            "$set": { "state": "queued", "dueAt": now, "pushAfter": now },
            "$unset": { "reason": "", "errorClass": "", "lastError": "" },
            "$inc": { "epoch": 1 },
        };
        Ok(self.raw().update_many(filter, update).await?.modified_count)
    }

    /// The job that may run next in `lane`, if it may run now: what a finished job pushes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_in_lane(&self, lane: &str, now: Time) -> Result<Option<JobRow>, StoreError> {
        let head = self.head(lane).await?;
        Ok(head.filter(|head| head.state == JobState::Queued && head.due_at <= now))
    }
}

/// The fields of a job that has ended.
fn close(set: &mut Document, unset: &mut Document, now: Time) {
    set.insert("finishedAt", now);
    unset.insert("open", "");
    unset.insert("graceUntil", "");
}
