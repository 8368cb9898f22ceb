//! The keeper: renews claims, takes over what was left, and gives everything back when the worker stops.

use std::sync::Arc;
use std::time::Duration;

use apalis_core::worker::context::WorkerContext;
use shared::queue::QueueError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::StreamConfig;
use super::held::Held;
use super::outage::Outage;
use super::reader::decode;
use super::stream::Stream;

/// How often the keeper looks whether the worker is stopping; apalis does not tell its backend.
const STEP: Duration = Duration::from_millis(100);

/// The longest time until entries handed back by another worker are noticed.
const RECLAIM_EVERY_MAX: Duration = Duration::from_secs(1);

/// The longest time between two looks for consumers of dead processes.
const PRUNE_EVERY_MAX: Duration = Duration::from_secs(60);

/// The longest time for all steps of the way out, for the last acknowledgements, and for the reader.
const END_MAX: Duration = Duration::from_secs(5);
const ACKS_END: Duration = Duration::from_secs(2);
const READER_END_TRIES: usize = 10;
const READER_END_WAIT: Duration = Duration::from_millis(100);

/// Everything the keeper looks after.
pub(super) struct Keeper {
    pub(super) stream: Stream,
    pub(super) reading: Stream,
    pub(super) held: Arc<Held>,
    pub(super) config: StreamConfig,
    pub(super) worker: WorkerContext,
    pub(super) reader: JoinHandle<()>,
    pub(super) acker: JoinHandle<()>,
    pub(super) finish: CancellationToken,
}

impl Keeper {
    /// Runs until `finish` is called, which the worker does when its last job has ended; then cleans up, which
    /// takes at most some seconds even with Redis away.
    pub(super) async fn keep(mut self) {
        let min_idle = self.config.min_idle();
        let beat_every = min_idle / 3;
        let reclaim_every = beat_every.min(RECLAIM_EVERY_MAX);
        let forget_after = self.config.forget_after();
        let prune_every = forget_after.min(PRUNE_EVERY_MAX);
        let mut step = interval(STEP.min(min_idle / 6));
        step.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outage = Outage::new(self.config.queue, "renewing claims");
        let (mut beaten, mut reclaimed, mut pruned) = (Instant::now(), None::<Instant>, Instant::now());
        loop {
            tokio::select! {
                biased;
                () = self.finish.cancelled() => break,
                _ = step.tick() => {}
            }
            if !self.held.is_closing() && self.worker.is_shutting_down() {
                self.hand_back().await;
            }
            // Before a take-over, so that what is ours and late is not taken from ourselves.
            if beaten.elapsed() >= beat_every {
                let done = self.beat().await;
                match &done {
                    // Tried again at the next step.
                    Err(error) if !error.is_no_group() => reclaimed = Some(Instant::now()),
                    _ => beaten = Instant::now(),
                }
                note(&mut outage, done);
            }
            // Not right after an outage: every worker is late then, and gets this long to renew its claims.
            if reclaimed.is_none_or(|at| at.elapsed() >= reclaim_every) {
                let more = self.reclaim(min_idle).await;
                // When there is more than room, again as soon as there is room.
                reclaimed = (!matches!(more, Ok(true))).then(Instant::now);
                note(&mut outage, more.map(drop));
            }
            if pruned.elapsed() >= prune_every {
                pruned = Instant::now();
                note(&mut outage, self.stream.prune(forget_after).await.map(drop));
            }
        }
        if timeout(END_MAX, self.end()).await.is_err() {
            tracing::warn!(queue = %self.config.queue, "redis is away; entries in hand come again elsewhere");
        }
    }

    async fn beat(&self) -> Result<(), QueueError> {
        let ids = self.held.ids();
        let mine = self.stream.beat(&ids).await?;
        if mine < ids.len() {
            let (queue, lost) = (self.config.queue, ids.len() - mine);
            // Acknowledged a moment ago, taken over while we stalled, or gone with Redis's data.
            tracing::debug!(%queue, lost, "{lost} entries of {queue} are in hand and no longer ours");
        }
        Ok(())
    }

    /// Takes over what is left, as far as there is room; answers whether there may be more.
    async fn reclaim(&self, min_idle: Duration) -> Result<bool, QueueError> {
        let room = self.held.reclaim_room();
        if room == 0 {
            return Ok(!self.held.is_closing());
        }
        let taken = self.stream.reclaim(room, min_idle).await?;
        if taken.is_empty() {
            return Ok(false);
        }
        let more = taken.len() >= room;
        let raw = taken.into_iter().map(|taken| (taken.raw, taken.redelivered));
        let entries = decode(&self.stream, &self.config, raw).await;
        let redelivered = entries.iter().filter(|entry| entry.wakeup.redelivered).count();
        let (queue, news) = (self.config.queue, self.held.add_reclaimed(entries));
        let counted = u64::try_from(redelivered.min(news)).unwrap_or(u64::MAX);
        metrics::counter!("job_recovered_total", "cause" => "redelivered").increment(counted);
        tracing::info!(%queue, count = news, redelivered, "took over {news} entries of {queue}");
        Ok(more)
    }

    /// Stops reading and hands back what was not started; what runs stays ours.
    async fn hand_back(&mut self) {
        self.held.close();
        self.end_reader().await;
        match self.stream.release(&self.held.ids()).await {
            Ok(0) => {}
            Ok(count) => {
                let queue = self.config.queue;
                tracing::info!(%queue, count, "handed back {count} entries of {queue} that were not started");
            }
            Err(error) => note_quietly("hand back", Err(error)),
        }
    }

    /// Lets the reader return from its blocking read: were it cut off, Redis might still give an entry to its
    /// connection. Tried again, since the read may begin just after we asked.
    async fn end_reader(&mut self) {
        for _ in 0..READER_END_TRIES {
            if let Some(client_id) = self.reading.client_id() {
                note_quietly("unblock", self.stream.unblock(client_id).await);
            }
            if timeout(READER_END_WAIT, &mut self.reader).await.is_ok() {
                return;
            }
        }
        self.reader.abort();
        self.reading.close();
    }

    async fn end(&mut self) {
        if !self.held.is_closing() {
            self.hand_back().await;
        }
        if timeout(ACKS_END, &mut self.acker).await.is_err() {
            self.acker.abort();
            tracing::warn!(queue = %self.config.queue, "the last acknowledgements are not made; jobs come again");
        }
        // What was refused (`Nack`) since, then ourselves.
        note_quietly("hand back", self.stream.release(&self.held.ids()).await.map(drop));
        note_quietly("leave", self.stream.leave().await.map(drop));
    }
}

fn note(outage: &mut Outage, result: Result<(), QueueError>) {
    match result {
        Ok(()) => outage.over(),
        // The reader creates the group again.
        Err(error) if error.is_no_group() => {}
        Err(error) => outage.failed(&error),
    }
}

/// A step of the way out: without it, entries come again after `min_idle` instead of at once.
fn note_quietly(step: &str, result: Result<(), QueueError>) {
    if let Err(error) = result
        && !error.is_no_group()
    {
        tracing::warn!(step, %error, "redis fails a stopping worker: {error}");
    }
}
