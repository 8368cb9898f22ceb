//! How far the search index is behind: the oldest index job that waits, asked of the ledger twice a second at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use shared::domain::Time;
use shared::domain::ids::AccountId;
use shared::ledger::Ledger;
use shared::queue::Queue;
use shared::store::StoreError;

/// How long an answer is used again.
const FRESH: Duration = Duration::from_millis(500);
/// How long while somebody asks anew. Shorter than the two seconds that the overlay always looks back, so that a
/// job committed meanwhile is in them.
const USABLE: Duration = Duration::from_millis(1_500);

/// The lag of every account. Clones share what they know.
#[derive(Clone)]
pub(crate) struct IndexLag {
    ledger: Ledger,
    known: Arc<Mutex<Option<Known>>>,
    /// Held by the one who asks anew.
    asking: Arc<tokio::sync::Mutex<()>>,
}

struct Known {
    asked: Instant,
    oldest: HashMap<AccountId, Time>,
}

impl IndexLag {
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self { ledger: ledger.clone(), known: Arc::default(), asking: Arc::default() }
    }

    /// When the oldest waiting index job of `account` was committed.
    ///
    /// With so many jobs waiting that counting them takes too long, an earlier answer counts: it is older, which
    /// only makes the overlay look further back.
    pub(crate) async fn oldest(&self, account: &AccountId) -> Result<Option<Time>, StoreError> {
        let age = self.known.lock().as_ref().map(|known| known.asked.elapsed());
        let asking = match age {
            Some(age) if age < FRESH => return Ok(self.of(account)),
            Some(age) if age < USABLE => match self.asking.try_lock() {
                Ok(asking) => Some(asking),
                Err(_) => return Ok(self.of(account)),
            },
            _ => None,
        };
        let asked = Instant::now();
        let answer = self.ledger.oldest_waiting(Queue::Search).await;
        drop(asking);
        let mut known = self.known.lock();
        match answer {
            Ok(oldest) => *known = Some(Known { asked, oldest }),
            Err(error) => match known.as_mut() {
                Some(earlier) if !error.is_away() => earlier.asked = asked,
                _ => return Err(error),
            },
        }
        Ok(known.as_ref().and_then(|known| known.oldest.get(account).copied()))
    }

    fn of(&self, account: &AccountId) -> Option<Time> {
        self.known.lock().as_ref().and_then(|known| known.oldest.get(account).copied())
    }
}
