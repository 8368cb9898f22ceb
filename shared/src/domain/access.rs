//! Entitlement: who may see and write a thread. Used by REST, lists, sockets and search alike.
//!
//! A thread carries tokens, a caller holds tokens; a list shows the threads where they meet. The single-thread
//! checks below give the same answer, with its reason.

use super::actor::{Actor, Role};
use super::rejection::Rejection;
use super::thread::{Thread, ThreadKind};

/// Token of every agent of the account.
const STAFF: &str = "staff";
/// Token of the account's admins and services.
const ADMINS: &str = "admins";

/// Tokens of the staff who may see `thread`: all of them, or on an assigned support room the assigned and admins.
pub(crate) fn staff_viewers(thread: &Thread) -> Vec<String> {
    if thread.kind != ThreadKind::Support || thread.assigned_agent_ids.is_empty() {
        return vec![STAFF.to_owned()];
    }
    let assigned = thread.assigned_agent_ids.iter().map(|uid| format!("a:{uid}"));
    std::iter::once(ADMINS.to_owned()).chain(assigned).collect()
}

/// Tokens of the guests who may see `thread`.
pub(crate) fn guest_viewers(thread: &Thread) -> Vec<String> {
    thread.participant_ids.iter().map(|uid| format!("u:{uid}")).collect()
}

/// Tokens of which every thread has one.
pub(crate) fn every_staff_token() -> [&'static str; 2] {
    [STAFF, ADMINS]
}

/// The tokens that `actor` holds: one of them on a thread lets it be seen.
pub fn tokens(actor: &Actor) -> Vec<String> {
    match actor.role {
        Role::Agent => vec![STAFF.to_owned(), format!("a:{}", actor.uid)],
        Role::Admin | Role::Service => vec![STAFF.to_owned(), ADMINS.to_owned()],
        Role::Guest => vec![format!("u:{}", actor.uid)],
        Role::Operator => Vec::new(),
    }
}

/// Whether `actor` may read and write `thread`.
///
/// # Errors
/// [`Rejection::NotParticipant`] for a guest outside it, [`Rejection::NotAssigned`] for an agent of an assigned
/// support room of others, [`Rejection::Forbidden`] for operators.
pub fn check_entitled(thread: &Thread, actor: &Actor) -> Result<(), Rejection> {
    match actor.role {
        Role::Admin | Role::Service => Ok(()),
        Role::Operator => Err(Rejection::Forbidden("operators have no access to conversations")),
        Role::Guest if thread.participant_ids.contains(&actor.uid) => Ok(()),
        Role::Guest => Err(Rejection::NotParticipant),
        Role::Agent if thread.kind != ThreadKind::Support => Ok(()),
        Role::Agent if thread.assigned_agent_ids.is_empty() => Ok(()),
        Role::Agent if thread.assigned_agent_ids.contains(&actor.uid) => Ok(()),
        Role::Agent => Err(Rejection::NotAssigned),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::samples::{actor, thread, uid};

    proptest! {
        #[test]
        fn a_list_shows_exactly_the_threads_that_a_single_read_admits(
            support in any::<bool>(),
            participants in prop::collection::vec("[a-d]", 0..4),
            assigned in prop::collection::vec("[a-d]", 0..3),
            who in "[a-e]",
            role in prop::sample::select(vec![Role::Agent, Role::Admin, Role::Guest, Role::Service, Role::Operator]),
        ) {
            let mut t = thread();
            t.kind = if support { ThreadKind::Support } else { ThreadKind::Guest };
            t.participant_ids = participants.iter().map(|p| uid(p)).collect();
            t.assigned_agent_ids = assigned.iter().map(|p| uid(p)).collect();
            t.derive_viewers();
            let caller = actor(&who, role);
            let held = tokens(&caller);
            let listed = t.staff_viewers.iter().chain(&t.guest_viewers).any(|token| held.contains(token));
            prop_assert_eq!(listed, check_entitled(&t, &caller).is_ok());
        }
    }
}
