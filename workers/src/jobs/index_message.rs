//! Indexes a message and its thread in Elasticsearch. Reads `messages`, `threads`, `reservations`.

use shared::domain::jobs::{INDEX_MESSAGE, JobKind};
use shared::ledger::JobRow;
use shared::search::{IndexError, IndexOp, MessageDoc};
use shared::store::StoreError;

use super::index_thread::index_thread;
use super::{JobError, Projection};
use crate::context::Context;

/// See the module.
pub struct IndexMessage;

impl Projection for IndexMessage {
    const KIND: JobKind = INDEX_MESSAGE;
    const ATTEMPTS_MAX: i32 = 1_000; // Elasticsearch may be away for days

    async fn run(ctx: &Context, row: &JobRow) -> Result<(), JobError> {
        let (message, thread) = tokio::join!(index(ctx, row), index_thread(ctx, row));
        message.and(thread)
    }
}

async fn index(ctx: &Context, row: &JobRow) -> Result<(), JobError> {
    let Some(key) = &row.message else { return Err(JobError::give_up("payload", "no message id")) };
    let Some(message) = ctx.reads.message(key).await.map_err(away)? else {
        tracing::info!(message.key = %key, "message is gone, nothing to index");
        return Ok(());
    };
    submit(ctx, MessageDoc::of(&message)).await
}

/// Writes one document with whatever else waits.
pub(super) async fn submit(ctx: &Context, op: impl Into<IndexOp>) -> Result<(), JobError> {
    match ctx.batcher.submit(op).await {
        Ok(_) => Ok(()),
        Err(error @ IndexError::Permanent { .. }) => Err(JobError::give_up("rejected", error)),
        Err(error) => Err(JobError::retry("search_unavailable", error)),
    }
}

/// MongoDB did not answer.
pub(crate) fn away(error: StoreError) -> JobError {
    JobError::retry("store", error)
}
