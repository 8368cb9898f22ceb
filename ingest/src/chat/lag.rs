//! How far the search index is behind: the oldest index job that waits, asked of the ledger twice a second at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::domain::Time;
use shared::domain::ids::AccountId;
use shared::ledger::Ledger;
use shared::queue::Queue;
use shared::store::StoreError;
use tokio::sync::Mutex;

/// How long an answer is used again. Shorter than the two seconds that the overlay always looks back, so that a
/// job committed meanwhile is in them.
const FRESH: Duration = Duration::from_millis(500);

/// The lag of every account. Clones share what they know.
#[derive(Clone)]
pub(crate) struct IndexLag {
    ledger: Ledger,
    known: Arc<Mutex<Option<Known>>>,
}

struct Known {
    asked: Instant,
    oldest: HashMap<AccountId, Time>,
}

impl IndexLag {
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self { ledger: ledger.clone(), known: Arc::default() }
    }

    /// When the oldest waiting index job of `account` was committed.
    ///
    /// With so many jobs waiting that counting them takes too long, an earlier answer counts: it is older, which
    /// only makes the overlay look further back.
    pub(crate) async fn oldest(&self, account: &AccountId) -> Result<Option<Time>, StoreError> {
        // One asks, the others wait for its answer.
        let mut known = self.known.lock().await;
        if known.as_ref().is_none_or(|known| known.asked.elapsed() >= FRESH) {
            let asked = Instant::now();
            match (self.ledger.oldest_waiting(Queue::Search).await, known.as_mut()) {
                (Ok(oldest), _) => *known = Some(Known { asked, oldest }),
                (Err(error), Some(earlier)) if !error.is_away() => earlier.asked = asked,
                (Err(error), _) => return Err(error),
            }
        }
        Ok(known.as_ref().and_then(|known| known.oldest.get(account).copied()))
    }
}
