//! The support desk's own documents: support tokens of the accounts, customers, and the sessions of their devices.
//!
//! Collections: `supportTokens`, `supportSessions` (a TTL index drops what has expired), `customers`. The secrets of
//! tokens and sessions are stored as SHA-256. `identitySecret` must be read again, because it verifies what the
//! account's own servers sign: it is sealed where the configuration has a `secrets_key`, else as safe as the database.

use std::collections::HashSet;
use std::fmt;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use super::transaction::Write;
use super::{Scope, Store, StoreError, duplicate_index};
use crate::credentials::KeptSecret;
use crate::domain::ids::{AccountId, SupportTokenId, ThreadId, Uid};
use crate::domain::thread::Thread;
use crate::domain::time::Time;
use crate::ledger::JobRow;
use crate::secrets::Place;

/// Most support tokens of an account.
pub const SUPPORT_TOKENS_MAX: usize = 100;

/// Sessions removed in one step.
const SESSIONS_BATCH: i64 = 1_000;

/// What a widget's embed carries: it leads to an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportToken {
    /// `{accountId}/{tokenId}`.
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    pub token_id: SupportTokenId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Digest of the token; unique.
    pub hash: String,
    /// Verifies the identities that the account's own servers sign.
    pub identity_secret: KeptSecret,
    /// What was valid before the last rotation, for its time of grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousToken>,
    /// Where the widget may stand, as browsers write it; empty: anywhere.
    pub allowed_origins: Vec<String>,
    /// Grows when the token is rotated without grace: sessions of an earlier one are no longer valid.
    pub generation: i64,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
}

/// The secrets before a rotation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousToken {
    pub hash: String,
    pub identity_secret: KeptSecret,
    pub until: Time,
}

/// A visitor of a widget. `Debug` shows no name and no address.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// `{accountId}/{conversationId}`.
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    /// Its uid, wherever a uid is asked for.
    pub conversation_id: Uid,
    pub room_id: ThreadId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a verified identity only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The id that the account's own servers signed; unique in the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    pub created_at: Time,
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Customer");
        shown.field("account_id", &self.account_id).field("conversation_id", &self.conversation_id);
        shown.field("room_id", &self.room_id).finish_non_exhaustive()
    }
}

/// A device that speaks for a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportSession {
    /// `{accountId}/{sessionId}`.
    #[serde(rename = "_id")]
    pub key: String,
    pub account_id: AccountId,
    /// The first half of `hash`: no secret.
    pub session_id: String,
    /// Digest of the secret.
    pub hash: String,
    pub token_id: SupportTokenId,
    /// The generation of the token that it was opened with.
    pub generation: i64,
    pub conversation_id: Uid,
    pub room_id: ThreadId,
    /// Digest of the device's id, to which the session is bound.
    pub device_hash: String,
    pub created_at: Time,
    pub renewed_at: Time,
    pub expires_at: Time,
}

/// What a verified identity says of a customer.
#[derive(Clone)]
pub struct VerifiedIdentity {
    pub id: String,
    pub name: Option<String>,
    pub email: Option<String>,
}

impl SupportToken {
    /// Where its identity secrets are kept; that before a rotation moves within the record as it is.
    pub fn place(&self) -> Place<'_> {
        let (account, record) = (&self.account_id, self.token_id.as_str());
        Place { account, collection: "supportTokens", record, field: "identitySecret" }
    }
}

impl Store {
    /// Tokens of all accounts after `key`, in the order of their keys.
    pub(crate) async fn support_tokens_after(
        &self,
        key: &str,
        limit: i64,
    ) -> Result<Vec<SupportToken>, StoreError> {
        let tokens = self.collection::<SupportToken>("supportTokens");
        let find = tokens.find(doc! { "_id": { "$gt": key } }).sort(doc! { "_id": 1 }).limit(limit);
        Ok(find.await?.try_collect().await?)
    }

    /// The token whose digest is `hash`, now or before a rotation whose grace has not ended at `now`. It leads to
    /// its account, so it is looked for in all of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn support_token_by_hash(
        &self,
        hash: &str,
        now: Time,
    ) -> Result<Option<SupportToken>, StoreError> {
        let tokens = self.collection::<SupportToken>("supportTokens");
        if let Some(token) = tokens.find_one(doc! { "hash": hash }).await? {
            return Ok(Some(token));
        }
        let before = doc! { "previous.hash": hash, "previous.until": { "$gt": now } };
        Ok(tokens.find_one(before).await?)
    }
}

impl Scope {
    /// Stores a new token; answers `false` when the account has [`SUPPORT_TOKENS_MAX`] of them. Two at once may
    /// pass it by one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_support_token(&self, token: &SupportToken) -> Result<bool, StoreError> {
        let tokens = self.store.collection::<SupportToken>("supportTokens");
        let known = tokens.count_documents(doc! { "accountId": self.account.as_str() }).await?;
        if known >= SUPPORT_TOKENS_MAX as u64 {
            return Ok(false);
        }
        tokens.insert_one(token).await?;
        Ok(true)
    }

    /// The account's tokens, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn support_tokens(&self) -> Result<Vec<SupportToken>, StoreError> {
        let tokens = self.store.collection::<SupportToken>("supportTokens");
        let find = tokens.find(doc! { "accountId": self.account.as_str() });
        let find = find.sort(doc! { "createdAt": -1, "_id": -1 }).limit(2 * SUPPORT_TOKENS_MAX as i64);
        Ok(find.await?.try_collect().await?)
    }

    /// Token `id`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn support_token(&self, id: &SupportTokenId) -> Result<Option<SupportToken>, StoreError> {
        let tokens = self.store.collection::<SupportToken>("supportTokens");
        Ok(tokens.find_one(doc! { "_id": self.key(id) }).await?)
    }

    /// Puts `next` in the place of `before`; answers whether that still stood there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_support_token(
        &self,
        next: &SupportToken,
        before: &SupportToken,
    ) -> Result<bool, StoreError> {
        let tokens = self.store.collection::<SupportToken>("supportTokens");
        let mut guard = doc! { "_id": self.key(&next.token_id), "hash": &before.hash };
        match &before.identity_secret {
            KeptSecret::Sealed(sealed) => guard.insert("identitySecret.ciphertext", sealed.mark()),
            KeptSecret::Readable(secret) => guard.insert("identitySecret", secret.expose()),
        };
        Ok(tokens.replace_one(guard, next).await?.matched_count == 1)
    }

    /// Deletes token `id`, which ends its sessions; answers whether it was there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_support_token(&self, id: &SupportTokenId) -> Result<bool, StoreError> {
        let tokens = self.store.collection::<Document>("supportTokens");
        Ok(tokens.delete_one(doc! { "_id": self.key(id) }).await?.deleted_count == 1)
    }

    /// Removes up to 1,000 sessions of token `id` that were opened before `generation`, and tells their
    /// ids; none when none is left. They are no longer valid anyway: this tidies up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_sessions(
        &self,
        id: &SupportTokenId,
        generation: i64,
    ) -> Result<Vec<String>, StoreError> {
        let filter = doc! {
            "accountId": self.account.as_str(),
            "tokenId": id.as_str(),
            "generation": { "$lt": generation },
        };
        let sessions = self.store.collection::<SupportSession>("supportSessions");
        let found: Vec<SupportSession> =
            sessions.find(filter).limit(SESSIONS_BATCH).await?.try_collect().await?;
        let keys: Vec<&str> = found.iter().map(|session| session.key.as_str()).collect();
        sessions.delete_many(doc! { "_id": { "$in": keys } }).await?;
        Ok(found.into_iter().map(|session| session.session_id).collect())
    }

    /// Session `id`, also one that has expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn support_session(&self, id: &str) -> Result<Option<SupportSession>, StoreError> {
        let sessions = self.store.collection::<SupportSession>("supportSessions");
        Ok(sessions.find_one(doc! { "_id": self.key(id) }).await?)
    }

    /// Those of the sessions `ids` that are there, expired or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_sessions(&self, ids: &[&str]) -> Result<HashSet<String>, StoreError> {
        let keys: Vec<String> = ids.iter().map(|id| self.key(id)).collect();
        let sessions = self.store.collection::<Document>("supportSessions");
        let found = sessions.find(doc! { "_id": { "$in": keys } }).projection(doc! { "sessionId": 1 });
        let rows: Vec<Document> = found.await?.try_collect().await?;
        Ok(rows.iter().filter_map(|row| row.get_str("sessionId").ok()).map(str::to_owned).collect())
    }

    /// Stores a new session of a customer that is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_session(&self, session: &SupportSession) -> Result<(), StoreError> {
        self.store.collection::<SupportSession>("supportSessions").insert_one(session).await?;
        Ok(())
    }

    /// Moves a session's end to `until`; it never moves back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn renew_session(&self, id: &str, now: Time, until: Time) -> Result<(), StoreError> {
        let update = doc! { "$max": { "renewedAt": now, "expiresAt": until } };
        let sessions = self.store.collection::<Document>("supportSessions");
        sessions.update_one(doc! { "_id": self.key(id) }, update).await?;
        Ok(())
    }

    /// The customer with conversation `uid`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customer(&self, uid: &Uid) -> Result<Option<Customer>, StoreError> {
        let customers = self.store.collection::<Customer>("customers");
        Ok(customers.find_one(doc! { "_id": self.key(uid) }).await?)
    }

    /// Stores a new customer with its room, its first session and the job that follows; `false`, and nothing, when
    /// its identity has a conversation already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_conversation(
        &self,
        customer: &Customer,
        room: &Thread,
        session: &SupportSession,
        job: &JobRow,
    ) -> Result<bool, StoreError> {
        let writes = [
            Write::insert("customers", std::slice::from_ref(customer))?,
            Write::insert("threads", std::slice::from_ref(room))?,
            Write::insert("supportSessions", std::slice::from_ref(session))?,
            Write::insert("jobs", std::slice::from_ref(job))?,
        ];
        match self.store.transact(&writes).await {
            Ok(_) => Ok(true),
            Err(StoreError::Refused(error)) if duplicate_index(&error).is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The customer of a verified identity, with the name and address that it says now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customer_by_identity(
        &self,
        identity: &VerifiedIdentity,
    ) -> Result<Option<Customer>, StoreError> {
        let filter = doc! { "accountId": self.account.as_str(), "identityId": &identity.id };
        let customers = self.store.collection::<Customer>("customers");
        let set = said(identity);
        if set.is_empty() {
            return Ok(customers.find_one(filter).await?);
        }
        let update = customers.find_one_and_update(filter, doc! { "$set": set });
        Ok(update.return_document(ReturnDocument::After).await?)
    }

    /// Gives an unknown customer a verified identity; `false`, and nothing, when it has one already or the identity
    /// belongs to another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn identify_customer(
        &self,
        uid: &Uid,
        identity: &VerifiedIdentity,
    ) -> Result<bool, StoreError> {
        let customers = self.store.collection::<Document>("customers");
        let mut set = said(identity);
        set.insert("identityId", &identity.id);
        let unknown = doc! { "_id": self.key(uid), "identityId": { "$exists": false } };
        match customers.update_one(unknown, doc! { "$set": set }).await {
            Ok(result) => Ok(result.matched_count == 1),
            Err(error) if duplicate_index(&error).is_some() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What an identity says beside its id.
fn said(identity: &VerifiedIdentity) -> Document {
    let mut set = Document::new();
    for (field, text) in [("name", &identity.name), ("email", &identity.email)] {
        if let Some(text) = text {
            set.insert(field, text);
        }
    }
    set
}
