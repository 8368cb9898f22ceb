//! What can go wrong with MongoDB, sorted by what the caller can do about it.

use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};

/// A failed call. Its text is for logs, never for clients.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No server answers, or not in time: worth another try later.
    #[error("mongodb is away: {0}")]
    Away(#[source] Error),
    /// The server refused, or a document cannot be read.
    #[error("mongodb refused: {0}")]
    Refused(#[source] Error),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if is_away(&error) || is_transient(&error) { Self::Away(error) } else { Self::Refused(error) }
    }
}

impl From<mongodb::bson::error::Error> for StoreError {
    fn from(error: mongodb::bson::error::Error) -> Self {
        Self::Refused(Error::from(ErrorKind::Bson(error)))
    }
}

impl StoreError {
    /// The error of a call that was given up because no answer came.
    pub fn silence() -> Self {
        Self::Away(silence())
    }

    /// Whether a later try may succeed.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

/// What stands for an answer that did not come in time. The driver itself waits for ever on a connection whose
/// other end has silently gone.
pub(crate) fn silence() -> Error {
    Error::from(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
}

/// Whether the server could not be reached or is changing its role.
pub fn is_away(error: &Error) -> bool {
    // Not primary, stepping down, shutting down, interrupted: codes of the server's retryable errors.
    const CODES: [i32; 11] = [6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435];
    match error.kind.as_ref() {
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown => true,
        ErrorKind::Command(command) => CODES.contains(&command.code) || command.code == 13436,
        _ => false,
    }
}

/// Whether the transaction as a whole may be tried again: a write conflict or a fault on the way.
pub fn is_transient(error: &Error) -> bool {
    const WRITE_CONFLICT: i32 = 112;
    error.contains_label(TRANSIENT_TRANSACTION_ERROR)
        || matches!(error.kind.as_ref(), ErrorKind::Command(c) if c.code == WRITE_CONFLICT)
}

/// The server's text about a unique index that an insert or update violated; it holds the index's name and
/// must not leave the process.
pub fn duplicate_index(error: &Error) -> Option<&str> {
    const DUPLICATE_KEY: i32 = 11000;
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(e)) if e.code == DUPLICATE_KEY => Some(&e.message),
        ErrorKind::InsertMany(e) => {
            e.write_errors.iter().flatten().find(|e| e.code == DUPLICATE_KEY).map(|e| e.message.as_str())
        }
        ErrorKind::Command(e) if e.code == DUPLICATE_KEY => Some(&e.message),
        _ => None,
    }
}
