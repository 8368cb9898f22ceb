//! Running an effect: claim the lane's head, do it under a deadline, write down how it ended, wake the next.

use std::time::Instant;

use shared::domain::delivery::{Channel, DeliveryState, News, Reason};
use shared::domain::time::Time;
use shared::ledger::{Claim, JobRow, Verdict};
use shared::queue::Queue;
use shared::store::StoreError;
use tracing::Instrument;

use crate::context::Context;
use crate::jobs::{Effect, Sending};
use crate::outbound::{Conclusion, Ending, conclude};
use crate::registry::Registry;

/// Handles a wake-up of an effect.
///
/// # Errors
/// [`StoreError`] when the ledger could not be reached: the wake-up must come again.
pub async fn handle(ctx: &Context, registry: &Registry, id: &str, worker: &str) -> Result<(), StoreError> {
    match ctx.ledger.claim(id, worker).await? {
        Claim::Gone | Claim::Behind => Ok(()),
        Claim::BehindParked { job, head } => park_behind(ctx, &job, &head).await,
        Claim::Taken(job) => {
            let span = tracing::info_span!(
                "job",
                job.id = %job.id,
                job.name = %job.name,
                job.attempt = job.attempt,
                request.id = job.request_id.as_deref(),
            );
            registry.run_effect(ctx, *job).instrument(span).await
        }
    }
}

/// Runs `job`, which is claimed, as `E`.
pub(crate) async fn run<E: Effect>(ctx: &Context, job: JobRow) -> Result<(), StoreError> {
    let started = Instant::now();
    let waited = Time::now().timestamp_millis() - job.due_at.timestamp_millis();
    metrics::histogram!("job_queue_wait_seconds", "queue" => job.queue.as_str())
        .record(waited.max(0) as f64 / 1e3);
    let ending = attempt::<E>(ctx, &job).await?;
    shared::failpoint::hit("send.after").await;
    if let Some(conclusion) = conclude(ctx, &job, ending, E::ATTEMPTS_MAX) {
        write_down(ctx, &job, channel::<E>(), conclusion, started).await?;
    }
    wake_next(ctx, &job).await
}

async fn attempt<E: Effect>(ctx: &Context, job: &JobRow) -> Result<Ending, StoreError> {
    let scope = ctx.store.account(&job.account_id);
    let (Some(message_key), Some(thread_key)) = (&job.message, &job.thread) else {
        return Ok(Ending::Needless);
    };
    let (message, thread) = tokio::join!(scope.message_by_key(message_key), scope.thread_by_key(thread_key));
    let (Some(message), Some(thread)) = (message?, thread?) else {
        tracing::info!("message or thread is gone, nothing to send");
        return Ok(Ending::Needless);
    };
    let sending = Sending { job, message: &message, thread: &thread, ctx };
    let shown = channel::<E>().is_some_and(|channel| sending.shows(channel));
    if shown && message.delivery.as_ref().is_some_and(|d| d.state.proves_arrival()) {
        return Ok(Ending::Needless);
    }
    E::run(ctx, &sending).await
}

/// The message first, then the ledger: a death in between is healed from the message.
async fn write_down(
    ctx: &Context,
    job: &JobRow,
    channel: Option<Channel>,
    mut conclusion: Conclusion,
    started: Instant,
) -> Result<(), StoreError> {
    let scope = ctx.store.account(&job.account_id);
    let Some(message_key) = &job.message else { return Ok(()) };
    let message = scope.message_by_key(message_key).await?;
    let shown = message.as_ref().and_then(|m| m.delivery.as_ref()).filter(|d| Some(d.channel) == channel);
    let was_needless = matches!(&conclusion.verdict, Verdict::Done { provider_id: None });
    if let Some(delivery) = shown
        && !was_needless
    {
        let settled = delivery.state.proves_arrival()
            || (delivery.state == DeliveryState::Sent && delivery.attempt >= job.attempt);
        if settled && matches!(conclusion.verdict, Verdict::Unknown { .. }) {
            // A status webhook was faster than our doubt.
            conclusion.verdict = Verdict::Done { provider_id: None };
        } else {
            ctx.deliver(job, &conclusion.news, conclusion.provider_id.as_deref()).await?;
        }
        if conclusion.news.state == DeliveryState::Sent && channel == Some(Channel::Whatsapp) {
            note_sent(ctx, job, conclusion.news.at).await?;
        }
    }
    shared::failpoint::hit("send.recorded").await;
    let settled = ctx.ledger.settle(job, &conclusion.verdict, &conclusion.trouble, Time::now()).await?;
    report(job, &conclusion, settled.is_err(), started);
    Ok(())
}

async fn note_sent(ctx: &Context, job: &JobRow, at: Time) -> Result<(), StoreError> {
    let Some(thread) = job.thread.as_deref() else { return Ok(()) };
    ctx.store.account(&job.account_id).note_whatsapp_sent(thread, at).await
}

fn report(job: &JobRow, conclusion: &Conclusion, fenced: bool, started: Instant) {
    let queue = job.queue.as_str();
    if fenced {
        metrics::counter!("job_fenced_total", "queue" => queue).increment(1);
        tracing::warn!("the job was moved by somebody else meanwhile");
        return;
    }
    let outcome = conclusion.verdict.outcome().as_str();
    let seconds = started.elapsed().as_secs_f64();
    metrics::counter!("job_attempts_total", "queue" => queue, "outcome" => outcome).increment(1);
    metrics::histogram!("job_run_seconds", "queue" => queue).record(seconds);
    let class = conclusion.trouble.class.as_deref();
    tracing::info!(outcome, error.class = class, duration_ms = (seconds * 1e3) as u64, "attempt ended");
}

/// The lane goes on: the next of it is pushed at once.
pub(crate) async fn wake_next(ctx: &Context, job: &JobRow) -> Result<(), StoreError> {
    let Some(lane) = &job.lane else { return Ok(()) };
    let Some(next) = ctx.ledger.next_in_lane(lane).await? else { return Ok(()) };
    if ctx.wakeups.push(next.queue, &[&next.id]).await.is_err() {
        // The dispatcher would find it only when its last push is forgotten.
        ctx.ledger.mark_pushed(&[&next.id], std::time::Duration::ZERO).await?;
    }
    Ok(())
}

async fn park_behind(ctx: &Context, job: &JobRow, head: &JobRow) -> Result<(), StoreError> {
    if !ctx.ledger.park_behind(job, head.reason.as_deref()).await? {
        return Ok(());
    }
    let reason = serde_json::from_value(serde_json::json!(head.reason)).unwrap_or(Reason::NeedsTemplate);
    let news = News::new(job.attempt, DeliveryState::Parked, Time::now()).because(Some(reason), None);
    ctx.deliver(job, &news, None).await?;
    Ok(())
}

/// The channel whose delivery the message shows; a mail about a message does not deliver it.
fn channel<E: Effect>() -> Option<Channel> {
    match E::KIND.queue {
        Queue::Whatsapp => Some(Channel::Whatsapp),
        Queue::Sms => Some(Channel::Sms),
        Queue::Guest => Some(Channel::Guest),
        _ => None,
    }
}
