//! After the commit: telling those who watch, off every caller's path.

use std::collections::HashMap;
use std::sync::Arc;

use super::Inner;
use crate::domain::message::Message;
use crate::domain::thread::Thread;
use crate::live::LiveEvent;

impl Inner {
    /// Tells of committed `messages`, in their order, and of their threads as they are after the commit.
    pub(super) fn announce(&self, threads: &HashMap<String, Arc<Thread>>, messages: Vec<Message>) {
        let mut public: HashMap<&str, bool> = HashMap::with_capacity(threads.len());
        for message in messages {
            let Some((key, thread)) = threads.get_key_value(&message.thread) else { continue };
            *public.entry(key.as_str()).or_default() |= message.is_public();
            self.live.publish_message(thread, message);
        }
        for (key, is_public) in public {
            if let Some(thread) = threads.get(key) {
                // A note must not be noticed by a guest, not even as an unchanged thread at the time.
                self.live.publish_with(thread_updated(thread, !is_public), Arc::clone(thread));
            }
        }
    }

    /// Tells of a message that turned out to be committed by an earlier try.
    pub(super) fn announce_found(&self, message: &Message) {
        let (account, thread) = (message.account_id.clone(), message.thread_id.clone());
        self.live.publish(LiveEvent::Message {
            account: account.clone(),
            thread: thread.clone(),
            message: message.message_id.clone(),
        });
        self.live.publish(LiveEvent::ThreadUpdated { account, thread, staff_only: !message.is_public() });
    }
}

fn thread_updated(thread: &Thread, staff_only: bool) -> LiveEvent {
    let (account, thread) = (thread.account_id.clone(), thread.thread_id.clone());
    LiveEvent::ThreadUpdated { account, thread, staff_only }
}
