//! Statuses that providers report: matched to a job's attempt, applied by rank, proofs carried to the ledger.

use shared::domain::delivery::{DeliveryState, News, Reason};
use shared::domain::jobs::JobState;
use shared::domain::time::Time;
use shared::ledger::{AttemptOutcome, JobRow};
use shared::providers::twilio::{MessageStatus, StatusCallback, parse_form};
use shared::providers::whatsapp::webhook::{Batch, Status, StatusEvent};
use shared::providers::{Class, Provider, Signal};
use shared::store::{EventState, StoreError};

use crate::context::Context;
use crate::effect::wake_next;
use crate::jobs::JobError;
use crate::jobs::index_message::away;
use crate::late_refusals::{self, Fate};
use crate::outbound::raise_alarm;

/// One status in our words.
struct Report<'a> {
    provider: Provider,
    provider_id: &'a str,
    state: DeliveryState,
    code: Option<&'a str>,
}

/// Applies every status of a WhatsApp event.
///
/// # Errors
/// [`JobError`] when MongoDB is away; what was applied stays applied.
pub async fn whatsapp(ctx: &Context, raw: &[u8]) -> Result<EventState, JobError> {
    let Ok(batch) = Batch::parse(raw) else { return Ok(EventState::Failed) };
    // Messages of customers are worked through by a later version; until then they are kept and shown.
    let mut all_known = batch.messages.is_empty() && batch.strange.is_empty();
    for status in &batch.statuses {
        let Some(report) = in_our_words(status) else { continue };
        let opaque = status.opaque.as_deref().and_then(JobRow::parse_attempt_ref);
        all_known &= apply(ctx, opaque, &report).await?;
    }
    Ok(if all_known { EventState::Processed } else { EventState::Unrouted })
}

/// Applies a status callback of Twilio; the stored body is `query\nform`.
///
/// # Errors
/// As [`whatsapp`].
pub async fn twilio(ctx: &Context, raw: &[u8]) -> Result<EventState, JobError> {
    let cut = raw.iter().position(|b| *b == b'\n').unwrap_or(raw.len());
    let (query, form) = (&raw[..cut], raw.get(cut + 1..).unwrap_or_default());
    let Some(callback) = StatusCallback::parse(&parse_form(form), &parse_form(query)) else {
        return Ok(EventState::Failed);
    };
    let state = match callback.status {
        MessageStatus::Sent => DeliveryState::Sent,
        MessageStatus::Delivered => DeliveryState::Delivered,
        MessageStatus::Read => DeliveryState::Read,
        MessageStatus::Failed | MessageStatus::Undelivered | MessageStatus::Canceled => DeliveryState::Failed,
        _ => return Ok(EventState::Processed),
    };
    let report = Report {
        provider: Provider::Twilio,
        provider_id: &callback.message_sid,
        state,
        code: callback.error_code.as_deref(),
    };
    let attempt = callback.job_id.clone().zip(callback.attempt);
    let known = apply(ctx, attempt, &report).await?;
    Ok(if known { EventState::Processed } else { EventState::Unrouted })
}

fn in_our_words(status: &StatusEvent) -> Option<Report<'_>> {
    let state = match status.status {
        Status::Sent => DeliveryState::Sent,
        Status::Delivered => DeliveryState::Delivered,
        Status::Read => DeliveryState::Read,
        Status::Failed => DeliveryState::Failed,
        Status::Other(_) => return None,
    };
    let code = status.errors.first().and_then(|error| error.code.as_deref());
    Some(Report { provider: Provider::Whatsapp, provider_id: &status.wamid, state, code })
}

/// Applies a status to the message it is about; answers `false` when that is not known.
async fn apply(ctx: &Context, attempt: Option<(String, u32)>, report: &Report<'_>) -> Result<bool, JobError> {
    let (job, number) = match &attempt {
        Some((id, number)) => (ctx.reads.row(id).await.map_err(away)?, Some(*number)),
        None => (None, None),
    };
    let job = match job {
        Some(job) => Some(job),
        None => ctx.ledger.job_by_provider_id(report.provider_id).await.map_err(away)?,
    };
    let Some(job) = job else {
        metrics::counter!("webhook_in_total", "result" => "unmatched").increment(1);
        return Ok(false);
    };
    let number = number.unwrap_or(job.attempt);
    if job.message.is_none() {
        return Ok(true);
    }
    if report.state == DeliveryState::Failed && job.state == JobState::Running {
        // What follows from a refusal is written where the acceptance stands, and that is not written yet.
        return Err(JobError::retry("early", "a refusal came before the end of its attempt"));
    }
    let applied = apply_to(ctx, &job, number, report).await.map_err(away)?;
    let result = if applied { "applied" } else { "late" };
    metrics::counter!("webhook_in_total", "result" => result).increment(1);
    Ok(true)
}

/// What the provider's own list says of a message whose outcome was in doubt.
///
/// # Errors
/// [`StoreError`].
pub async fn found(
    ctx: &Context,
    job: &JobRow,
    provider_id: &str,
    state: DeliveryState,
    code: Option<&str>,
) -> Result<(), StoreError> {
    let report = Report { provider: Provider::Twilio, provider_id, state, code };
    apply_to(ctx, job, job.attempt, &report).await.map(drop)
}

/// Answers whether it was news.
async fn apply_to(ctx: &Context, job: &JobRow, number: u32, report: &Report<'_>) -> Result<bool, StoreError> {
    let (news, fate) = news(ctx, job, report, number);
    match fate {
        Some(Fate::Again(refusal)) => late_refusals::put_off(ctx, job, &refusal).await,
        fate => show(ctx, job, report, &news, fate).await,
    }
}

/// Shows the news on the message and carries them to the ledger; answers whether they were news.
async fn show(
    ctx: &Context,
    job: &JobRow,
    report: &Report<'_>,
    news: &News,
    fate: Option<Fate>,
) -> Result<bool, StoreError> {
    let applied = ctx.deliver(job, news, Some(report.provider_id)).await?.is_some();
    carry_to_ledger(ctx, job, report, news, fate, applied).await?;
    Ok(applied)
}

/// What the report says in our words; of a failure also what follows.
fn news(ctx: &Context, job: &JobRow, report: &Report<'_>, attempt: u32) -> (News, Option<Fate>) {
    let now = Time::now();
    if report.state != DeliveryState::Failed {
        return (News::new(attempt, report.state, now), None);
    }
    let signal = Signal { code: report.code, in_status: true, ..Signal::default() };
    let decision = ctx.providers.classes.decide(report.provider, &signal);
    raise_alarm(decision.alarm, report.code, job);
    let fate = late_refusals::judge(ctx, job, &decision, report.code, attempt);
    let (state, reason) = match (&fate, decision.rule.class) {
        (Fate::Parked, Class::NeedsTemplate) => (DeliveryState::Parked, Reason::NeedsTemplate),
        (Fate::Parked, _) => (DeliveryState::Parked, decision.rule.reason),
        _ => (DeliveryState::Failed, decision.rule.reason),
    };
    (News::new(attempt, state, now).because(Some(reason), report.code.map(str::to_owned)), Some(fate))
}

/// A proof ends the job whatever it was; a late refusal shows it among the dead or parked.
async fn carry_to_ledger(
    ctx: &Context,
    job: &JobRow,
    report: &Report<'_>,
    news: &News,
    fate: Option<Fate>,
    applied: bool,
) -> Result<(), StoreError> {
    let now = Time::now();
    let changed = match (report.state, fate) {
        (DeliveryState::Failed, Some(fate)) if applied => {
            let for_now = matches!(fate, Fate::Parked);
            let class = match (for_now, news.reason) {
                (true, Some(Reason::NeedsTemplate)) => Class::NeedsTemplate,
                (true, _) => Class::NeedsOperator,
                (false, _) => Class::Permanent,
            };
            ctx.ledger.refuse(job, for_now, class.as_str(), news, now).await?
        }
        (DeliveryState::Failed, _) => false,
        // The usual case, seen in the row that was just read: nothing to prove.
        _ if job.state == JobState::Done => false,
        (DeliveryState::Sent, _) if was_refused(job, news.attempt) => false,
        _ => ctx.ledger.prove(&job.id, Some(report.provider_id), now).await?,
    };
    if changed { wake_next(ctx, job).await } else { Ok(()) }
}

/// Whether the provider has refused this attempt: that it had been sent is old news then, which proves nothing.
fn was_refused(job: &JobRow, number: u32) -> bool {
    let attempt = job.attempts.iter().find(|attempt| attempt.attempt == number);
    let outcome = attempt.and_then(|attempt| attempt.outcome);
    matches!(outcome, Some(AttemptOutcome::Retry | AttemptOutcome::Parked | AttemptOutcome::Dead))
}
