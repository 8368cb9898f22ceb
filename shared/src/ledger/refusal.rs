//! A provider takes back its acceptance for a time: the job goes back to the queue.

use mongodb::bson::{doc, serialize_to_bson};

use super::outcome::ahead;
use super::{Attempt, AttemptOutcome, JobRow, Ledger, Trouble};
use crate::domain::jobs::{JobEvent, JobState};
use crate::domain::time::Time;
use crate::store::StoreError;

/// A refusal that came in a status webhook and will pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRefusal {
    /// The attempt that had been accepted.
    pub attempt: u32,
    /// When to try again.
    pub due_at: Time,
    /// Whether it counts as an attempt.
    pub counts: bool,
    pub trouble: Trouble,
}

impl Ledger {
    /// Puts `job`, which a provider had accepted, back into its lane until `refusal.due_at`. Answers whether the job
    /// was still where that applies: not when it was proved, moved, or the same was said before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refuse_for_later(
        &self,
        job: &JobRow,
        refusal: &LateRefusal,
        now: Time,
    ) -> Result<bool, StoreError> {
        let attempts: Vec<Attempt> = job.attempts.iter().map(|attempt| told(attempt, refusal)).collect();
        let due = ahead(now, refusal.due_at);
        let mut set = doc! {
            "state": JobState::Queued.as_str(), "open": true, "dueAt": &due, "pushAfter": due, "starts": 0,
            "attempts": { "$literal": serialize_to_bson(&attempts)? },
            "attemptCount": job.attempt_count + i32::from(refusal.counts),
            "epoch": { "$add": ["$epoch", 1] },
            "finishedAt": "$$REMOVE", "graceUntil": "$$REMOVE", "sendingAt": "$$REMOVE", "reason": "$$REMOVE",
        };
        let trouble = &refusal.trouble;
        for (field, value) in [("errorClass", &trouble.class), ("lastError", &trouble.text)] {
            if let Some(value) = value {
                set.insert(field, doc! { "$literal": value });
            }
        }
        let sources = JobState::sources(JobEvent::RefuseForLater);
        let filter = doc! { "_id": &job.id, "state": { "$in": sources }, "epoch": job.epoch };
        Ok(self.raw().update_one(filter, vec![doc! { "$set": set }]).await?.matched_count == 1)
    }
}

/// `attempt` with what is known of it now.
fn told(attempt: &Attempt, refusal: &LateRefusal) -> Attempt {
    if attempt.attempt != refusal.attempt {
        return attempt.clone();
    }
    Attempt {
        outcome: Some(AttemptOutcome::Retry),
        error_class: refusal.trouble.class.clone(),
        provider_error_code: refusal.trouble.provider_code.clone(),
        next_attempt_at: Some(refusal.due_at),
        ..attempt.clone()
    }
}
