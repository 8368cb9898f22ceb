//! A row of the ledger, and the rows that a commit calls for.

use std::time::Duration;

use mongodb::bson::doc;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::domain::ids::{AccountId, ChannelId, Uid};
use crate::domain::jobs::{JobDraft, JobKind, JobState};
use crate::domain::message::Message;
use crate::domain::time::{Time, plus_millis};
use crate::queue::Queue;
use crate::store::Subject;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    Ok,
    Retry,
    Parked,
    Unknown,
    Dead,
    Cancelled,
}

impl AttemptOutcome {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Ok => "ok",
            AttemptOutcome::Retry => "retry",
            AttemptOutcome::Parked => "parked",
            AttemptOutcome::Unknown => "unknown",
            AttemptOutcome::Dead => "dead",
            AttemptOutcome::Cancelled => "cancelled",
        }
    }
}

/// One try of an effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub attempt: u32,
    pub started_at: Time,
    /// When the request was about to be written; absent = nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AttemptOutcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_error_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Time>,
    /// The process that tried: `{queue}-{host}-{pid}-{ulid}`.
    pub worker: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_by: Option<String>,
}

/// A job as stored. The payload is ids only: what a job needs it reads from the message and the thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRow {
    /// ULID, unique everywhere: what providers know the job by.
    #[serde(rename = "_id")]
    pub id: String,
    pub account_id: AccountId,
    pub queue: Queue,
    /// The kind, by its wire name.
    pub name: String,
    /// `{accountId}/{messageId}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `{accountId}/{threadId}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The stored event that it works through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The account's channel that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// Whom it is for, where that is one of several people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Uid>,
    /// Who acted, for the audit job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_seq: Option<i64>,
    /// Goes past parked jobs of its lane.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overtakes: bool,
    /// Holds its lane: true from the commit until the job is finished or its outcome stays unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    pub state: JobState,
    /// Grows at each claim; a worker that comes back late finds another epoch and is fenced off.
    #[serde(default)]
    pub epoch: i64,
    /// Claims, or deliveries that ended in a worker's death: what makes a job poison.
    #[serde(default)]
    pub starts: i32,
    /// Attempts that counted; those refused by a rate limit or an open circuit do not.
    #[serde(default)]
    pub attempt_count: i32,
    /// Number of the current attempt.
    #[serde(default)]
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Its place in the pace of its sender is taken: `dueAt` is when it comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paced: bool,
    /// Times that it was sent again although the outcome was unknown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resends: i32,
    pub due_at: Time,
    /// Its id is in Redis until then: the dispatcher leaves it alone.
    pub push_after: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<Time>,
    /// In doubt: the provider is asked again after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_after: Option<Time>,
    /// Who had it sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// Why it is parked or dead: the contract's `delivery.reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

fn is_zero(value: &i32) -> bool {
    *value == 0
}

impl JobRow {
    /// A job of `kind`, due at once; the dispatcher leaves it to the committer's own push for `push_grace`.
    pub fn new(kind: JobKind, account: &AccountId, now: Time, push_grace: Duration) -> Self {
        Self {
            id: Ulid::new().to_string(),
            account_id: account.clone(),
            queue: kind.queue,
            name: kind.name.to_owned(),
            message: None,
            thread: None,
            event: None,
            channel: None,
            recipient: None,
            subject: None,
            request_id: None,
            lane: None,
            lane_seq: None,
            overtakes: false,
            open: None,
            state: JobState::Queued,
            epoch: 0,
            starts: 0,
            attempt_count: 0,
            attempt: 0,
            attempts: Vec::new(),
            paced: false,
            resends: 0,
            due_at: now,
            push_after: plus_millis(now, push_grace.as_millis() as i64),
            lease_until: None,
            sending_at: None,
            grace_until: None,
            look_after: None,
            replay_by: None,
            error_class: None,
            reason: None,
            last_error: None,
            provider_id: None,
            created_at: now,
            finished_at: None,
        }
    }

    /// The job that `draft` of a commit calls for.
    pub fn of(draft: &JobDraft, message: &Message, push_grace: Duration) -> Self {
        // Not the message's time, which another process's clock may have pushed ahead.
        let mut row = Self::new(draft.kind, &message.account_id, Time::now(), push_grace);
        row.message = Some(message.key.clone());
        row.thread = Some(message.thread.clone());
        if let Some(lane) = &draft.lane {
            row.lane = Some(lane.clone());
            row.lane_seq = Some(draft.lane_seq);
            row.open = Some(true);
            row.overtakes = draft.overtakes;
        }
        row
    }

    /// The part of this effect that is `recipient`'s: a job of its own in a lane of its own, due now. It has the
    /// same id however often it is made.
    pub fn part_for(&self, recipient: &Uid, kind: JobKind, push_grace: Duration) -> Self {
        let mut part = Self::new(kind, &self.account_id, Time::now(), push_grace);
        part.id = part_id(&self.id, recipient);
        part.message.clone_from(&self.message);
        part.thread.clone_from(&self.thread);
        part.request_id.clone_from(&self.request_id);
        part.recipient = Some(recipient.clone());
        let thread = self.thread.as_deref().unwrap_or_default();
        part.lane = Some(format!("{}:{thread}:{recipient}", kind.queue));
        part.lane_seq = self.lane_seq;
        part.open = Some(true);
        part
    }

    /// What a provider is given to name this attempt: `{jobId}.{attempt}`.
    pub fn attempt_ref(&self) -> String {
        format!("{}.{}", self.id, self.attempt)
    }

    /// Reads [`JobRow::attempt_ref`]; `None` when it is not one of ours.
    pub fn parse_attempt_ref(text: &str) -> Option<(String, u32)> {
        let (id, attempt) = text.rsplit_once('.')?;
        let id = Ulid::from_string(id).ok()?.to_string();
        Some((id, attempt.parse().ok()?))
    }

    /// Whether it has a timeline and must be claimed.
    pub fn is_effect(&self) -> bool {
        self.lane.is_some()
    }
}

/// A ULID with the time of `whole` and digits that follow from both.
fn part_id(whole: &str, recipient: &Uid) -> String {
    let time = Ulid::from_string(whole).map_or(0, |id| id.timestamp_ms());
    let digest = Sha256::digest(format!("{whole}/{recipient}"));
    let digits = digest.iter().take(10).fold(0_u128, |digits, byte| digits << 8 | u128::from(*byte));
    Ulid::from_parts(time, digits).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_given_to_a_provider_is_read_back() {
        let account = AccountId::parse("acme").expect("an account");
        let mut row =
            JobRow::new(crate::domain::jobs::DELIVER_SMS, &account, Time::from_millis(0), Duration::ZERO);
        row.attempt = 3;
        assert_eq!(JobRow::parse_attempt_ref(&row.attempt_ref()), Some((row.id, 3)));
        for foreign in ["", "x", "x.1", "01ARZ3NDEKTSV4RRFFQ69G5FAV.", "01ARZ3NDEKTSV4RRFFQ69G5FAV.-1"] {
            assert_eq!(JobRow::parse_attempt_ref(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_part_of_a_job_has_one_id_however_often_it_is_made() {
        let account = AccountId::parse("acme").expect("an account");
        let row = JobRow::new(crate::domain::jobs::NOTIFY_AGENTS, &account, Time::now(), Duration::ZERO);
        let uid = |text| Uid::parse(text).expect("a uid");
        let part = |who| row.part_for(&uid(who), crate::domain::jobs::NOTIFY_AGENT, Duration::ZERO);
        assert_eq!(part("anna").id, part("anna").id);
        assert_ne!(part("anna").id, part("ben").id);
        assert!(JobRow::parse_attempt_ref(&part("anna").attempt_ref()).is_some(), "it is an id like others");
        assert_ne!(part("anna").lane, part("ben").lane);
    }

    #[test]
    fn rows_of_older_versions_still_decode() {
        let golden = doc! {
            "_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "accountId": "acme", "queue": "search", "name": "index_message",
            "message": "acme/m1", "thread": "acme/t1", "state": "queued",
            "dueAt": Time::from_millis(0), "pushAfter": Time::from_millis(0), "createdAt": Time::from_millis(0),
        };
        let row: JobRow = mongodb::bson::deserialize_from_document(golden).expect("decodes");
        assert_eq!((row.epoch, row.attempts.len(), row.state), (0, 0, JobState::Queued));
    }
}
