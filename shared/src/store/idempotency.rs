//! Answered `Idempotency-Key`s, kept 48 hours and written in the transaction of what they answered.

use mongodb::bson::doc;
use serde::{Deserialize, Serialize};

use super::{Scope, StoreError};
use crate::domain::time::Time;

/// A key in its scope: account, caller and route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// `{accountId}/{uid}/{route}/{key}`.
    pub scope: String,
    /// Digest of the request's content.
    pub content_hash: String,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdempotencyRow {
    #[serde(rename = "_id")]
    pub scope: String,
    pub content_hash: String,
    /// Id of the message or thread that the first request made.
    pub resource_id: String,
    /// HTTP status of the first answer.
    pub status: i32,
    pub created_at: Time,
}

impl Scope {
    /// The row of `key`, if it was answered before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn idempotency(&self, key: &IdempotencyKey) -> Result<Option<IdempotencyRow>, StoreError> {
        let rows = self.store.collection::<IdempotencyRow>("idempotency");
        Ok(rows.find_one(doc! { "_id": &key.scope }).read_concern(super::settled()).await?)
    }

    /// Notes an answer outside a message's transaction; the first one stays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_idempotency(&self, row: &IdempotencyRow) -> Result<(), StoreError> {
        let rows = self.store.collection::<IdempotencyRow>("idempotency");
        match rows.insert_one(row).await {
            Ok(_) => Ok(()),
            Err(error) if super::duplicate_index(&error).is_some() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
