//! Read marks: what a person has seen of a thread.

use super::ids::Uid;
use super::thread::{Mark, Thread};

/// Moves `uid`'s mark forward to `seq`; a mark never goes back.
pub(crate) fn move_mark(marks: &mut Vec<Mark>, uid: &Uid, seq: i64) {
    match marks.iter_mut().find(|m| m.uid == *uid) {
        Some(mark) => mark.seq = mark.seq.max(seq),
        None => marks.push(Mark { uid: uid.clone(), seq }),
    }
}

impl Thread {
    /// Up to which `seq` `uid` has read; 0 when never.
    pub fn read_up_to(&self, uid: &Uid) -> i64 {
        self.read_marks.iter().find(|m| m.uid == *uid).map_or(0, |m| m.seq)
    }

    /// The thread after `uid` has read up to `seq`, with the next version; `None` when that changes nothing.
    ///
    /// Attention is cleared only when the mark reaches the message that last raised it.
    pub fn read_by(&self, uid: &Uid, seq: i64) -> Option<Thread> {
        let seq = seq.min(self.seq);
        let raised = self.attention.iter().any(|m| m.uid == *uid && m.seq <= seq);
        if self.read_up_to(uid) >= seq && !raised {
            return None;
        }
        let mut next = self.clone();
        move_mark(&mut next.read_marks, uid, seq);
        next.attention.retain(|m| m.uid != *uid || m.seq > seq);
        next.derive_attention();
        next.version += 1;
        Some(next)
    }
}
