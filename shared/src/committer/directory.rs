//! Who is staff: the roles of an account's people, cached for a short while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::actor::{Role, Roles};
use crate::domain::ids::{AccountId, Uid, key};
use crate::store::{Store, StoreError, User};

const CACHED: usize = 50_000;
/// How long another process's change of a member of the staff may go unnoticed.
const FRESH: Duration = Duration::from_secs(10);
/// The same for everybody else. Guests are many, each is met rarely, and only the name can change.
const FRESH_OTHERS: Duration = Duration::from_secs(60);

type Entry = (Instant, Option<Arc<User>>);

/// A cache of user documents. Clones share it.
#[derive(Clone)]
pub struct Directory {
    store: Store,
    users: Arc<quick_cache::sync::Cache<String, Entry>>,
}

impl Directory {
    /// An empty cache over `store`.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), users: Arc::new(quick_cache::sync::Cache::new(CACHED)) }
    }

    /// The user documents of `uids`, where there are any.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&self, account: &AccountId, uids: &[Uid]) -> Result<Vec<Arc<User>>, StoreError> {
        let mut known = Vec::with_capacity(uids.len());
        let mut missing = Vec::new();
        for uid in uids {
            match self.users.get(&key(account, uid)) {
                Some((at, user)) if at.elapsed() < freshness(user.as_deref()) => known.extend(user),
                _ => missing.push(uid),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let found = self.store.account(account).users(missing.iter().copied()).await?;
        let found: Vec<Arc<User>> = found.into_iter().map(Arc::new).collect();
        for uid in missing {
            let user = found.iter().find(|user| user.uid == *uid).cloned();
            self.users.insert(key(account, uid), (Instant::now(), user));
        }
        known.extend(found);
        Ok(known)
    }

    /// The roles of `uids`, where known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn roles(&self, account: &AccountId, uids: &[Uid]) -> Result<Roles, StoreError> {
        let users = self.users(account, uids).await?;
        Ok(users.iter().filter_map(|user| Some((user.uid.clone(), user.role?))).collect())
    }

    /// Notes what a caller's token says of it; writes only when something changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_caller(
        &self,
        account: &AccountId,
        uid: &Uid,
        role: Role,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let known = self.users(account, std::slice::from_ref(uid)).await?;
        let up_to_date = |user: &User| {
            user.role == Some(role) && (user.name_is_set || name.is_none() || user.name.as_deref() == name)
        };
        if known.first().is_some_and(|user| up_to_date(user)) {
            return Ok(());
        }
        let now = crate::domain::Time::now();
        self.store.account(account).note_caller(uid, role, name, now).await?;
        self.forget(account, uid);
        Ok(())
    }

    /// Forgets a user that was changed here.
    pub fn forget(&self, account: &AccountId, uid: &Uid) {
        self.users.remove(&key(account, uid));
    }
}

fn freshness(user: Option<&User>) -> Duration {
    let staff = user.and_then(|user| user.role).is_some_and(Role::is_staff);
    if staff { FRESH } else { FRESH_OTHERS }
}
