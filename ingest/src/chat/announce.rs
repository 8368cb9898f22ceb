//! Telling those who watch of threads that were made, changed or read by hand.

use std::sync::Arc;

use shared::domain::ids::Uid;
use shared::domain::thread::Thread;
use shared::live::LiveEvent;

use super::Chat;

impl Chat {
    /// Tells of a new thread.
    pub(crate) fn announce_new(&self, thread: &Thread) {
        self.announce(thread, false);
    }

    /// Tells what became of `before`. A guest must not notice, not even by the time, what it cannot see.
    pub(super) fn announce_change(&self, before: &Thread, after: &Thread) {
        for uid in readers(before, after) {
            let (account, thread) = (after.account_id.clone(), after.thread_id.clone());
            let event = LiveEvent::Unread { account, thread, uid: uid.clone() };
            self.live.publish_with(event, Arc::new(after.clone()));
        }
        self.announce(after, !is_seen_by_guests(before, after));
    }

    fn announce(&self, thread: &Thread, staff_only: bool) {
        let (account, id) = (thread.account_id.clone(), thread.thread_id.clone());
        let event = LiveEvent::ThreadUpdated { account, thread: id, staff_only };
        self.live.publish_with(event, Arc::new(thread.clone()));
    }
}

/// Those whose read mark moved.
fn readers<'a>(before: &'a Thread, after: &'a Thread) -> impl Iterator<Item = &'a Uid> {
    let moved = |uid: &Uid| before.read_up_to(uid) != after.read_up_to(uid);
    after.read_marks.iter().map(|mark| &mark.uid).filter(move |uid| moved(uid))
}

/// Whether the change by hand shows in a guest's view.
fn is_seen_by_guests(before: &Thread, after: &Thread) -> bool {
    let seen = |thread: &Thread| (thread.title.clone(), thread.status, thread.reservation_id.clone());
    seen(before) != seen(after) || before.guest_viewers != after.guest_viewers
}

#[cfg(test)]
mod tests {
    use shared::domain::Time;
    use shared::domain::actor::{Actor, Role};
    use shared::domain::ids::AccountId;
    use shared::domain::thread::{ThreadDraft, ThreadPatch, ThreadStatus};

    use super::*;

    #[test]
    fn guests_are_told_of_what_they_see_and_of_nothing_else() {
        let actor = Actor {
            account: AccountId::parse("acme").unwrap(),
            uid: Uid::parse("anna").unwrap(),
            role: Role::Agent,
            conversation_id: "anna".to_owned(),
        };
        let draft =
            ThreadDraft { participant_ids: vec![Uid::parse("gina").unwrap()], ..ThreadDraft::default() };
        let thread = Thread::create(draft, &actor, Time::now()).unwrap();
        let after = |patch: ThreadPatch| thread.patched(patch, &actor).unwrap().unwrap();
        let titled = after(ThreadPatch { title: Some("Room 7".to_owned()), ..ThreadPatch::default() });
        assert!(is_seen_by_guests(&thread, &titled));
        let closed = after(ThreadPatch { status: Some(ThreadStatus::Resolved), ..ThreadPatch::default() });
        assert!(is_seen_by_guests(&thread, &closed));
        let assigned = after(ThreadPatch {
            assigned_agent_ids: Some(vec![actor.uid.clone()]),
            ..ThreadPatch::default()
        });
        assert!(!is_seen_by_guests(&thread, &assigned));
        let flagged = after(ThreadPatch { important: Some(true), ..ThreadPatch::default() });
        assert!(!is_seen_by_guests(&thread, &flagged));
        assert_eq!(readers(&thread, &flagged).count(), 0);
    }
}
