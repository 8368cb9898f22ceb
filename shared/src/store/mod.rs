//! The door to MongoDB: one database, the collections below, and reads that only exist inside an account.
//!
//! | collection | what | written by |
//! |---|---|---|
//! | `threads`, `messages` | conversations | the committer; `delivery` by workers |
//! | `jobs` | the ledger of follow-up jobs | the committer, then workers and the dispatcher |
//! | `users`, `reservations` | people and stays | the API |
//! | `supportTokens`, `supportSessions`, `customers` | the support desk's own | the desk's endpoints |
//! | `channels` | the accounts' own numbers, with sealed credentials | the API; a flag by workers |
//! | `contacts` | people outside, as seen from a number of ours | sends; what comes in |
//! | `templates`, `catalogues` | WhatsApp templates as Meta lists them | the workers |
//! | `idempotency` | answered `Idempotency-Key`s, 48 h | the committer |
//! | `audit` | who did what | the audit job; failures straight from a request |
//! | `events` | raw provider events | webhooks |
//! | `leases` | who leads, who rebuilds | the dispatcher, `workers reindex` |
//! | `reindexes` | rebuilds of the search indices and how far they are | `workers reindex` |
//! | `notifications`, `mail_optouts` | who was mailed up to where, who wants no mails | the email jobs; ingest |
//!
//! Invariant: nothing is read without an account. [`Scope`] is the only way to a conversation.

mod audit;
mod channels;
mod contacts;
mod deliveries;
mod desk;
mod error;
mod events;
mod idempotency;
mod indexes;
mod jobs;
mod live;
mod messages;
mod notices;
mod people;
mod recent;
mod reindexes;
mod scan;
mod templates;
mod threads;
mod together;
mod transaction;
mod writes;

use mongodb::bson::RawDocumentBuf;
use mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection, Database};

pub(crate) use audit::only_duplicates;
pub use audit::{Audit, AuditFilter, AuditRow, Origin, Outcome, Subject};
pub(crate) use channels::Sought;
pub use channels::{
    AccountChannel, Added, CHANNELS_MAX, ChannelSettings, EmailSettings, Flag, GuestSettings, SmsSettings,
    WhatsappSettings,
};
pub use contacts::{Sighting, contact_key};
pub use desk::{Customer, PreviousToken, SUPPORT_TOKENS_MAX, SupportSession, SupportToken, VerifiedIdentity};
pub(crate) use error::silence;
pub use error::{StoreError, duplicate_index, is_away, is_transient};
pub use events::{Event, EventState};
pub use idempotency::{IdempotencyKey, IdempotencyRow};
pub use messages::{Page, PageQuery};
pub use notices::{Notice, Unread, UnreadQuery};
pub use people::{Reservation, User};
pub use recent::Recent;
pub use reindexes::{Claimed, Phase, ReindexPart, ReindexRow, ReindexState, Reindexes};
pub use templates::Catalogue;
pub use threads::{Created, Cursor, ThreadFilter, ThreadPage, View};

use crate::config::Mongodb;
use crate::domain::ids::AccountId;
use deliveries::Deliveries;
use together::Together;

/// How long the driver looks for a server before it gives up, unless the URI says otherwise.
const SERVER_SELECTION: std::time::Duration = std::time::Duration::from_secs(3);

/// The database. Clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    db: Database,
    together: Together,
    deliveries: Deliveries,
}

/// The part of the database that belongs to one account.
#[derive(Debug, Clone)]
pub struct Scope {
    store: Store,
    account: AccountId,
}

impl Store {
    /// Prepares the pool; no server need be there yet.
    ///
    /// # Errors
    /// [`StoreError`] when the URI cannot be read.
    pub async fn connect(config: &Mongodb) -> Result<Self, StoreError> {
        let mut options = ClientOptions::parse(config.uri.expose()).await?;
        options.app_name.get_or_insert_with(|| "bellhop".to_owned());
        options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
        options.connect_timeout.get_or_insert(SERVER_SELECTION);
        options.write_concern = Some(durable());
        let client = Client::with_options(options)?;
        let db = client.database(&config.database);
        let together = Together::start(&db);
        let deliveries = Deliveries::start(&db);
        Ok(Self { client, db, together, deliveries })
    }

    /// Makes every index that is absent; safe to run from several processes at once.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB is away or refuses an index.
    pub async fn ensure_indexes(&self) -> Result<(), StoreError> {
        indexes::ensure(&self.db).await
    }

    /// Whether MongoDB takes writes: it writes, since a server that lost its storage may still answer pings.
    ///
    /// # Errors
    /// [`StoreError`] with the cause.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let filter = mongodb::bson::doc! { "_id": "health" };
        let update = vec![mongodb::bson::doc! { "$set": { "at": "$$NOW" } }];
        self.collection::<RawDocumentBuf>("leases").update_one(filter, update).upsert(true).await?;
        Ok(())
    }

    /// What belongs to `account`.
    pub fn account(&self, account: &AccountId) -> Scope {
        Scope { store: self.clone(), account: account.clone() }
    }

    /// The audit trail.
    pub fn audit(&self) -> Audit {
        Audit::new(self.collection("audit"))
    }

    /// The client, for transactions.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The database, for commands.
    pub(crate) fn db(&self) -> &Database {
        &self.db
    }

    /// A collection by name.
    pub(crate) fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.db.collection(name)
    }

    /// Deletes the whole database: tests only, refused unless its name begins with `test_` or `bench_`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB is away.
    pub async fn drop_test_database(&self) -> Result<(), StoreError> {
        if self.db.name().starts_with("test_") || self.db.name().starts_with("bench_") {
            self.db.drop().await?;
        }
        Ok(())
    }

    /// The raw database, for tests and benchmarks that look behind the curtain.
    pub fn raw(&self) -> &Database {
        &self.db
    }
}

impl Scope {
    /// The account.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    fn key(&self, id: impl std::fmt::Display) -> String {
        crate::domain::ids::key(&self.account, id)
    }
}

/// Reads that decide whether something was acknowledged see only what no election takes back.
pub(crate) fn settled() -> ReadConcern {
    ReadConcern::majority()
}

/// Majority and journal: an acknowledged write survives the death of any one server.
pub(crate) fn durable() -> WriteConcern {
    let mut concern = WriteConcern::from(Acknowledgment::Majority);
    concern.journal = Some(true);
    concern
}
