//! What e-mail notifications need: whom they go to, what is unread, what was mailed before, who wants none.
//!
//! `notifications` holds one row per person and room, `mail_optouts` one per person who wants no mails, under an id
//! that does not tell who it is ([`OptOutId`]).

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::{Scope, Store, StoreError, User};
use crate::domain::actor::Role;
use crate::domain::ids::{AccountId, Uid};
use crate::domain::message::Message;
use crate::domain::thread::Thread;
use crate::domain::time::Time;
use crate::mail::OptOutId;

/// Beyond so many unread messages they are no longer counted.
const COUNTED_MAX: u64 = 1_000;

/// How far a person was notified of a room: written before the mail, so that no other job mails the same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// `{accountId}/{threadId}/{uid}`.
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    /// Up to this `seq` a mail was sent, or may have been.
    pub notified_seq: i64,
    /// What `notified_seq` was before `job`: where a repeated try of the same job begins.
    pub before_seq: i64,
    /// The job that wrote it.
    pub job: String,
    pub at: Time,
}

/// Which messages of a room are unread for somebody. Notes never are.
#[derive(Debug)]
pub struct UnreadQuery<'a> {
    /// After this `seq`.
    pub after: i64,
    /// Not by these.
    pub not_by: &'a [Uid],
    /// How many are returned at most.
    pub limit: usize,
}

/// The newest unread messages, oldest first, and how many there are.
#[derive(Debug, Clone)]
pub struct Unread {
    pub messages: Vec<Message>,
    /// At most 1,000: beyond it they are no longer counted.
    pub total: u64,
}

impl Notice {
    /// The key of `uid` in a room.
    pub fn key(thread: &Thread, uid: &Uid) -> String {
        format!("{}/{uid}", thread.key)
    }
}

impl Scope {
    /// How far `uid` was notified of `thread`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn notice(&self, thread: &Thread, uid: &Uid) -> Result<Option<Notice>, StoreError> {
        let filter = doc! { "_id": Notice::key(thread, uid), "accountId": self.account.as_str() };
        Ok(self.store.collection::<Notice>("notifications").find_one(filter).await?)
    }

    /// Writes how far somebody is notified, unless it is further already: the lane of the jobs keeps two from mailing
    /// at once, but a worker that comes back late may still write here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_notice(&self, notice: &Notice) -> Result<(), StoreError> {
        let filter = doc! {
            "_id": &notice.key,
            "accountId": self.account.as_str(),
            "notifiedSeq": { "$lte": notice.notified_seq },
        };
        let notices = self.store.collection::<Notice>("notifications");
        match notices.replace_one(filter, notice).upsert(true).await {
            Ok(_) => Ok(()),
            // It is there, and further.
            Err(error) if super::duplicate_index(&error).is_some() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The public messages of `thread` that `query` asks for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unread_messages(
        &self,
        thread: &Thread,
        query: &UnreadQuery<'_>,
    ) -> Result<Unread, StoreError> {
        let others: Vec<&str> = query.not_by.iter().map(Uid::as_str).collect();
        let filter = doc! {
            "accountId": self.account.as_str(),
            "thread": &thread.key,
            "seq": { "$gt": query.after },
            "publicSeq": { "$exists": true },
            "authorId": { "$nin": others },
        };
        let messages = self.store.collection::<Message>("messages");
        let newest = messages.find(filter.clone()).sort(doc! { "seq": -1 }).limit(query.limit as i64);
        let mut found: Vec<Message> = newest.await?.try_collect().await?;
        found.reverse();
        let total = match found.len() < query.limit {
            true => found.len() as u64,
            false => messages.count_documents(filter).limit(COUNTED_MAX).await?,
        };
        Ok(Unread { messages: found, total })
    }

    /// The admins of the account who have an e-mail address, in the order of their ids, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn admins_with_email(&self, limit: usize) -> Result<Vec<User>, StoreError> {
        let filter = doc! {
            "accountId": self.account.as_str(),
            "role": Role::Admin.as_str(),
            "email": { "$exists": true },
        };
        let users = self.store.collection::<User>("users");
        Ok(users.find(filter).sort(doc! { "_id": 1 }).limit(limit as i64).await?.try_collect().await?)
    }
}

impl Store {
    /// Whether the person wants no mails.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_opted_out(&self, id: &OptOutId) -> Result<bool, StoreError> {
        let rows = self.collection::<Document>("mail_optouts");
        Ok(rows.find_one(doc! { "_id": id.as_str() }).await?.is_some())
    }

    /// Notes that the person wants no mails; the first time stays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn opt_out(&self, id: &OptOutId, now: Time) -> Result<(), StoreError> {
        let rows = self.collection::<Document>("mail_optouts");
        let update = doc! { "$setOnInsert": { "at": now } };
        match rows.update_one(doc! { "_id": id.as_str() }, update).upsert(true).await {
            Ok(_) => Ok(()),
            // Asked for twice at once.
            Err(error) if super::duplicate_index(&error).is_some() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
