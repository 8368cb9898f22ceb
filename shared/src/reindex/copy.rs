//! One batch: documents read from MongoDB above a key, and what Elasticsearch says of them.

use std::collections::HashMap;

use crate::domain::thread::Thread;
use crate::search::{IndexError, IndexKind, IndexOp, MessageDoc, SearchDown, SearchIndex, ThreadDoc};
use crate::store::{Store, StoreError};

/// Documents to be written, and the key of the last.
pub(super) struct Batch {
    pub(super) ops: Vec<IndexOp>,
    pub(super) last: String,
}

/// What is left of a batch after it was sent.
pub(super) struct Sent {
    /// Never taken as they are.
    pub(super) rejected: i64,
    /// To be sent again.
    pub(super) again: Vec<IndexOp>,
}

/// The next documents above `after`; `None` at the end.
pub(super) async fn read(
    store: &Store,
    kind: IndexKind,
    after: Option<&str>,
    limit: usize,
) -> Result<Option<Batch>, StoreError> {
    match kind {
        IndexKind::Messages => {
            let messages = store.messages_above(after, limit).await?;
            let last = messages.last().map(|message| message.key.clone());
            let ops = messages.iter().map(|message| MessageDoc::of(message).into()).collect();
            Ok(last.map(|last| Batch { ops, last }))
        }
        IndexKind::Threads => {
            let threads = store.threads_above(after, limit).await?;
            let last = threads.last().map(|thread| thread.key.clone());
            let reservations = keys_of(&threads, Thread::reservation_key);
            let guests = match reservations.is_empty() {
                true => HashMap::new(),
                false => store.reservations_for_jobs(&reservations).await?,
            };
            let customers = keys_of(&threads, Thread::customer_key);
            let users = match customers.is_empty() {
                true => HashMap::new(),
                false => store.users_for_jobs(&customers).await?,
            };
            let ops = threads.iter().map(|thread| {
                let guest = thread.reservation_key().and_then(|key| guests.get(&key));
                let customer = thread.customer_key().and_then(|key| users.get(&key));
                let name = match (guest, customer) {
                    (Some(guest), _) => guest.guest_name.clone(),
                    (None, customer) => customer.and_then(|customer| customer.name.clone()),
                };
                ThreadDoc::of(thread, name).into()
            });
            let ops = ops.collect();
            Ok(last.map(|last| Batch { ops, last }))
        }
    }
}

/// The keys that `threads` name, each once.
fn keys_of(threads: &[Thread], key: impl Fn(&Thread) -> Option<String>) -> Vec<String> {
    let mut keys: Vec<String> = threads.iter().filter_map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Writes documents unless they are there already in the same or a newer version.
pub(super) async fn write(index: &SearchIndex, ops: Vec<IndexOp>) -> Result<Sent, SearchDown> {
    let outcomes = index.bulk_behind(&ops).await?;
    let mut sent = Sent { rejected: 0, again: Vec::new() };
    for (op, outcome) in ops.into_iter().zip(outcomes) {
        match outcome {
            Ok(_) => {}
            Err(error @ IndexError::Permanent { .. }) => {
                tracing::error!(search.document = ?op, %error, "a document is rejected by the search index");
                sent.rejected += 1;
            }
            Err(IndexError::Retry { .. } | IndexError::Down(_) | IndexError::Closed) => sent.again.push(op),
        }
    }
    Ok(sent)
}
