//! Indexes a thread alone, after a change that no message carries. Reads `threads`, `reservations`.

use shared::domain::jobs::{INDEX_THREAD, JobKind};
use shared::domain::thread::Thread;
use shared::ledger::JobRow;
use shared::search::ThreadDoc;

use super::index_message::{away, submit, utc};
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
    submit(ctx, document(&thread, reservation.and_then(|r| r.guest_name))).await
}

fn document(thread: &Thread, guest_name: Option<String>) -> ThreadDoc {
    let texts = |uids: &[shared::domain::Uid]| uids.iter().map(ToString::to_string).collect();
    let mut ids = vec![thread.thread_id.to_string()];
    ids.extend(thread.reservation_id.as_ref().map(ToString::to_string));
    ThreadDoc {
        account_id: thread.account_id.to_string(),
        thread_id: thread.thread_id.to_string(),
        kind: thread.kind.as_str().to_owned(),
        source: thread.source.as_str().to_owned(),
        status: thread.status.as_str().to_owned(),
        important: thread.important,
        title: Some(thread.title.clone()).filter(|title| !title.is_empty()),
        guest_name,
        ids,
        participant_ids: texts(&thread.participant_ids),
        assigned_agent_ids: texts(&thread.assigned_agent_ids),
        viewers: thread.staff_viewers.iter().chain(&thread.guest_viewers).cloned().collect(),
        needs_attention: texts(&thread.needs_attention),
        last_message: thread.last_message.as_ref().map(|m| m.body.clone()),
        last_public_message: thread.last_public_message.as_ref().map(|m| m.body.clone()),
        updated_at: utc(thread.updated_at),
        public_updated_at: Some(utc(thread.public_updated_at)),
        version: thread.version.unsigned_abs(),
    }
}
