//! Indexes a thread alone, after a change that no message carries. Reads `threads`, `reservations`.

use shared::domain::jobs::{INDEX_THREAD, JobKind};
use shared::ledger::JobRow;
use shared::search::ThreadDoc;

use super::index_message::{away, submit};
use super::{JobError, Projection};
use crate::context::Context;

/// See the module.
pub struct IndexThread;

impl Projection for IndexThread {
    const KIND: JobKind = INDEX_THREAD;
    const ATTEMPTS_MAX: i32 = 1_000; // Elasticsearch may be away for days

    async fn run(ctx: &Context, row: &JobRow) -> Result<(), JobError> {
        index_thread(ctx, row).await
    }
}

/// Writes the thread of `row` as it is now.
pub(super) async fn index_thread(ctx: &Context, row: &JobRow) -> Result<(), JobError> {
    let Some(key) = &row.thread else { return Err(JobError::give_up("payload", "no thread id")) };
    let Some(thread) = ctx.reads.thread(key).await.map_err(away)? else {
        tracing::info!(thread.key = %key, "thread is gone, nothing to index");
        return Ok(());
    };
    let reservation = match &thread.reservation_id {
        Some(id) => {
            let key = shared::domain::ids::key(&thread.account_id, id);
            ctx.reads.reservation(&key).await.map_err(away)?
        }
        None => None,
    };
    submit(ctx, ThreadDoc::of(&thread, reservation.and_then(|r| r.guest_name))).await
}
