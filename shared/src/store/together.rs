//! Group commit of new documents: those that wait while the last group is written go out in one transaction.
//!
//! Every commit costs a flush of the journal, and providers report each message several times. There is no timer: a
//! lone event is stored at once, and the group grows with the load. A group that cannot be written is undone and its
//! members are stored one by one, so that nobody's duplicate is another's.
//!
//! Only inserts: a group of updates would hold documents for which other writers wait.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use mongodb::Database;
use mongodb::bson::Document;
use mongodb::error::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::transaction::{Write, transact};
use super::{Store, StoreError, durable, is_away, is_transient, silence};
use crate::task;

/// Members of one group.
const GROUP_MAX: usize = 64;
/// Members that may wait; more wait outside.
const WAITING_MAX: usize = 1024;
/// How long a group may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Documents of one collection each, which are stored together or not at all.
pub(super) type NewDocuments = Vec<(&'static str, Document)>;

struct Member {
    documents: NewDocuments,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

/// The waiting line. Clones share it; its task ends with the last clone.
#[derive(Debug, Clone)]
pub(super) struct Together {
    waiting: mpsc::Sender<Member>,
}

/// Why a group was not written.
enum Undone {
    /// Nothing was written: its members may be stored one by one.
    Refused,
    /// No answer, or none that tells: whether it was written is not known.
    Away(Error),
}

impl Together {
    /// Starts the task that writes the groups.
    pub(super) fn start(db: &Database) -> Self {
        let (waiting, mut inbox) = mpsc::channel(WAITING_MAX);
        let db = db.clone();
        task::spawn("store.together", async move {
            let mut group = Vec::with_capacity(GROUP_MAX);
            while inbox.recv_many(&mut group, GROUP_MAX).await > 0 {
                settle(&db, std::mem::take(&mut group)).await;
            }
        });
        Self { waiting }
    }
}

impl Store {
    /// Stores all of `documents` or none of them, in one transaction with what others store at the moment.
    ///
    /// # Errors
    /// [`StoreError`], as if they had been stored alone.
    pub(super) async fn insert_together(&self, documents: NewDocuments) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.together.waiting.send(Member { documents, answer }).await.is_err() {
            return Err(StoreError::silence());
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::silence()))
    }
}

async fn settle(db: &Database, group: Vec<Member>) {
    if group.len() > 1 {
        metrics::histogram!("store_group_members").record(group.len() as f64);
        let written = timeout(PATIENCE, write(db, &group)).await;
        match written.unwrap_or_else(|_| Err(Undone::Away(silence()))) {
            Ok(()) => return tell(group, || Ok(())),
            Err(Undone::Away(error)) => return tell(group, || Err(StoreError::Away(error.clone()))),
            Err(Undone::Refused) => {}
        }
    }
    join_all(group.into_iter().map(|member| async move {
        let stored = timeout(PATIENCE, alone(db, member.documents)).await;
        // Who asked may have gone away.
        let _ = member.answer.send(stored.unwrap_or_else(|_| Err(StoreError::silence())));
    }))
    .await;
}

fn tell(members: Vec<Member>, answer: impl Fn() -> Result<(), StoreError>) {
    for member in members {
        let _ = member.answer.send(answer()); // who asked may have gone away
    }
}

async fn alone(db: &Database, documents: NewDocuments) -> Result<(), StoreError> {
    let writes: Vec<Write> = documents
        .into_iter()
        .map(|(into, document)| Write::Insert { into, documents: vec![document] })
        .collect();
    transact(db, &writes).await.map(drop)
}

async fn write(db: &Database, group: &[Member]) -> Result<(), Undone> {
    let mut session = db.client().start_session().await.map_err(Undone::Away)?;
    session.start_transaction().write_concern(durable()).await.map_err(Undone::Away)?;
    let mut by_collection: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    for (into, document) in group.iter().flat_map(|member| &member.documents) {
        by_collection.entry(into).or_default().push(document);
    }
    for (into, documents) in by_collection {
        let inserted = db.collection::<Document>(into).insert_many(documents).session(&mut session).await;
        if let Err(error) = inserted {
            // Best effort: the server ends an abandoned transaction by itself.
            let _ = session.abort_transaction().await;
            return Err(if is_away(&error) { Undone::Away(error) } else { Undone::Refused });
        }
    }
    session.commit_transaction().await.map_err(|error| match is_transient(&error) {
        true => Undone::Refused,
        false => Undone::Away(error),
    })
}
