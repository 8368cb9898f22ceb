//! Reading and changing threads: one, a view of many, creation, change by hand.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::{Scope, Store, StoreError};
use crate::domain::access;
use crate::domain::actor::{Actor, Role};
use crate::domain::ids::{ReservationId, ThreadId, Uid};
use crate::domain::message::Source;
use crate::domain::thread::{Thread, ThreadKind, ThreadStatus};
use crate::domain::time::Time;

/// Which threads a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// All that the caller may see.
    #[default]
    Recent,
    /// Those that wait for the caller.
    Unread,
    /// Those with the flag.
    Important,
}

/// A view with its filters.
#[derive(Debug, Clone, Default)]
pub struct ThreadFilter {
    pub view: View,
    pub source: Option<Source>,
    pub kind: Option<ThreadKind>,
    pub status: Option<ThreadStatus>,
    /// Only these, which a search has found; of another account none is.
    pub within: Option<Vec<ThreadId>>,
    pub after: Option<Cursor>,
    /// 1–100.
    pub limit: usize,
}

/// A place in a list ordered by time, newest first. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub at: Time,
    pub key: String,
}

impl Cursor {
    /// The wire form. The account is not in it: a cursor only makes sense inside the reader's own.
    pub fn encode(&self) -> String {
        let id = self.key.split_once('/').map_or("", |(_, id)| id);
        URL_SAFE_NO_PAD.encode(format!("{}.{id}", self.at.timestamp_millis()))
    }

    /// Reads a cursor; `None` when it is not one of ours.
    pub fn decode(text: &str, scope: &Scope) -> Option<Self> {
        if text.len() > 256 {
            return None;
        }
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (millis, id) = plain.split_once('.')?;
        let id = ThreadId::parse(id).ok()?;
        Some(Self { at: Time::from_millis(millis.parse().ok()?), key: scope.key(id) })
    }
}

/// A page of threads.
#[derive(Debug, Clone)]
pub struct ThreadPage {
    pub threads: Vec<Thread>,
    pub next: Option<Cursor>,
}

/// What became of a request to create.
#[derive(Debug, Clone)]
pub enum Created {
    New(Thread),
    /// The same request was answered before.
    Replayed(Thread),
    /// The id belongs to a thread with other content.
    Conflict,
}

impl Scope {
    /// How many messages of `thread` above `mark` were written by others than `reader`; for guests, of those they
    /// may see.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unread(
        &self,
        thread: &Thread,
        reader: &Uid,
        mark: i64,
        public: bool,
    ) -> Result<u64, StoreError> {
        let mut filter =
            doc! { "thread": &thread.key, "seq": { "$gt": mark }, "authorId": { "$ne": reader.as_str() } };
        if public {
            filter.insert("publicSeq", doc! { "$exists": true });
        }
        Ok(self.store.collection::<Document>("messages").count_documents(filter).await?)
    }

    /// Thread `id` of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn thread(&self, id: &ThreadId) -> Result<Option<Thread>, StoreError> {
        Ok(self.store.collection::<Thread>("threads").find_one(doc! { "_id": self.key(id) }).await?)
    }

    /// The threads of a reservation, newest first, at most 100.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn threads_of_reservation(&self, id: &ReservationId) -> Result<Vec<Thread>, StoreError> {
        let filter = doc! { "accountId": self.account.as_str(), "reservationId": id.as_str() };
        let threads = self.store.collection::<Thread>("threads");
        let find = threads.find(filter).sort(doc! { "updatedAt": -1 }).limit(100);
        Ok(find.await?.try_collect().await?)
    }

    /// A page of the threads that `actor` may see.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn threads(&self, actor: &Actor, filter: &ThreadFilter) -> Result<ThreadPage, StoreError> {
        let guest = actor.role == Role::Guest;
        let order = order_of(actor);
        let query = self.view_query(actor, filter, order);
        let collection = self.store.collection::<Thread>("threads");
        let find = collection.find(query);
        let sorted = find.sort(doc! { order: -1, "_id": -1 }).limit(filter.limit as i64 + 1);
        let mut threads: Vec<Thread> = sorted.await?.try_collect().await?;
        let more = threads.len() > filter.limit;
        threads.truncate(filter.limit);
        let place = |t: &Thread| Cursor {
            at: if guest { t.public_updated_at } else { t.updated_at },
            key: t.key.clone(),
        };
        let next = more.then(|| threads.last().map(place)).flatten();
        Ok(ThreadPage { threads, next })
    }

    /// The ids of the threads that `actor` may see and `filter` shows, in no order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn thread_ids(
        &self,
        actor: &Actor,
        filter: &ThreadFilter,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let query = self.view_query(actor, filter, order_of(actor));
        let threads = self.store.collection::<Document>("threads");
        let find = threads.find(query).projection(doc! { "_id": 0, "threadId": 1 }).limit(limit as i64);
        let found: Vec<Document> = find.await?.try_collect().await?;
        Ok(found.iter().filter_map(|row| row.get_str("threadId").ok().map(str::to_owned)).collect())
    }

    pub(super) fn view_query(&self, actor: &Actor, filter: &ThreadFilter, order: &str) -> Document {
        let guest = actor.role == Role::Guest;
        let viewers = if guest { "guestViewers" } else { "staffViewers" };
        let mut query = doc! {
            "accountId": self.account.as_str(),
            viewers: { "$in": access::tokens(actor) },
        };
        if let Some(ids) = &filter.within {
            query.insert("_id", doc! { "$in": ids.iter().map(|id| self.key(id)).collect::<Vec<_>>() });
        }
        let mut all = Vec::new();
        match filter.view {
            View::Recent => {}
            View::Unread if guest => drop(query.insert("needsAttention", actor.uid.as_str())),
            View::Unread => {
                all.push(doc! { "$or": [
                    { "needsAttention": actor.uid.as_str() },
                    { "awaitingFirstReply": true },
                ] });
            }
            // A guest is not told what the staff flagged.
            View::Important if guest => drop(query.insert("_id", "")),
            View::Important => drop(query.insert("important", true)),
        }
        if let Some(source) = &filter.source {
            query.insert("source", source.as_str());
        }
        if let Some(kind) = filter.kind {
            query.insert("kind", kind.as_str());
        }
        if let Some(status) = filter.status {
            query.insert("status", status.as_str());
        }
        if let Some(after) = &filter.after {
            all.push(doc! { "$or": [
                { order: { "$lt": after.at } },
                { order: after.at, "_id": { "$lt": &after.key } },
            ] });
        }
        if !all.is_empty() {
            query.insert("$and", all);
        }
        query
    }
}

/// The time by which `actor` sees threads ordered.
pub(super) fn order_of(actor: &Actor) -> &'static str {
    if actor.role == Role::Guest { "publicUpdatedAt" } else { "updatedAt" }
}

impl Store {
    /// Threads by key, whatever their account: for the commit path, whose keys carry the caller's account.
    pub(crate) async fn threads_by_key(&self, keys: &[String]) -> Result<Vec<Thread>, StoreError> {
        let threads = self.collection::<Thread>("threads");
        Ok(threads.find(doc! { "_id": { "$in": keys } }).await?.try_collect().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_does_not_carry_its_account() {
        let cursor = Cursor { at: Time::from_millis(12), key: "secret-account/t1".into() };
        let plain = URL_SAFE_NO_PAD.decode(cursor.encode()).expect("base64");
        assert_eq!(plain, b"12.t1");
    }
}
