//! Users and reservations: who takes part, and whom a phone message reaches.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::{Scope, StoreError};
use crate::domain::actor::Role;
use crate::domain::ids::{AccountId, ReservationId, Uid};
use crate::domain::time::Time;

/// A person or program of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    pub uid: Uid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name was set by `PUT`, which wins over the token's.
    #[serde(default)]
    pub name_is_set: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    pub updated_at: Time,
}

/// A stay, which leads to the guest's phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    pub reservation_id: ReservationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_name: Option<String>,
    /// E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_uid: Option<Uid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_out: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
}

impl Scope {
    /// User `uid` of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user(&self, uid: &Uid) -> Result<Option<User>, StoreError> {
        Ok(self.store.collection::<User>("users").find_one(doc! { "_id": self.key(uid) }).await?)
    }

    /// Whether guest `uid` and `other` take part in one thread, as far as the guest may know.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shares_thread(&self, uid: &Uid, other: &Uid) -> Result<bool, StoreError> {
        let filter = doc! {
            "accountId": self.account.as_str(),
            "guestViewers": format!("u:{uid}"),
            "publicParticipantIds": other.as_str(),
        };
        let threads = self.store.collection::<Document>("threads");
        Ok(threads.find_one(filter).projection(doc! { "_id": 1 }).await?.is_some())
    }

    /// Those of `uids` that have a user document.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users<'a>(&self, uids: impl IntoIterator<Item = &'a Uid>) -> Result<Vec<User>, StoreError> {
        let keys: Vec<String> = uids.into_iter().map(|uid| self.key(uid)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self
            .store
            .collection::<User>("users")
            .find(doc! { "_id": { "$in": keys } })
            .await?
            .try_collect()
            .await?)
    }

    /// Stores what `PUT` says of a user; answers whether it is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_user(&self, user: &User) -> Result<bool, StoreError> {
        let users = self.store.collection::<User>("users");
        let result = users.replace_one(doc! { "_id": self.key(&user.uid) }, user).upsert(true).await?;
        Ok(result.upserted_id.is_some())
    }

    /// Notes name and role from a caller's token. A name set by `PUT` stays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_caller(
        &self,
        uid: &Uid,
        role: Role,
        name: Option<&str>,
        now: Time,
    ) -> Result<(), StoreError> {
        let mut set = doc! { "accountId": self.account.as_str(), "uid": uid.as_str(), "role": role.as_str(), "updatedAt": now };
        if let Some(name) = name {
            set.insert(
                "name",
                doc! { "$cond": [{ "$eq": ["$nameIsSet", true] }, "$name", { "$literal": name }] },
            );
        }
        // A pipeline, so that the name depends on what is stored; literals keep `$` in a name harmless.
        let update = vec![doc! { "$set": set }];
        let users = self.store.collection::<Document>("users");
        users.update_one(doc! { "_id": self.key(uid) }, update).upsert(true).await?;
        Ok(())
    }

    /// Reservation `id` of this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reservation(&self, id: &ReservationId) -> Result<Option<Reservation>, StoreError> {
        let reservations = self.store.collection::<Reservation>("reservations");
        Ok(reservations.find_one(doc! { "_id": self.key(id) }).await?)
    }
}
