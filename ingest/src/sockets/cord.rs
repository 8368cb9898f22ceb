//! The cord of a connection: who pulls it ends the connection, and a client that is still there comes again.
//!
//! The Socket.IO library can only say good-bye in order, which a full buffer does not take and after which clients
//! stay away. A client that is too slow is to come back and catch up, so its connection breaks instead.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The cords of this process, by the session id that clients name in their requests.
#[derive(Clone, Default)]
pub(super) struct Cords(Arc<Mutex<HashMap<String, Weak<Cord>>>>);

/// The cord of one session. Held by its connection and by its place in the house.
pub(super) struct Cord {
    cut: CancellationToken,
    /// Under which id it hangs where.
    hook: Option<(Cords, String)>,
}

/// A cord as it travels with the request that opened a connection.
#[derive(Clone)]
pub(super) struct Attached(pub(super) Arc<Cord>);

impl Cords {
    /// The cord of session `sid`, made when there is none.
    pub(super) fn of(&self, sid: &str) -> Arc<Cord> {
        let mut cords = self.0.lock();
        if let Some(cord) = cords.get(sid).and_then(Weak::upgrade) {
            return cord;
        }
        let hook = Some((self.clone(), sid.to_owned()));
        let cord = Arc::new(Cord { cut: CancellationToken::new(), hook });
        cords.insert(sid.to_owned(), Arc::downgrade(&cord));
        cord
    }

    /// Whether the cord of session `sid` was pulled.
    pub(super) fn is_cut(&self, sid: &str) -> bool {
        let cord = self.0.lock().get(sid).and_then(Weak::upgrade);
        cord.is_some_and(|cord| cord.is_cut())
    }
}

impl Cord {
    /// A cord for a connection that has no session id yet.
    pub(super) fn loose() -> Arc<Self> {
        Arc::new(Self { cut: CancellationToken::new(), hook: None })
    }

    /// Ends the connection.
    pub(super) fn pull(&self) {
        self.cut.cancel();
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Tells when it is pulled.
    pub(super) fn token(&self) -> CancellationToken {
        self.cut.clone()
    }
}

impl Drop for Cord {
    fn drop(&mut self) {
        let Some((cords, sid)) = &self.hook else { return };
        let mut cords = cords.0.lock();
        // Another may hang there since.
        if cords.get(sid).is_some_and(|cord| cord.strong_count() == 0) {
            cords.remove(sid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cord_is_one_for_its_session_and_leaves_nothing_behind() {
        let cords = Cords::default();
        let (one, same) = (cords.of("s1"), cords.of("s1"));
        assert!(Arc::ptr_eq(&one, &same) && !cords.is_cut("s1"));
        one.pull();
        assert!(same.is_cut() && cords.is_cut("s1") && !cords.is_cut("s2"));
        drop((one, same));
        assert!(cords.0.lock().is_empty());
    }
}
