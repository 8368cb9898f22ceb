//! Indexes a thread alone, after a change that no message carries. Reads `threads`, `reservations`, `users`.

use shared::domain::jobs::{INDEX_THREAD, JobKind};
use shared::domain::thread::Thread;
use shared::ledger::JobRow;
use shared::search::ThreadDoc;
use shared::store::StoreError;

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
    let guest_name = guest_name(ctx, &thread).await.map_err(away)?;
    submit(ctx, ThreadDoc::of(&thread, guest_name)).await
}

/// What the guest is called in its reservation, or the customer where its identity was verified.
async fn guest_name(ctx: &Context, thread: &Thread) -> Result<Option<String>, StoreError> {
    if let Some(key) = thread.reservation_key()
        && let Some(reservation) = ctx.reads.reservation(&key).await?
    {
        return Ok(reservation.guest_name);
    }
    match thread.customer_key() {
        Some(key) => Ok(ctx.reads.user(&key).await?.and_then(|customer| customer.name)),
        None => Ok(None),
    }
}
