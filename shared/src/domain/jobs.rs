//! Follow-up jobs: which there are, and the states a job moves through. Drawn in docs/JOB_STATES.md.

use serde::{Deserialize, Serialize};

use crate::queue::Queue;

/// A kind of job: its name on the wire (never renamed) and its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobKind {
    pub name: &'static str,
    pub queue: Queue,
}

/// Indexes a message and its thread.
pub const INDEX_MESSAGE: JobKind = JobKind { name: "index_message", queue: Queue::Search };
/// Indexes a thread alone, after a change that no message carries.
pub const INDEX_THREAD: JobKind = JobKind { name: "index_thread", queue: Queue::Search };
/// Writes the audit row of a successful `message.create`.
pub const AUDIT_MESSAGE: JobKind = JobKind { name: "audit_message", queue: Queue::Audit };
/// Forwards a message to the guest platform.
pub const FORWARD_TO_GUEST: JobKind = JobKind { name: "forward_to_guest", queue: Queue::Guest };
/// Sends a message by WhatsApp.
pub const DELIVER_WHATSAPP: JobKind = JobKind { name: "deliver_whatsapp", queue: Queue::Whatsapp };
/// Sends a message by SMS.
pub const DELIVER_SMS: JobKind = JobKind { name: "deliver_sms", queue: Queue::Sms };
/// Finds out whom a customer's unread message is mailed to: a job of their own for each.
pub const NOTIFY_AGENTS: JobKind = JobKind { name: "notify_agents", queue: Queue::Email };
/// Mails one agent what is unread in a room.
pub const NOTIFY_AGENT: JobKind = JobKind { name: "notify_agent", queue: Queue::Email };
/// Mails the customer of a room the answers that are unread.
pub const NOTIFY_CUSTOMER: JobKind = JobKind { name: "notify_customer", queue: Queue::Email };
/// Mails an admin that the credentials of a channel are refused.
pub const NOTIFY_FLAGGED_CHANNEL: JobKind = JobKind { name: "notify_flagged_channel", queue: Queue::Email };
/// Works through a stored webhook event.
pub const PROCESS_EVENT: JobKind = JobKind { name: "process_event", queue: Queue::Inbound };

/// A job that a commit calls for. Effects outside have a lane, projections have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDraft {
    pub kind: JobKind,
    /// `{channel}:{threadId}`: jobs of one lane run one after the other, in the order of `lane_seq`.
    pub lane: Option<String>,
    /// The message's `seq`.
    pub lane_seq: i64,
    /// It goes past parked jobs of its lane: a template, which needs no open window.
    pub overtakes: bool,
}

/// Where a job stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Queued,
    Running,
    Done,
    Parked,
    Unknown,
    Dead,
    Cancelled,
}

/// What may happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobEvent {
    /// A worker takes it.
    Claim,
    /// It did its work.
    Succeed,
    /// It goes back to the queue for a later time.
    Retry,
    /// It waits for an event or a person.
    Park,
    /// Whether the provider took it is not known.
    LoseTrack,
    /// It will not be tried again by itself.
    GiveUp,
    /// The worker vanished before it began to send.
    LeaseExpired,
    /// A proof of delivery arrived. A running job ends by its own worker, which looks at the message.
    Prove,
    /// The provider refused it after having accepted it.
    Refuse,
    /// The provider refused it after having accepted it, until the customer writes again or somebody acts.
    RefuseForNow,
    /// The provider refused it after having accepted it, and may take it at a later time.
    RefuseForLater,
    /// An operator or the customer's next message lets it go on.
    Release,
    /// An operator stops it.
    Cancel,
}

impl JobEvent {
    /// All events.
    pub const ALL: [JobEvent; 13] = [
        JobEvent::Claim,
        JobEvent::Succeed,
        JobEvent::Retry,
        JobEvent::Park,
        JobEvent::LoseTrack,
        JobEvent::GiveUp,
        JobEvent::LeaseExpired,
        JobEvent::Prove,
        JobEvent::Refuse,
        JobEvent::RefuseForNow,
        JobEvent::RefuseForLater,
        JobEvent::Release,
        JobEvent::Cancel,
    ];
}

impl JobState {
    /// All states, in the order of the diagram.
    pub const ALL: [JobState; 7] = [
        JobState::Queued,
        JobState::Running,
        JobState::Done,
        JobState::Parked,
        JobState::Unknown,
        JobState::Dead,
        JobState::Cancelled,
    ];

    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Parked => "parked",
            JobState::Unknown => "unknown",
            JobState::Dead => "dead",
            JobState::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens by itself.
    pub fn is_finished(self) -> bool {
        matches!(self, JobState::Done | JobState::Dead | JobState::Cancelled)
    }

    /// The state after `event`, or `None` where the event does not apply: the caller was overtaken and must stop.
    pub fn after(self, event: JobEvent) -> Option<JobState> {
        use JobEvent as E;
        use JobState as S;
        match (self, event) {
            (S::Queued, E::Claim) => Some(S::Running),
            (S::Running, E::Succeed) => Some(S::Done),
            (S::Running, E::Retry | E::LeaseExpired) => Some(S::Queued),
            (S::Running, E::Park) | (S::Queued, E::Park) => Some(S::Parked),
            (S::Running, E::LoseTrack) => Some(S::Unknown),
            (S::Running, E::GiveUp) | (S::Queued | S::Parked | S::Unknown, E::GiveUp) => Some(S::Dead),
            (S::Queued | S::Parked | S::Unknown | S::Dead, E::Prove) => Some(S::Done),
            (S::Done | S::Unknown, E::Refuse) => Some(S::Dead),
            (S::Done | S::Unknown, E::RefuseForNow) => Some(S::Parked),
            (S::Done | S::Unknown, E::RefuseForLater) => Some(S::Queued),
            (S::Parked | S::Unknown | S::Dead | S::Cancelled, E::Release) => Some(S::Queued),
            (S::Queued | S::Parked | S::Unknown | S::Dead, E::Cancel) => Some(S::Cancelled),
            _ => None,
        }
    }

    /// The states from which `event` may happen: the filter of its update.
    pub fn sources(event: JobEvent) -> Vec<&'static str> {
        Self::ALL.into_iter().filter(|s| s.after(event).is_some()).map(JobState::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_finished_job_moves_only_by_an_operator_or_a_providers_word() {
        use JobEvent as E;
        for event in [E::Claim, E::Succeed, E::Retry, E::Park, E::LoseTrack, E::GiveUp, E::LeaseExpired] {
            for state in [JobState::Done, JobState::Dead, JobState::Cancelled] {
                assert_eq!(state.after(event), None, "{state:?} {event:?}");
            }
        }
        assert_eq!(JobState::Done.after(E::Release), None, "what was delivered is never sent again");
    }

    #[test]
    fn only_a_queued_job_can_be_claimed() {
        assert_eq!(JobState::sources(JobEvent::Claim), ["queued"]);
    }

    /// The moves of docs/JOB_STATES.md: `from event to`.
    struct Documented {
        drawn: BTreeSet<String>,
        told: BTreeSet<String>,
    }

    fn documented() -> Documented {
        let (mut drawn, mut told) = (BTreeSet::new(), BTreeSet::new());
        for line in include_str!("../../../docs/JOB_STATES.md").lines() {
            if let Some((from, rest)) = line.trim().split_once(" --> ")
                && let Some((to, events)) = rest.split_once(": ")
            {
                drawn.extend(events.split(", ").map(|event| format!("{from} {event} {to}")));
            }
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            if let ["", from, event, to, who, ""] = cells[..]
                && line.starts_with("| `")
            {
                assert!(!who.is_empty(), "who moves {from} to {to}?");
                assert!(told.insert(format!("{from} {event} {to}")), "told twice: {line}");
            }
        }
        Documented { drawn, told }
    }

    #[test]
    fn every_allowed_move_is_drawn_and_told_in_the_documentation_and_no_other() {
        let mut allowed = BTreeSet::new();
        for state in JobState::ALL {
            for event in JobEvent::ALL {
                if let Some(next) = state.after(event) {
                    allowed.insert(format!("{} {event:?} {}", state.as_str(), next.as_str()));
                }
            }
        }
        let Documented { drawn, told } = documented();
        assert_eq!(drawn, allowed, "the diagram");
        assert_eq!(told, allowed, "the table");
    }
}
