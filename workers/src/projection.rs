//! Running a projection: read the waiting job with others, do it, delete it with others.

use std::time::Duration;

use shared::domain::time::Time;
use shared::ledger::JobRow;
use shared::store::StoreError;
use tracing::Instrument;

use crate::backend::Wakeup;
use crate::context::{Context, PROJECTION_TIMEOUT};
use crate::jobs::JobError;
use crate::registry::Registry;

/// The longest pause between attempts of a projection.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The ledger cannot be reached: the wake-up must come again.
#[derive(Debug, thiserror::Error)]
#[error("the ledger cannot be reached: {0}")]
pub struct LedgerAway(String);

impl LedgerAway {
    fn because(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// Handles a wake-up of a projection.
///
/// A redelivered one runs by itself and is counted first, so that only a crash of its own counts against it.
///
/// # Errors
/// [`LedgerAway`].
pub async fn handle(ctx: &Context, registry: &Registry, wakeup: &Wakeup) -> Result<(), LedgerAway> {
    let id = &wakeup.job_id;
    let row = if wakeup.redelivered {
        ctx.ledger.start_redelivered(id, Time::now()).await.map_err(LedgerAway::because)?
    } else {
        ctx.reads.waiting(id).await.map_err(LedgerAway::because)?
    };
    let Some(row) = row else { return Ok(()) };
    let span = tracing::info_span!(
        "job",
        job.id = %row.id,
        job.name = %row.name,
        request.id = row.request_id.as_deref(),
    );
    run(ctx, registry, &row).instrument(span).await
}

async fn run(ctx: &Context, registry: &Registry, row: &JobRow) -> Result<(), LedgerAway> {
    let Some(attempts_max) = registry.attempts_max(&row.name) else {
        tracing::warn!("unknown kind of job, parked until a program knows it");
        return ctx.ledger.park_unknown_kind(&row.id).await.map_err(LedgerAway::because);
    };
    let started = std::time::Instant::now();
    let result = match tokio::time::timeout(PROJECTION_TIMEOUT, registry.run_projection(ctx, row)).await {
        Ok(result) => result,
        Err(_) => Err(JobError::retry("timeout", "took too long")),
    };
    let outcome = match &result {
        Ok(()) => "ok",
        Err(JobError::Retry { .. }) if row.attempt_count + 1 < attempts_max => "retry",
        Err(_) => "dead",
    };
    let queue = row.queue.as_str();
    metrics::counter!("job_attempts_total", "queue" => queue, "outcome" => outcome).increment(1);
    metrics::histogram!("job_run_seconds", "queue" => queue).record(started.elapsed().as_secs_f64());
    match result {
        Ok(()) => finish(ctx, row).await,
        Err(error) => fail(ctx, row, error, outcome).await.map_err(LedgerAway::because),
    }
}

async fn finish(ctx: &Context, row: &JobRow) -> Result<(), LedgerAway> {
    shared::failpoint::hit("projection.done").await;
    ctx.writes.remove_done(&row.id).await.map_err(LedgerAway::because)?;
    tracing::debug!("done");
    Ok(())
}

async fn fail(ctx: &Context, row: &JobRow, error: JobError, outcome: &str) -> Result<(), StoreError> {
    let (JobError::Retry { class, cause } | JobError::GiveUp { class, cause }) = error;
    if outcome == "retry" {
        let wait = pause(ctx.config.retry.base, row.attempt_count);
        tracing::warn!(error.class = class, error = %cause, retry_in_ms = wait.as_millis() as u64, "postponed");
        return ctx.ledger.postpone(&row.id, wait, class, &cause).await;
    }
    tracing::error!(error.class = class, error = %cause, "given up");
    metrics::counter!("dead_letters", "queue" => row.queue.as_str(), "reason" => class).increment(1);
    ctx.ledger.bury(&row.id, class, &cause, Time::now()).await
}

fn pause(base: Duration, attempts: i32) -> Duration {
    let attempts = attempts.clamp(0, 30).unsigned_abs();
    shared::providers::backoff::backoff(base, attempts + 1, PAUSE_MAX, &mut rand::rng())
}
