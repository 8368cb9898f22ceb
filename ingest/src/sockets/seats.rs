//! Who is connected: bounded in all and per caller, counted per account, released by itself.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use shared::config;
use shared::domain::actor::Actor;
use shared::domain::ids::{AccountId, Uid};
use tokio::sync::Notify;

use crate::http::{ApiError, Code};

/// Whose sockets count together.
pub(super) type Caller = (AccountId, Uid);

/// The seats of this process. Clones share them.
#[derive(Clone)]
pub(super) struct Seats {
    taken: Arc<Mutex<Taken>>,
    /// Somebody came or left.
    changed: Arc<Notify>,
    max: usize,
    per_caller: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    callers: HashMap<Caller, usize>,
    accounts: HashMap<AccountId, usize>,
}

/// One socket's place; dropping it gives it back.
pub(super) struct Seat {
    seats: Seats,
    account: AccountId,
    uid: Uid,
}

impl Seats {
    pub(super) fn new(config: &config::Sockets) -> Self {
        Self {
            taken: Arc::default(),
            changed: Arc::default(),
            max: config.max,
            per_caller: config.per_caller,
        }
    }

    /// A seat for `actor`.
    ///
    /// # Errors
    /// `unavailable` when the house is full, `rate_limited` when the caller has enough.
    pub(super) fn take(&self, actor: &Actor) -> Result<Seat, ApiError> {
        let mut taken = self.taken.lock();
        if taken.all >= self.max {
            return Err(ApiError::new(Code::Unavailable, "too many sockets are open, try again"));
        }
        let caller = (actor.account.clone(), actor.uid.clone());
        let own = taken.callers.entry(caller).or_default();
        if *own >= self.per_caller {
            return Err(ApiError::new(Code::RateLimited, "you have too many sockets open"));
        }
        *own += 1;
        if *own == 1 {
            self.changed.notify_one();
        }
        *taken.accounts.entry(actor.account.clone()).or_default() += 1;
        taken.all += 1;
        metrics::gauge!("sockets_connected").increment(1.0);
        Ok(Seat { seats: self.clone(), account: actor.account.clone(), uid: actor.uid.clone() })
    }

    /// Ends when somebody came or left since it ended last.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// All that are here.
    pub(super) fn callers(&self) -> HashSet<Caller> {
        self.taken.lock().callers.keys().cloned().collect()
    }

    /// Whether somebody of `account` is here.
    pub(super) fn has(&self, account: &AccountId) -> bool {
        self.taken.lock().accounts.contains_key(account)
    }

    /// The accounts of all that are here.
    pub(super) fn accounts(&self) -> Vec<AccountId> {
        self.taken.lock().accounts.keys().cloned().collect()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        let caller = (self.account.clone(), self.uid.clone());
        release(&mut taken.callers, &caller);
        if !taken.callers.contains_key(&caller) {
            self.seats.changed.notify_one();
        }
        release(&mut taken.accounts, &self.account);
        metrics::gauge!("sockets_connected").decrement(1.0);
    }
}

/// One less under `key`; its entry goes with the last.
fn release<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use shared::config::Config;
    use shared::domain::actor::Role;

    use super::*;

    fn actor(account: &str, uid: &str) -> Actor {
        Actor {
            account: AccountId::parse(account).unwrap(),
            uid: Uid::parse(uid).unwrap(),
            role: Role::Agent,
            conversation_id: uid.to_owned(),
        }
    }

    #[test]
    fn seats_are_bounded_and_come_back() {
        let mut config = Config::default().sockets;
        (config.max, config.per_caller) = (3, 2);
        let seats = Seats::new(&config);
        let anna = actor("acme", "anna");
        let held = [seats.take(&anna).ok().unwrap(), seats.take(&anna).ok().unwrap()];
        assert_eq!(seats.take(&anna).err().unwrap().code, Code::RateLimited);
        let namesake = seats.take(&actor("globex", "anna")).ok().unwrap();
        assert_eq!(seats.take(&actor("acme", "ben")).err().unwrap().code, Code::Unavailable);
        drop(namesake);
        assert!(seats.has(&anna.account) && !seats.has(&AccountId::parse("globex").unwrap()));
        drop(held);
        assert!(seats.accounts().is_empty() && seats.callers().is_empty());
    }
}
