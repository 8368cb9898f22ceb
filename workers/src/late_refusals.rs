//! A provider that takes back its acceptance in a status webhook: what the class of its error means then.
//!
//! What passes is sent again later, as a new attempt; what somebody must repair is parked; the rest has failed.

use std::time::Duration;

use shared::domain::delivery::{DeliveryState, News};
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{Attempt, JobRow, LateRefusal, Trouble};
use shared::providers::{Class, Decision};
use shared::store::StoreError;

use crate::context::Context;
use crate::effect::wake_next;
use crate::outbound::waits_before;

/// Attempts after which a refusal that would pass is final, as it is for the answers to our requests.
const ATTEMPTS_MAX: u32 = 12;

/// What becomes of a message that was refused after all.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is sent again; what the ledger is told.
    Again(LateRefusal),
    /// It waits for the customer or an operator.
    Parked,
    /// It has failed.
    Failed,
}

/// Judges the refusal of the attempt with this `number`.
pub(crate) fn judge(
    ctx: &Context,
    job: &JobRow,
    decision: &Decision,
    code: Option<&str>,
    number: u32,
) -> Fate {
    let (rule, now) = (&decision.rule, Time::now());
    let before = job.attempts.iter().position(|attempt| attempt.attempt == number);
    let before: &[Attempt] = &job.attempts[..before.unwrap_or(job.attempts.len())];
    let waits = rule.class == Class::WaitUntil;
    let counted = if waits { waits_before(before, code) } else { job.attempt_count.unsigned_abs() } + 1;
    let age = now.timestamp_millis().saturating_sub(job.created_at.timestamp_millis());
    match rule.class_after(counted, Duration::from_millis(age.unsigned_abs())) {
        Class::Retry if counted >= ATTEMPTS_MAX => Fate::Failed,
        class @ (Class::Retry | Class::WaitUntil) => {
            let base = ctx.config.retry.base;
            let wait = rule.delay(counted, None, chrono::Utc::now(), base, &mut rand::rng());
            let trouble = Trouble {
                class: Some(class.as_str().to_owned()),
                provider_code: code.map(str::to_owned),
                text: Some(rule.text.clone()),
            };
            let due_at = plus_millis(now, i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
            Fate::Again(LateRefusal { attempt: number, due_at, counts: !waits, trouble })
        }
        Class::NeedsTemplate | Class::NeedsOperator => Fate::Parked,
        // A provider that says so knows that it did not deliver.
        Class::Permanent | Class::Unknown => Fate::Failed,
    }
}

/// Sends the message again later. The ledger first: a death in between leaves a job that runs, and its attempt
/// corrects what the message shows. Answers whether this was news.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn put_off(ctx: &Context, job: &JobRow, refusal: &LateRefusal) -> Result<bool, StoreError> {
    let now = Time::now();
    // Only the newest attempt can be taken back; of an earlier one nothing follows any more.
    if refusal.attempt != job.attempt || has_arrived(ctx, job).await? {
        return Ok(false);
    }
    if !ctx.ledger.refuse_for_later(job, refusal, now).await? {
        return Ok(false);
    }
    let code = refusal.trouble.provider_code.clone();
    let news = News::new(refusal.attempt + 1, DeliveryState::Queued, now).because(None, code);
    ctx.deliver(job, &news, None).await?;
    wake_next(ctx, job).await?;
    Ok(true)
}

/// Whether a proof of delivery came first, which no refusal beats.
async fn has_arrived(ctx: &Context, job: &JobRow) -> Result<bool, StoreError> {
    let Some(key) = &job.message else { return Ok(false) };
    let shown = ctx.store.account(&job.account_id).delivery_state(key).await?;
    Ok(shown.is_some_and(DeliveryState::proves_arrival))
}
