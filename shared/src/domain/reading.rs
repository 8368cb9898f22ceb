//! Read marks: what a person has seen of a thread.

use serde::{Deserialize, Serialize};

use super::ids::Uid;
use super::thread::Thread;

/// A place in a thread, counted in all messages and in those of the room's customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub seq: i64,
    /// How many messages of the customer stand up to here; 0 where there is no customer.
    pub customer_seq: i64,
}

/// Up to where a person has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadMark {
    pub uid: Uid,
    pub seq: i64,
    /// How many messages of the room's customer stand up to `seq`, so that what is unread is a difference.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub customer_seq: i64,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Moves `uid`'s mark forward to `place`; a mark never goes back.
pub(crate) fn move_mark(marks: &mut Vec<ReadMark>, uid: &Uid, place: Place) {
    let Place { seq, customer_seq } = place;
    match marks.iter_mut().find(|m| m.uid == *uid) {
        Some(mark) if mark.seq >= seq => {}
        Some(mark) => (mark.seq, mark.customer_seq) = (seq, customer_seq),
        None => marks.push(ReadMark { uid: uid.clone(), seq, customer_seq }),
    }
}

impl Thread {
    /// Up to which `seq` `uid` has read; 0 when never.
    pub fn read_up_to(&self, uid: &Uid) -> i64 {
        self.read_marks.iter().find(|m| m.uid == *uid).map_or(0, |m| m.seq)
    }

    /// The end of the thread.
    pub fn place(&self) -> Place {
        Place { seq: self.seq, customer_seq: self.customer_seq }
    }

    /// The thread after `uid` has read up to `place`, with the next version; `None` when that changes nothing.
    ///
    /// Attention is cleared only when the mark reaches the message that last raised it.
    pub fn read_by(&self, uid: &Uid, place: Place) -> Option<Thread> {
        let place = if place.seq > self.seq { self.place() } else { place };
        let raised = self.attention.iter().any(|m| m.uid == *uid && m.seq <= place.seq);
        if self.read_up_to(uid) >= place.seq && !raised {
            return None;
        }
        let mut next = self.clone();
        move_mark(&mut next.read_marks, uid, place);
        next.attention.retain(|m| m.uid != *uid || m.seq > place.seq);
        next.derive_attention();
        next.version += 1;
        Some(next)
    }
}
