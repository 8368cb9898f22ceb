//! Small transactions outside the commit path: a list of writes, all or none, retried while they are refused for
//! passing reasons, with a deadline.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, serialize_to_document};
use mongodb::error::{Error, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::UpdateModifications;
use mongodb::{ClientSession, Database};
use rand::Rng;
use serde::Serialize;

use super::{Store, StoreError, durable, is_transient};

/// After which a refused transaction is given up.
const DEADLINE: Duration = Duration::from_secs(5);
/// Times that a commit of unknown result is asked for.
const COMMIT_TRIES: u32 = 4;

/// One write of a transaction.
pub(crate) enum Write {
    Insert {
        into: &'static str,
        documents: Vec<Document>,
    },
    /// Nothing of the transaction happens unless it matches (or, with `upsert`, inserts).
    Update {
        of: &'static str,
        filter: Document,
        update: UpdateModifications,
        upsert: bool,
    },
}

/// What a transaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// Everything; whether an upsert inserted.
    All { inserted: bool },
    /// Nothing: an update did not match.
    Nothing,
}

impl Write {
    /// Inserts `documents`.
    pub(crate) fn insert<T: Serialize>(
        into: &'static str,
        documents: &[T],
    ) -> Result<Self, mongodb::bson::error::Error> {
        let documents = documents.iter().map(serialize_to_document).collect::<Result<_, _>>()?;
        Ok(Self::Insert { into, documents })
    }
}

impl Store {
    /// Does all of `writes` or none of them.
    pub(crate) async fn transact(&self, writes: &[Write]) -> Result<Wrote, StoreError> {
        transact(&self.db, writes).await
    }
}

/// Does all of `writes` or none of them.
pub(super) async fn transact(db: &Database, writes: &[Write]) -> Result<Wrote, StoreError> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match attempt(db, writes).await {
            Err(error) if is_transient(&error) && Instant::now() < deadline => {
                let pause = rand::rng().random_range(1..20);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            done => return Ok(done?),
        }
    }
}

async fn attempt(db: &Database, writes: &[Write]) -> Result<Wrote, Error> {
    let mut session = db.client().start_session().await?;
    session.start_transaction().write_concern(durable()).await?;
    let wrote = match write_all(db, &mut session, writes).await {
        Ok(wrote @ Wrote::All { .. }) => wrote,
        unfinished => {
            // Best effort: the server ends an abandoned transaction by itself.
            let _ = session.abort_transaction().await;
            return unfinished;
        }
    };
    let mut tries = 0;
    loop {
        tries += 1;
        match session.commit_transaction().await {
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && tries < COMMIT_TRIES => {
            }
            done => return done.map(|()| wrote),
        }
    }
}

async fn write_all(db: &Database, session: &mut ClientSession, writes: &[Write]) -> Result<Wrote, Error> {
    let mut inserted = false;
    for write in writes {
        match write {
            Write::Insert { documents, .. } if documents.is_empty() => {}
            Write::Insert { into, documents } => {
                db.collection::<Document>(into).insert_many(documents).session(&mut *session).await?;
            }
            Write::Update { of, filter, update, upsert } => {
                let collection = db.collection::<Document>(of);
                let update = collection.update_one(filter.clone(), update.clone()).upsert(*upsert);
                let result = update.session(&mut *session).await?;
                inserted |= result.upserted_id.is_some();
                if result.matched_count == 0 && result.upserted_id.is_none() {
                    return Ok(Wrote::Nothing);
                }
            }
        }
    }
    Ok(Wrote::All { inserted })
}
