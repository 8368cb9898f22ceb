//! The entries in one worker's hands: ready to start, running, or waiting for their acknowledgement.

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll, Waker};

use metrics::Gauge;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::StreamConfig;
use super::entry::Entry;

/// Shared by the worker, its reader, keeper and acker.
///
/// Invariant: an entry that is not in here is either not ours or free to be handed back.
pub(super) struct Held {
    inner: Mutex<Inner>,
    changed: Notify,
    acks: mpsc::UnboundedSender<String>,
    fresh_slots: usize,
    reclaim_slots: usize,
    inflight: Gauge,
}

#[derive(Default)]
struct Inner {
    fresh: VecDeque<Entry>,
    reclaimed: VecDeque<Entry>,
    stages: HashMap<String, Stage>,
    waker: Option<Waker>,
    closing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ready,
    Started,
}

impl Held {
    /// Empty hands, and the receiving end for ids whose handler has ended.
    ///
    /// The channel has no bound: its length is that of the entries in hand, which the prefetch and the worker's
    /// concurrency bound.
    pub(super) fn new(config: &StreamConfig) -> (Self, mpsc::UnboundedReceiver<String>) {
        let (acks, to_ack) = mpsc::unbounded_channel();
        let held = Self {
            inner: Mutex::default(),
            changed: Notify::new(),
            acks,
            fresh_slots: config.fresh_slots(),
            reclaim_slots: config.reclaim_slots(),
            inflight: metrics::gauge!("redis_inflight", "queue" => config.queue.as_str()),
        };
        (held, to_ack)
    }

    /// Waits until there is room for new entries; answers for how many, or `None` once closing.
    pub(super) async fn room(&self) -> Option<usize> {
        loop {
            let changed = self.changed.notified();
            {
                let inner = self.inner.lock();
                if inner.closing {
                    return None;
                }
                match self.fresh_slots.saturating_sub(inner.fresh.len()) {
                    0 => {}
                    room => return Some(room),
                }
            }
            changed.await;
        }
    }

    /// For how many entries taken over there is room.
    pub(super) fn reclaim_room(&self) -> usize {
        let inner = self.inner.lock();
        if inner.closing { 0 } else { self.reclaim_slots.saturating_sub(inner.reclaimed.len()) }
    }

    /// Takes new entries in.
    pub(super) fn add_fresh(&self, entries: Vec<Entry>) {
        self.add(entries, |inner| &mut inner.fresh);
    }

    /// Takes entries of other consumers in; they are started before new ones. Answers how many were news.
    pub(super) fn add_reclaimed(&self, entries: Vec<Entry>) -> usize {
        self.add(entries, |inner| &mut inner.reclaimed)
    }

    /// Entries that are in hand already (the group was created again, or we were late) are not taken twice; once
    /// closing none is taken, so that the release hands them back.
    fn add(&self, entries: Vec<Entry>, line: fn(&mut Inner) -> &mut VecDeque<Entry>) -> usize {
        let mut taken = 0;
        let waker = {
            let mut inner = self.inner.lock();
            if inner.closing {
                return 0;
            }
            for entry in entries {
                if inner.stages.contains_key(&entry.id) {
                    continue;
                }
                inner.stages.insert(entry.id.clone(), Stage::Ready);
                line(&mut inner).push_back(entry);
                taken += 1;
            }
            inner.waker.take()
        };
        self.inflight.increment(f64::from(u32::try_from(taken).unwrap_or(u32::MAX)));
        if let Some(waker) = waker {
            waker.wake();
        }
        taken
    }

    /// The next entry to start.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Entry> {
        let entry = {
            let mut inner = self.inner.lock();
            let Some(entry) = inner.reclaimed.pop_front().or_else(|| inner.fresh.pop_front()) else {
                inner.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            inner.stages.insert(entry.id.clone(), Stage::Started);
            entry
        };
        self.changed.notify_one();
        Poll::Ready(entry)
    }

    /// The handler of `id` has ended: acknowledge it soon. It stays in hand until that is done.
    pub(super) fn finish(&self, id: &str) {
        // Fails only after the acker gave up at close; the entry then comes again.
        let _ = self.acks.send(id.to_owned());
    }

    /// `ids` left our hands: acknowledged, or left alone on purpose.
    pub(super) fn remove<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        let mut inner = self.inner.lock();
        let removed = ids.into_iter().filter(|id| inner.stages.remove(*id).is_some()).count();
        self.inflight.decrement(f64::from(u32::try_from(removed).unwrap_or(u32::MAX)));
    }

    /// Everything in hand.
    pub(super) fn ids(&self) -> Vec<String> {
        self.inner.lock().stages.keys().cloned().collect()
    }

    /// Takes nothing more in and lets go of what was not started.
    pub(super) fn close(&self) {
        {
            let mut inner = self.inner.lock();
            inner.closing = true;
            inner.fresh.clear();
            inner.reclaimed.clear();
            let before = inner.stages.len();
            inner.stages.retain(|_, stage| *stage != Stage::Ready);
            let dropped = before - inner.stages.len();
            self.inflight.decrement(f64::from(u32::try_from(dropped).unwrap_or(u32::MAX)));
        }
        self.changed.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.inner.lock().closing
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let left = self.inner.lock().stages.len();
        self.inflight.decrement(f64::from(u32::try_from(left).unwrap_or(u32::MAX)));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use shared::queue::Queue;

    use super::*;
    use crate::backend::Wakeup;

    fn entries(ids: &[&str]) -> Vec<Entry> {
        ids.iter().map(|id| Entry { id: (*id).to_owned(), wakeup: Wakeup::new(*id) }).collect()
    }

    fn held(prefetch: usize) -> (Held, mpsc::UnboundedReceiver<String>) {
        let mut config = StreamConfig::new("redis://127.0.0.1", "p", Queue::Search);
        config.prefetch = prefetch;
        Held::new(&config)
    }

    fn next(held: &Held) -> Option<String> {
        match held.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(entry) => Some(entry.id),
            Poll::Pending => None,
        }
    }

    #[test]
    fn entries_taken_over_go_first_and_the_rest_in_order() {
        let (held, _acks) = held(8);
        held.add_fresh(entries(&["1", "2"]));
        assert_eq!(held.add_reclaimed(entries(&["0"])), 1);
        assert_eq!(
            [next(&held), next(&held), next(&held), next(&held)].map(Option::unwrap_or_default),
            ["0", "1", "2", ""]
        );
    }

    #[test]
    fn an_entry_in_hand_is_not_taken_twice() {
        let (held, _acks) = held(8);
        held.add_fresh(entries(&["1"]));
        assert_eq!(next(&held).as_deref(), Some("1"));
        assert_eq!(held.add_reclaimed(entries(&["1"])), 0);
        held.remove(["1"]);
        assert_eq!(held.add_reclaimed(entries(&["1"])), 1, "again ours after it left our hands");
    }

    #[test]
    fn room_counts_what_is_not_started() {
        let (held, _acks) = held(4);
        assert_eq!(held.room().now_or_never(), Some(Some(3)));
        held.add_fresh(entries(&["1", "2", "3"]));
        assert_eq!(held.room().now_or_never(), None, "waits");
        assert_eq!(next(&held).as_deref(), Some("1"));
        assert_eq!(held.room().now_or_never(), Some(Some(1)));
    }

    #[test]
    fn closing_keeps_only_what_was_started() {
        let (held, mut acks) = held(4);
        held.add_fresh(entries(&["1", "2"]));
        assert_eq!(next(&held).as_deref(), Some("1"));
        held.close();
        assert_eq!(held.ids(), ["1"]);
        held.add_fresh(entries(&["3"]));
        assert_eq!(next(&held), None);
        assert_eq!(held.room().now_or_never(), Some(None));
        held.finish("1");
        assert_eq!(acks.try_recv().unwrap(), "1");
    }
}
