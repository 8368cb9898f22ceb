//! Small documents for the core's own tests.

use super::actor::{Actor, Role};
use super::ids::{AccountId, Uid};
use super::thread::{Thread, ThreadDraft};
use super::time::Time;

pub(crate) fn uid(value: &str) -> Uid {
    Uid::parse(value).expect("a sample uid")
}

pub(crate) fn actor(who: &str, role: Role) -> Actor {
    Actor {
        account: AccountId::parse("acme").expect("a sample account"),
        uid: uid(who),
        role,
        conversation_id: who.to_owned(),
    }
}

pub(crate) fn thread() -> Thread {
    Thread::create(ThreadDraft::default(), &actor("host", Role::Agent), Time::from_millis(1_000))
        .expect("staff")
}
