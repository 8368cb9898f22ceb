//! Asking a provider what became of sends in doubt: Twilio lists what it took. Found: its id is adopted. Surely not
//! there: it is sent again, which duplicates nothing. WhatsApp has no such list (PROTOCOLS 3.6).

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::domain::delivery::DeliveryState;
use shared::domain::message::Message;
use shared::domain::time::{Time, plus_millis};
use shared::ledger::JobRow;
use shared::providers::Phone;
use shared::providers::twilio::{MessageStatus, SentMessage};
use shared::queue::Queue;
use shared::store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::effect::wake_next;
use crate::statuses;

/// Jobs that are looked up together.
const BATCH: i64 = 20;
/// How far before the request the list is searched: clocks differ.
const MARGIN_MS: i64 = 60_000;
/// A message that is not listed so long after its request was not taken.
const SETTLED: Duration = Duration::from_secs(10);

/// Looks up what is in doubt until `stop`; one process of all does.
pub async fn run(ctx: Context, stop: CancellationToken) {
    let tick = ctx.config.dispatcher.tick.max(Duration::from_millis(200));
    while !stop.is_cancelled() {
        let hold = ctx.config.dispatcher.lease;
        match ctx.ledger.lead("reconcile", &ctx.process, hold).await {
            Ok(Some(now)) => {
                if let Err(error) = look(&ctx, now).await {
                    tracing::warn!(%error, "sends in doubt are not looked up");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "no leader"),
        }
        tokio::select! { () = tokio::time::sleep(tick) => {}, () = stop.cancelled() => {} }
    }
    // Another may take over at once; a failure only delays it.
    let _ = ctx.ledger.resign("reconcile", &ctx.process).await;
}

async fn look(ctx: &Context, now: Time) -> Result<(), StoreError> {
    // Several looks within the grace, the last of them late enough to prove absence.
    let between = (ctx.config.delivery.unknown_grace / 6).max(Duration::from_millis(200));
    let again = plus_millis(now, i64::try_from(between.as_millis()).unwrap_or(i64::MAX));
    for job in ctx.ledger.in_doubt(Queue::Sms, now, again, BATCH).await? {
        look_up(ctx, &job, now).await?;
    }
    Ok(())
}

async fn look_up(ctx: &Context, job: &JobRow, now: Time) -> Result<(), StoreError> {
    let Some(sent_at) = job.attempts.last().map(|attempt| attempt.sending_at.unwrap_or(attempt.started_at))
    else {
        return Ok(());
    };
    let (Some(message), Some(phone)) = (message_of(ctx, job).await?, phone_of(ctx, job).await?) else {
        return Ok(());
    };
    let Some(line) = ctx.channels.sms(&job.account_id).await? else { return Ok(()) };
    let since = utc(plus_millis(sent_at, -MARGIN_MS));
    let listing = match ctx.providers.twilio.find_recent(&line.channel, &phone, since).await {
        Ok(listing) => listing,
        Err(error) => {
            tracing::info!(%error, job.id = %job.id, "twilio does not tell what it took");
            return Ok(());
        }
    };
    for sent in listing.matching(&line.channel, &message.body) {
        if ctx.ledger.job_by_provider_id(&sent.sid).await?.is_none() {
            metrics::counter!("reconciled_total", "result" => "found").increment(1);
            return adopt(ctx, job, sent).await;
        }
    }
    let settled = now.timestamp_millis() - sent_at.timestamp_millis() >= settled_ms(ctx);
    if listing.complete && settled && ctx.ledger.release(job, None).await? {
        metrics::counter!("reconciled_total", "result" => "absent").increment(1);
        tracing::info!(job.id = %job.id, "twilio did not take it; it is sent again");
        wake_next(ctx, job).await?;
    }
    Ok(())
}

/// Never longer than half the grace, so that absence is seen before the grace ends.
fn settled_ms(ctx: &Context) -> i64 {
    let wait = SETTLED.min(ctx.config.delivery.unknown_grace / 2);
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}

async fn adopt(ctx: &Context, job: &JobRow, sent: &SentMessage) -> Result<(), StoreError> {
    let state = match sent.status {
        MessageStatus::Delivered => DeliveryState::Delivered,
        MessageStatus::Read => DeliveryState::Read,
        MessageStatus::Failed | MessageStatus::Undelivered | MessageStatus::Canceled => DeliveryState::Failed,
        _ => DeliveryState::Sent,
    };
    tracing::info!(job.id = %job.id, state = state.as_str(), "twilio took it after all");
    statuses::found(ctx, job, &sent.sid, state, sent.error_code.as_deref()).await
}

async fn message_of(ctx: &Context, job: &JobRow) -> Result<Option<Message>, StoreError> {
    match &job.message {
        Some(key) => ctx.reads.message(key).await,
        None => Ok(None),
    }
}

/// The phone as it is now. One that was changed meanwhile finds nothing, and the doubt stays until its grace ends.
async fn phone_of(ctx: &Context, job: &JobRow) -> Result<Option<Phone>, StoreError> {
    let Some(key) = &job.thread else { return Ok(None) };
    let Some(thread) = ctx.reads.thread(key).await? else { return Ok(None) };
    let Some(key) = thread.reservation_key() else { return Ok(None) };
    let reservation = ctx.reads.reservation(&key).await?;
    Ok(reservation.and_then(|reservation| reservation.guest_phone?.parse().ok()))
}

fn utc(time: Time) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or_default()
}
