//! The steps of a rebuild, each saved before the next, with patience for servers that are away.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::copy::{self, Batch};
use super::{BATCH_MAX, ReindexError, ReindexRequest};
use crate::failpoint;
use crate::search::{IndexOp, RebuildPlan, SearchDown, SearchIndex};
use crate::store::{Phase, ReindexRow, Reindexes, Store};

/// A server that is away for longer ends the run, which may be continued.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest pause between two tries, and between two renewals of the lease.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The first pause after a failure; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(100);

type Step<T> = Result<T, ReindexError>;

/// One run of one process.
pub(super) struct Run<'a> {
    store: &'a Store,
    index: &'a SearchIndex,
    rows: Reindexes,
    request: &'a ReindexRequest,
    stop: &'a CancellationToken,
    observe: Box<dyn FnMut(&ReindexRow) + Send + 'a>,
    pub(super) row: ReindexRow,
    /// Since when a server has been away.
    away_since: Option<Instant>,
    pause: Duration,
    started: Instant,
    /// Documents of this run, for its rate.
    read: u32,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        store: &'a Store,
        index: &'a SearchIndex,
        request: &'a ReindexRequest,
        stop: &'a CancellationToken,
        row: ReindexRow,
        observe: Box<dyn FnMut(&ReindexRow) + Send + 'a>,
    ) -> Self {
        Self {
            store,
            index,
            rows: store.reindexes(),
            request,
            stop,
            observe,
            row,
            away_since: None,
            pause: PAUSE_MIN,
            started: Instant::now(),
            read: 0,
        }
    }

    /// Takes every index through its phases.
    pub(super) async fn all(&mut self) -> Step<()> {
        for at in 0..self.row.parts.len() {
            if self.row.parts[at].phase == Phase::Waiting {
                self.begin(at).await?;
            }
            if self.row.parts[at].phase == Phase::Copying {
                while self.copy_batch(at).await? {}
                self.swap(at).await?;
            }
        }
        if self.row.parts.iter().any(|part| part.phase == Phase::Swapped) {
            self.rest(self.request.linger).await?;
        }
        for at in 0..self.row.parts.len() {
            if self.row.parts[at].phase == Phase::Swapped {
                self.clear(at).await?;
            }
        }
        Ok(())
    }

    /// Chooses the new index, notes it, makes it, and moves the writes there.
    async fn begin(&mut self, at: usize) -> Step<()> {
        let kind = self.row.parts[at].index;
        if self.row.parts[at].target.is_none() {
            let RebuildPlan { target, old } = loop {
                match self.index.plan_rebuild(kind).await {
                    Ok(plan) => break plan,
                    Err(down) => self.endure(down).await?,
                }
            };
            (self.row.parts[at].target, self.row.parts[at].old) = (Some(target), old);
            self.save().await?;
        }
        failpoint::hit("reindex.begin").await;
        let target = self.target(at)?;
        while let Err(down) = self.index.begin_rebuild(kind, &target).await {
            self.endure(down).await?;
        }
        self.row.parts[at].total = loop {
            match self.store.about_how_many(kind).await {
                Ok(total) => break i64::try_from(total).unwrap_or(i64::MAX),
                Err(error) => self.endure(error).await?,
            }
        };
        self.row.parts[at].phase = Phase::Copying;
        self.save().await
    }

    /// Copies the next documents; false at the end.
    async fn copy_batch(&mut self, at: usize) -> Step<bool> {
        failpoint::hit("reindex.batch").await;
        let limit = self.request.batch.clamp(1, BATCH_MAX);
        let (kind, after) = (self.row.parts[at].index, self.row.parts[at].after.clone());
        let batch = loop {
            match copy::read(self.store, kind, after.as_deref(), limit).await {
                Ok(batch) => break batch,
                Err(error) => self.endure(error).await?,
            }
        };
        let Some(Batch { ops, last }) = batch else { return Ok(false) };
        let read = ops.len();
        let rejected = self.write(ops).await?;
        let part = &mut self.row.parts[at];
        part.after = Some(last);
        part.copied += read as i64 - rejected;
        part.rejected += rejected;
        self.save().await?;
        self.keep_pace(read).await?;
        Ok(true)
    }

    /// Writes all of `ops`; answers how many are rejected.
    async fn write(&mut self, mut ops: Vec<IndexOp>) -> Step<i64> {
        let mut rejected = 0;
        loop {
            match copy::write(self.index, ops.clone()).await {
                Ok(sent) => {
                    rejected += sent.rejected;
                    if sent.again.is_empty() {
                        return Ok(rejected);
                    }
                    ops = sent.again;
                    self.endure(SearchDown::Overloaded).await?;
                }
                Err(down) => self.endure(down).await?,
            }
        }
    }

    /// Lets searches read the new index alone.
    async fn swap(&mut self, at: usize) -> Step<()> {
        failpoint::hit("reindex.swap").await;
        let (kind, target) = (self.row.parts[at].index, self.target(at)?);
        loop {
            match self.index.finish_rebuild(kind, &target).await {
                Ok(()) => break,
                Err(SearchDown::Misplaced { .. }) => return Err(ReindexError::Vanished),
                Err(down) => self.endure(down).await?,
            }
        }
        self.row.parts[at].phase = Phase::Swapped;
        self.save().await
    }

    /// Deletes the old indices.
    async fn clear(&mut self, at: usize) -> Step<()> {
        failpoint::hit("reindex.clear").await;
        let kind = self.row.parts[at].index;
        for old in self.row.parts[at].old.clone() {
            while let Err(down) = self.index.drop_index(kind, &old).await {
                self.endure(down).await?;
            }
        }
        self.row.parts[at].phase = Phase::Done;
        self.save().await
    }

    fn target(&self, at: usize) -> Step<String> {
        self.row.parts[at].target.clone().ok_or(ReindexError::Vanished)
    }

    /// Stores how far it is, and holds the lease.
    async fn save(&mut self) -> Step<()> {
        loop {
            match self.rows.save(&self.row).await {
                Ok(true) => break,
                Ok(false) => return Err(ReindexError::Lost),
                Err(error) => self.endure(error).await?,
            }
        }
        (self.away_since, self.pause) = (None, PAUSE_MIN);
        (self.observe)(&self.row);
        Ok(())
    }

    /// Waits a little after a failure that may pass; fails when it does not, or has lasted too long.
    async fn endure(&mut self, error: impl Into<ReindexError>) -> Step<()> {
        let error = error.into();
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if !error.is_passing() || since.elapsed() > PATIENCE {
            return Err(error);
        }
        tracing::warn!(%error, reindex.id = %self.row.id, "the rebuild waits for a server");
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        self.rest(pause).await
    }

    /// Waits until the documents of this run are no more than its rate allows.
    async fn keep_pace(&mut self, read: usize) -> Step<()> {
        self.read = self.read.saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
        let Some(rate) = self.request.rate else { return self.rest(Duration::ZERO).await };
        let due = rate.interval().saturating_mul(self.read);
        self.rest(due.saturating_sub(self.started.elapsed())).await
    }

    /// Waits, holding the lease, unless it is to stop.
    async fn rest(&mut self, time: Duration) -> Step<()> {
        let until = Instant::now() + time;
        loop {
            if self.stop.is_cancelled() {
                return Err(ReindexError::Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(PAUSE_MAX)) => {}
                () = self.stop.cancelled() => return Err(ReindexError::Stopped),
            }
            // MongoDB may be what is away: then the lease is not renewed, and who takes over is met at the next save.
            if let Ok(false) = self.rows.save(&self.row).await {
                return Err(ReindexError::Lost);
            }
        }
    }
}
