//! What changed a moment ago and may not be in the search index yet: threads of one view with their new messages.

use std::collections::HashMap;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::threads::order_of;
use super::{Scope, StoreError, ThreadFilter};
use crate::domain::actor::{Actor, Role};
use crate::domain::message::Message;
use crate::domain::thread::Thread;
use crate::domain::time::Time;

/// Most threads that are looked at, the latest first.
const THREADS_MAX: usize = 200;
/// Most messages, the latest first.
const MESSAGES_MAX: usize = 500;
/// How far below a thread's last message the first look goes; each further one goes four times as far.
const FIRST_DEPTH: i64 = 4;

/// Threads that `actor` may see, and the messages in them that `actor` may see, newest first.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    pub threads: Vec<Thread>,
    pub messages: Vec<Message>,
}

/// A thread below whose message `top` there may be more.
struct Open {
    thread: String,
    top: i64,
}

impl Scope {
    /// The threads of a view with a message since `since`, at most 200, and those messages, at most 500.
    ///
    /// There is no index of messages by time, which every commit would have to keep: the threads come by the index
    /// of the view with their last message, and older ones are looked up downwards while they are still new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recent(
        &self,
        actor: &Actor,
        filter: &ThreadFilter,
        since: Time,
    ) -> Result<Recent, StoreError> {
        let (guest, order) = (actor.role == Role::Guest, order_of(actor));
        let mut query = self.view_query(actor, filter, order);
        query.insert(order, doc! { "$gte": since });
        let threads = self.store.collection::<Thread>("threads");
        let find = threads.find(query).sort(doc! { order: -1, "_id": -1 }).limit(THREADS_MAX as i64);
        let threads: Vec<Thread> = find.await?.try_collect().await?;
        let last = |thread: &Thread| match guest {
            true => thread.last_public_message.clone(),
            false => thread.last_message.clone(),
        };
        let newest = threads.iter().filter_map(last).filter(|message| message.created_at >= since);
        let mut messages: Vec<Message> = newest.collect();
        let open = messages.iter().filter_map(|message| {
            let top = if guest { message.public_seq? } else { message.seq };
            Some(Open { thread: message.thread.clone(), top })
        });
        let open = open.collect();
        self.add_older(&mut messages, open, since, if guest { "publicSeq" } else { "seq" }).await?;
        messages.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| b.seq.cmp(&a.seq)));
        messages.truncate(MESSAGES_MAX);
        Ok(Recent { threads, messages })
    }

    /// Adds the messages below those of `open` that are not older than `since`.
    async fn add_older(
        &self,
        messages: &mut Vec<Message>,
        mut open: Vec<Open>,
        since: Time,
        counter: &str,
    ) -> Result<(), StoreError> {
        let mut depth = FIRST_DEPTH;
        loop {
            open.retain(|open| open.top > 1);
            if open.is_empty() || messages.len() >= MESSAGES_MAX {
                return Ok(());
            }
            let ranges = open.iter().map(|open| {
                let range = doc! { "$gte": open.top - depth, "$lt": open.top };
                doc! { "thread": &open.thread, counter: range, "createdAt": { "$gte": since } }
            });
            let filter = doc! { "$or": ranges.collect::<Vec<Document>>() };
            let collection = self.store.collection::<Message>("messages");
            let find = collection.find(filter).sort(doc! { "createdAt": -1 }).limit(MESSAGES_MAX as i64);
            let found: Vec<Message> = find.await?.try_collect().await?;
            let mut counts: HashMap<&str, i64> = HashMap::new();
            for message in &found {
                *counts.entry(message.thread.as_str()).or_default() += 1;
            }
            // Where everything in reach is new there may be more below.
            open.retain(|open| counts.get(open.thread.as_str()) == Some(&depth));
            open.iter_mut().for_each(|open| open.top -= depth);
            messages.extend(found);
            depth *= 4;
        }
    }
}
