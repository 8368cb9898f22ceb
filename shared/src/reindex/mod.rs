//! Rebuilding the search indices from MongoDB while everything goes on: `workers reindex`.
//!
//! For each index: writes move to a new index ([`crate::search::RebuildPlan`]), MongoDB is copied into it in the
//! order of its keys, the old index leaves the alias, and is deleted when no search can be reading it any more.
//! Each step is saved in the collection `reindexes`, so that a process that dies at any place is followed by one
//! that goes on. docs/adr/0005-writes-move-before-the-copy.md tells why nothing is missed.

mod copy;
mod error;
mod run;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Rate;
use crate::search::{IndexKind, SearchIndex};
use crate::store::{Claimed, ReindexRow, ReindexState, Store, StoreError};

pub use error::ReindexError;

/// Most documents of one read.
pub const BATCH_MAX: usize = 2_000;

/// What to rebuild, and how fast.
#[derive(Debug, Clone)]
pub struct ReindexRequest {
    /// Which indices.
    pub kinds: Vec<IndexKind>,
    /// Documents of one read, 1 to [`BATCH_MAX`]. Default 500.
    pub batch: usize,
    /// At most so many documents per time; as fast as it goes when absent.
    pub rate: Option<Rate>,
    /// The process that asks.
    pub owner: String,
    /// How long the old indices stay after searches have left them: longer than a search takes. Default 5 s.
    pub linger: Duration,
}

impl ReindexRequest {
    /// Both indices, as fast as it goes, by process `owner`.
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            kinds: IndexKind::ALL.to_vec(),
            batch: 500,
            rate: None,
            owner: owner.into(),
            linger: Duration::from_secs(5),
        }
    }
}

/// Rebuilds the indices that `request` names, or goes on with the rebuild that a dead process has left. Answers how
/// it ended. `observe` is told after each step how far it is.
///
/// With `stop` it ends after the present batch, and the next call goes on from there. MongoDB or Elasticsearch may
/// be away for some minutes.
///
/// # Errors
/// [`ReindexError`].
pub async fn reindex(
    store: &Store,
    index: &SearchIndex,
    request: &ReindexRequest,
    stop: &CancellationToken,
    observe: impl FnMut(&ReindexRow) + Send,
) -> Result<ReindexRow, ReindexError> {
    let rows = store.reindexes();
    let row = match rows.claim(&request.kinds, &request.owner).await? {
        Claimed::Yours(row) => row,
        Claimed::Busy => return Err(ReindexError::Busy),
    };
    if request.kinds.iter().any(|kind| !row.kinds().contains(kind)) {
        rows.release(&row).await?;
        return Err(ReindexError::Unfinished { id: row.id.clone(), index: names(&row.kinds()) });
    }
    tracing::info!(reindex.id = %row.id, reindex.resumed = row.is_resumed(), "rebuilding search indices");
    let mut run = run::Run::new(store, index, request, stop, row, Box::new(observe));
    let result = run.all().await;
    let row = run.row;
    match result {
        Ok(()) => {
            rows.finish(&row, ReindexState::Done, None).await?;
            tracing::info!(reindex.id = %row.id, "search indices rebuilt");
            Ok(ReindexRow { state: ReindexState::Done, ..row })
        }
        Err(error) => {
            let noted = match &error {
                ReindexError::Vanished => {
                    rows.finish(&row, ReindexState::Failed, Some(&error.to_string())).await.map(drop)
                }
                ReindexError::Lost => Ok(()),
                _ => rows.release(&row).await,
            };
            if let Err(trouble) = noted {
                tracing::warn!(error = %trouble, "the lease of the rebuild runs out by itself");
            }
            Err(error)
        }
    }
}

/// Whether indices that were made just now are empty although MongoDB holds what they should find.
///
/// # Errors
/// [`StoreError`].
pub async fn is_wanted(store: &Store, made: &[IndexKind]) -> Result<bool, StoreError> {
    Ok(!made.is_empty() && store.holds_threads().await?)
}

fn names(kinds: &[IndexKind]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}
