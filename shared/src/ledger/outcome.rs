//! Writing down how an attempt ended, and letting the lane go on.

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, deserialize_from_document, doc, serialize_to_bson};

use super::claim::is_due;
use super::{Attempt, AttemptOutcome, JobRow, Ledger};
use crate::domain::delivery::{News, Reason};
use crate::domain::jobs::{JobEvent, JobState};
use crate::domain::time::Time;
use crate::store::StoreError;

/// Somebody else moved the job: the caller's result is void, except for what the provider has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job was moved by somebody else")]
pub struct Fenced;

/// The class of an attempt that ended before it began, because its place in the pace of its sender comes later.
pub const PACED: &str = "paced";

/// The furthest that a job is put off: a year, in milliseconds.
const AHEAD_MAX: i64 = 366 * 24 * 3600 * 1000;

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
    /// Times ahead count from `now`, the caller's clock, and are written by the store's: a worker whose clock is
    /// hours off neither loses nor hastens a retry.
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
        let mut set = doc! {
            "state": state.as_str(), "leaseUntil": "$$REMOVE", "sendingAt": "$$REMOVE", "reason": "$$REMOVE",
        };
        let paced = trouble.class.as_deref() == Some(PACED);
        set.insert("paced", if paced { Bson::Boolean(true) } else { Bson::from("$$REMOVE") });
        match verdict {
            Verdict::Done { provider_id } => {
                set.extend(closed());
                if let Some(id) = provider_id {
                    set.insert("providerId", doc! { "$literal": id });
                }
            }
            Verdict::Retry { due_at, counts } => {
                set.insert("dueAt", ahead(now, *due_at));
                set.insert("pushAfter", ahead(now, *due_at));
                set.insert("starts", 0);
                set.insert("attemptCount", job.attempt_count + i32::from(*counts));
            }
            Verdict::Park { reason } => {
                set.insert("reason", reason.as_str());
                set.insert("starts", 0);
            }
            Verdict::Unknown { grace_until } => {
                set.insert("graceUntil", ahead(now, *grace_until));
                set.insert("reason", Reason::OutcomeUnknown.as_str());
                set.insert("attemptCount", job.attempt_count + 1);
            }
            Verdict::Dead { reason } => {
                set.extend(closed());
                set.insert("reason", reason.as_str());
                set.insert("attemptCount", job.attempt_count + 1);
            }
        }
        tell_story(job, verdict, trouble, now, &mut set)?;
        let filter = doc! { "_id": &job.id, "state": "running", "epoch": job.epoch };
        let result = self.raw().update_one(filter, vec![doc! { "$set": set }]).await?;
        Ok(if result.matched_count == 1 { Ok(()) } else { Err(Fenced) })
    }

    /// A provider proved that the job's message arrived: done, whatever it was. Answers whether that was news.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prove(&self, id: &str, provider_id: Option<&str>, now: Time) -> Result<bool, StoreError> {
        let (mut set, mut unset) =
            (doc! { "state": "done" }, doc! { "leaseUntil": "", "sendingAt": "", "reason": "" });
        close(&mut set, &mut unset, now);
        if let Some(provider_id) = provider_id {
            set.insert("providerId", provider_id);
        }
        let filter = doc! { "_id": id, "state": { "$in": JobState::sources(JobEvent::Prove) } };
        let update = doc! { "$set": set, "$unset": unset, "$inc": { "epoch": 1 } };
        Ok(self.raw().update_one(filter, update).await?.matched_count == 1)
    }

    /// A provider refused the message of `job` after having accepted it: dead, or parked until the customer
    /// writes or somebody acts. Answers whether the job was still where that applies.
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

    /// Parks a job that stands behind a parked head. Answers whether it is parked now: not when it was moved, or
    /// when the head was released meanwhile, which would have left it behind.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn park_behind(&self, job: &JobRow, reason: Option<&str>) -> Result<bool, StoreError> {
        let filter = doc! { "_id": &job.id, "state": "queued", "epoch": job.epoch };
        let set = doc! { "state": "parked", "reason": reason.unwrap_or(Reason::NeedsTemplate.as_str()) };
        if self.raw().update_one(filter, doc! { "$set": set }).await?.matched_count == 0 {
            return Ok(false);
        }
        let head = match &job.lane {
            Some(lane) => self.head(lane).await?,
            None => None,
        };
        if head.is_some_and(|head| head.id != job.id && head.state == JobState::Parked) {
            return Ok(true);
        }
        // A release from here on finds the job parked; one before it did not.
        let filter = doc! { "_id": &job.id, "state": "parked", "epoch": job.epoch };
        self.raw().update_one(filter, released()).await?;
        Ok(false)
    }

    /// Lets the parked jobs of `lane` go on, all at once, in their order. Answers how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_lane(&self, lane: &str) -> Result<u64, StoreError> {
        let filter = doc! { "lane": lane, "open": true, "state": "parked" };
        Ok(self.raw().update_many(filter, released()).await?.modified_count)
    }

    /// The job that may run next in `lane`: what a finished job pushes. `None` where the head runs, waits for an
    /// event, or is not due by the store's clock. Parked jobs are looked past: what stands behind them parks too, or
    /// overtakes them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_in_lane(&self, lane: &str) -> Result<Option<JobRow>, StoreError> {
        let pipeline = vec![
            doc! { "$match": { "lane": lane, "open": true, "state": { "$ne": "parked" } } },
            doc! { "$sort": { "laneSeq": 1 } },
            doc! { "$limit": 1 },
            doc! { "$match": { "state": "queued", "$expr": is_due() } },
        ];
        let head = self.raw().aggregate(pipeline).await?.try_next().await?;
        Ok(head.map(deserialize_from_document).transpose()?)
    }
}

/// Parked jobs go on, due now.
pub(super) fn released() -> Vec<Document> {
    vec![doc! { "$set": {
        "state": "queued", "dueAt": "$$NOW", "pushAfter": "$$NOW", "epoch": { "$add": ["$epoch", 1] },
        "reason": "$$REMOVE", "errorClass": "$$REMOVE", "lastError": "$$REMOVE",
    } }]
}

/// `time` on the store's clock, given that the caller's shows `now`.
pub(super) fn ahead(now: Time, time: Time) -> Document {
    let millis = time.timestamp_millis().saturating_sub(now.timestamp_millis()).clamp(0, AHEAD_MAX);
    doc! { "$dateAdd": { "startDate": "$$NOW", "unit": "millisecond", "amount": millis } }
}

/// The fields of a job that has ended, for a pipeline.
fn closed() -> Document {
    doc! { "finishedAt": "$$NOW", "open": "$$REMOVE", "graceUntil": "$$REMOVE" }
}

/// The end of the current attempt, beside the attempts before it. Nobody else writes them in this epoch.
fn tell_story(
    job: &JobRow,
    verdict: &Verdict,
    trouble: &Trouble,
    now: Time,
    set: &mut Document,
) -> Result<(), StoreError> {
    for (field, value) in [("errorClass", &trouble.class), ("lastError", &trouble.text)] {
        if let Some(value) = value {
            set.insert(field, doc! { "$literal": value });
        }
    }
    let Some((last, earlier)) = job.attempts.split_last() else { return Ok(()) };
    let last = ended(job, last, verdict, trouble);
    let mut times = doc! { "finishedAt": "$$NOW" };
    if let Verdict::Retry { due_at, .. } = verdict {
        times.insert("nextAttemptAt", ahead(now, *due_at));
    }
    let last = doc! { "$mergeObjects": [{ "$literal": serialize_to_bson(&last)? }, times] };
    let earlier = doc! { "$literal": serialize_to_bson(earlier)? };
    set.insert("attempts", doc! { "$concatArrays": [earlier, [last]] });
    Ok(())
}

/// `attempt`, the last of `job`, as its end is told; when that was, the store's clock says.
pub(super) fn ended(job: &JobRow, attempt: &Attempt, verdict: &Verdict, trouble: &Trouble) -> Attempt {
    Attempt {
        sending_at: job.sending_at,
        outcome: Some(verdict.outcome()),
        error_class: trouble.class.clone(),
        provider_error_code: trouble.provider_code.clone(),
        ..attempt.clone()
    }
}

/// The fields of a job that has ended.
fn close(set: &mut Document, unset: &mut Document, now: Time) {
    set.insert("finishedAt", now);
    unset.insert("open", "");
    unset.insert("graceUntil", "");
}
