//! Why a call to Redis failed.

use std::time::Duration;

use redis::RedisError;

/// A call to Redis did not succeed. None of them loses a job: the dispatcher pushes again from the ledger.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The configured URL cannot be used; it is not repeated here, since it may hold a password.
    #[error("the Redis URL is not valid (redis://[user:password@]host[:port][/db])")]
    Url,
    /// No answer in time, or no connection in time.
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// Redis cannot be reached, or the connection broke twice.
    #[error("Redis cannot be reached")]
    Away(#[source] RedisError),
    /// Redis answered with an error (out of memory, loading, read-only, no such group …).
    #[error("Redis refused the command")]
    Refused(#[source] RedisError),
}

impl QueueError {
    /// The consumer group or its stream is not there: Redis was emptied, or nothing was ever pushed.
    pub fn is_no_group(&self) -> bool {
        // UNBLOCKED: the stream went away under a blocked read.
        matches!(self.code(), Some("NOGROUP" | "UNBLOCKED"))
    }

    /// The consumer group exists already.
    pub fn is_busy_group(&self) -> bool {
        self.code() == Some("BUSYGROUP")
    }

    fn code(&self) -> Option<&str> {
        match self {
            QueueError::Refused(error) => error.code(),
            QueueError::Url | QueueError::Timeout(_) | QueueError::Away(_) => None,
        }
    }
}

impl From<RedisError> for QueueError {
    fn from(error: RedisError) -> Self {
        if error.is_io_error() || error.is_unrecoverable_error() {
            QueueError::Away(error)
        } else {
            QueueError::Refused(error)
        }
    }
}
