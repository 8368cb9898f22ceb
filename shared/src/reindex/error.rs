//! Why a rebuild ended early, by what its caller should do.

use crate::search::SearchDown;
use crate::store::StoreError;

/// A rebuild did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// Another process works on one, or died a moment ago.
    #[error("a reindex is at work, or its process died in the last 15 seconds; one runs at a time")]
    Busy,
    /// One of other indices was left unfinished.
    #[error("reindex {id} of {index} was left unfinished; run it again for {index} first")]
    Unfinished {
        /// The rebuild.
        id: String,
        /// Its indices.
        index: String,
    },
    /// This process was silent for too long, and another one goes on.
    #[error("another process has taken this reindex over")]
    Lost,
    /// The index that was being filled has been deleted.
    #[error("the index that was being filled is gone or takes no writes; run it again to begin anew")]
    Vanished,
    /// It was asked to stop.
    #[error("stopped; run it again to go on from here")]
    Stopped,
    /// MongoDB.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Elasticsearch.
    #[error(transparent)]
    Search(#[from] SearchDown),
}

impl ReindexError {
    /// Whether the same step may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) => error.is_away(),
            Self::Search(down) => !down.needs_operator(),
            _ => false,
        }
    }
}
