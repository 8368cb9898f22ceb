//! Effects that are about no message: claimed, fenced and with a timeline as the others, and told to nobody.

use std::time::{Duration, Instant};

use shared::domain::jobs::JobKind;
use shared::domain::time::{Time, plus_millis};
use shared::ledger::JobRow;
use shared::providers::{Permit, SendOutcome};
use shared::store::StoreError;

use crate::context::Context;
use crate::effect::{Turn, wake_next, write_down};
use crate::outbound::{Ending, conclude};

/// A job with an effect outside that is about no message. It is claimed before anything is read.
pub trait Errand: Send + Sync + 'static {
    /// Name on the wire and queue.
    const KIND: JobKind;
    /// Attempts after which a job that failed by faults worth a retry is dead.
    const ATTEMPTS_MAX: u32;

    /// Does it, and tells how it ended. Calls [`Running::begin`] right before the request is written.
    fn run(ctx: &Context, running: &Running<'_>) -> impl Future<Output = Result<Ending, StoreError>> + Send;
}

/// An errand whose turn it is.
pub struct Running<'a> {
    /// As claimed.
    pub job: &'a JobRow,
    ctx: &'a Context,
    turn: &'a Turn,
}

impl Running<'_> {
    /// Marks the attempt as sending: from here on a death of this process leaves the outcome unknown. Answers `false`
    /// when the job was taken away.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self) -> Result<bool, StoreError> {
        shared::failpoint::hit("send.before").await;
        Ok(self.turn.begin(self.ctx).await?.is_some())
    }

    /// Leave to use `credential`, or how the job ends while it is left alone.
    ///
    /// # Errors
    /// The ending for an open circuit.
    pub fn pass_circuit(&self, credential: &str) -> Result<Permit, Ending> {
        let now = Instant::now();
        self.ctx.providers.circuits.try_acquire(credential, now).map_err(|retry_at| {
            let wait = retry_at.0.saturating_duration_since(now).max(Duration::from_millis(100));
            let until = plus_millis(Time::now(), i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
            Ending::Deferred { until, class: "circuit_open" }
        })
    }

    /// Tells the circuit of `credential` how the call went.
    pub fn learn(&self, credential: &str, permit: Permit, outcome: &SendOutcome) {
        self.ctx.providers.circuits.record(credential, permit, outcome.verdict(), Instant::now());
    }
}

/// Runs the job whose turn it is as `E`.
pub(crate) async fn run<E: Errand>(ctx: &Context, turn: &Turn) -> Result<(), StoreError> {
    let started = Instant::now();
    let Some(job) = turn.claimed(ctx).await? else { return Ok(()) };
    let ending = E::run(ctx, &Running { job, ctx, turn }).await?;
    if matches!(ending, Ending::Overtaken) {
        return Ok(());
    }
    shared::failpoint::hit("send.after").await;
    if let Some(conclusion) = conclude(ctx, job, ending, E::ATTEMPTS_MAX) {
        write_down(ctx, job, None, None, conclusion, started).await?;
    }
    wake_next(ctx, job).await
}
