//! What can go wrong at Elasticsearch, by what the caller should do about it. No error holds text of a document.

/// Elasticsearch did not serve the request; nothing is wrong with the documents, and all of it may be repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchDown {
    /// Refused connection, DNS, TLS, or a connection that broke.
    #[error("elasticsearch cannot be reached")]
    Unreachable,
    /// No whole answer within the time limit; what was asked may have been done.
    #[error("elasticsearch did not answer in time")]
    Timeout,
    /// 429: its queues or memory are full.
    #[error("elasticsearch is overloaded")]
    Overloaded,
    /// 401 or 403: an operator has to look at credentials or index blocks.
    #[error("elasticsearch refuses us with status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// Any other failure of the request as a whole.
    #[error("elasticsearch failed with status {status} ({kind})")]
    Failed {
        /// The HTTP status.
        status: u16,
        /// Elasticsearch's name for it, such as `index_not_found_exception`.
        kind: String,
    },
    /// A 2xx that is not what this program can read.
    #[error("elasticsearch sent an unreadable answer")]
    Unreadable,
    /// The indices stand in a way that this program will not touch.
    #[error("search index {alias} needs an operator: {problem}")]
    Misplaced {
        /// The alias concerned.
        alias: String,
        /// What was found.
        problem: &'static str,
    },
}

impl SearchDown {
    /// A short fixed word for metric labels and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Unreadable => "unreadable",
            Self::Misplaced { .. } => "misplaced",
        }
    }

    /// True when waiting will not help until an operator acts (credentials, blocks, misplaced indices).
    pub fn needs_operator(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Misplaced { .. })
    }
}

/// Why one document was not indexed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// This document may be tried again as it is: queues full, a shard away, a newer one in its place failed.
    #[error("document not indexed for now, status {status} ({kind})")]
    Retry {
        /// The item's status.
        status: u16,
        /// Elasticsearch's name for it.
        kind: String,
    },
    /// This document will never be taken as it is: quarantine it, the others are not concerned.
    #[error("document rejected, status {status} ({kind}{})", .field.as_ref().map(|name| format!(", field {name}")).unwrap_or_default())]
    Permanent {
        /// The item's status, 400 when it was refused before being sent.
        status: u16,
        /// Elasticsearch's name for it.
        kind: String,
        /// The field at fault, where Elasticsearch names one of ours.
        field: Option<String>,
    },
    /// The whole request failed; retry.
    #[error(transparent)]
    Down(#[from] SearchDown),
    /// The batcher was closed before it could take the document; retry elsewhere.
    #[error("the index batcher is closed")]
    Closed,
}

impl IndexError {
    /// True when the document must be quarantined instead of retried.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Permanent { .. })
    }

    pub(super) fn refused(kind: &str, field: Option<&str>) -> Self {
        Self::Permanent { status: 400, kind: kind.to_owned(), field: field.map(str::to_owned) }
    }
}

/// Elasticsearch's error type if it looks like one (`a_to_z_exception`), so that no foreign text gets through.
pub(super) fn safe_kind(kind: &str) -> String {
    let looks_right =
        !kind.is_empty() && kind.len() <= 80 && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if looks_right { kind.to_owned() } else { "unnamed".to_owned() }
}
