//! Running an effect: claim the lane's head, do it under a deadline, write down how it ended, wake the next.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use shared::channels::{Flagging, Owner};
use shared::domain::delivery::{Channel, DeliveryState, News, Reason};
use shared::domain::message::Message;
use shared::domain::time::Time;
use shared::ledger::{Done, Fenced, JobRow, Look, Mark, Trouble, Verdict};
use shared::providers::{Class, Scope, SendOutcome};
use shared::queue::{Due, Queue};
use shared::store::StoreError;
use tracing::Instrument;

use crate::backend::Wakeup;
use crate::context::Context;
use crate::jobs::{Effect, Sending};
use crate::outbound::{Conclusion, Ending, conclude};
use crate::registry::Registry;
use crate::release::release_lane;

/// How long a request takes before its message is shown as sending: most are answered sooner.
const SHOW_AFTER: Duration = Duration::from_millis(250);

/// A worker and the job whose turn it is in its lane.
///
/// Claiming it waits until the request is about to be written, so that one write does for both. The job is claimed
/// ahead of everything else where its turn may not have come by the store's clock, or where its wake-up was
/// delivered before: it may have killed a worker, and a claim is what counts deaths.
pub struct Turn {
    seen: JobRow,
    worker: Arc<str>,
    claimed: OnceLock<JobRow>,
    /// By whose line it is sent.
    owner: OnceLock<Owner>,
}

impl Turn {
    /// The kind of job, by its wire name.
    pub(crate) fn name(&self) -> &str {
        &self.seen.name
    }

    /// It is sent by a line of `owner`: whose credentials a refusal is about.
    pub(crate) fn sent_by(&self, owner: &Owner) {
        self.owner.get_or_init(|| owner.clone());
    }

    /// The job is about to be sent; see [`Sending::begin`].
    pub(crate) async fn begin(&self, ctx: &Context) -> Result<Option<&JobRow>, StoreError> {
        if let Some(job) = self.claimed.get() {
            return Ok(ctx.ledger.begin_send(job).await?.then_some(job));
        }
        self.take(ctx, Mark::Sending).await
    }

    /// The job as claimed, now if not before; `None` when somebody else has it.
    pub(crate) async fn claimed(&self, ctx: &Context) -> Result<Option<&JobRow>, StoreError> {
        match self.claimed.get() {
            Some(job) => Ok(Some(job)),
            None => self.take(ctx, Mark::Claimed).await,
        }
    }

    async fn take(&self, ctx: &Context, mark: Mark) -> Result<Option<&JobRow>, StoreError> {
        let taken = match mark {
            Mark::Claimed => ctx.ledger.take(&self.seen, &self.worker, mark).await?,
            Mark::Sending => ctx.writes.take(&self.seen, &self.worker).await?,
        };
        Ok(taken.map(|job| self.claimed.get_or_init(|| job)))
    }
}

/// The jobs whose turn this process is at. A lane's head is often woken twice, by its commit and by the end of the
/// job before it; one turn does for both.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<HashSet<String>>>);

/// A job's entry among the [`Turns`], which its end removes.
struct Entered<'a> {
    turns: &'a Turns,
    id: String,
}

impl Turns {
    fn enter(&self, id: &str) -> Option<Entered<'_>> {
        self.0.lock().insert(id.to_owned()).then(|| Entered { turns: self, id: id.to_owned() })
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.turns.0.lock().remove(&self.id);
    }
}

/// Handles a wake-up of an effect.
///
/// # Errors
/// [`StoreError`] when the ledger could not be reached: the wake-up must come again.
pub async fn handle(
    ctx: &Context,
    registry: &Registry,
    wakeup: &Wakeup,
    worker: &Arc<str>,
) -> Result<(), StoreError> {
    let Some(job) = ctx.reads.row(&wakeup.job_id).await? else { return Ok(()) };
    match ctx.ledger.look_from(job).await? {
        Look::Gone | Look::Behind => Ok(()),
        Look::BehindParked { job, head } => park_behind(ctx, &job, &head).await,
        Look::Head(job) => {
            // Whoever is at it wakes the next of the lane, or has its own wake-up come again.
            let Some(_entered) = ctx.turns.enter(&job.id) else { return Ok(()) };
            let claim_first = wakeup.redelivered || job.due_at > Time::now();
            let span = tracing::info_span!(
                "job",
                job.id = %job.id,
                job.name = %job.name,
                job.attempt = job.attempt + 1,
                request.id = job.request_id.as_deref(),
            );
            let turn = Turn {
                seen: *job,
                worker: Arc::clone(worker),
                claimed: OnceLock::new(),
                owner: OnceLock::new(),
            };
            let run = async {
                if claim_first && turn.claimed(ctx).await?.is_none() {
                    return Ok(());
                }
                registry.run_effect(ctx, &turn).await
            };
            run.instrument(span).await
        }
    }
}

/// Runs the job whose turn it is as `E`.
pub(crate) async fn run<E: Effect>(ctx: &Context, turn: &Turn) -> Result<(), StoreError> {
    let started = Instant::now();
    if E::CLAIM_FIRST && turn.claimed(ctx).await?.is_none() {
        return Ok(());
    }
    let waited = Time::now().timestamp_millis() - turn.seen.due_at.timestamp_millis();
    let message = match &turn.seen.message {
        Some(key) => ctx.reads.message(key).await?,
        None => None,
    };
    let ending = attempt::<E>(ctx, turn, message.as_ref()).await?;
    if matches!(ending, Ending::Overtaken) {
        return Ok(());
    }
    shared::failpoint::hit("send.after").await;
    let Some(job) = turn.claimed(ctx).await? else { return Ok(()) };
    metrics::histogram!("job_queue_wait_seconds", "queue" => job.queue.as_str())
        .record(waited.max(0) as f64 / 1e3);
    let denied = denied(&ending);
    let waits = matches!(ending, Ending::Parked(Reason::ChannelDisabled | Reason::NeedsOperator));
    if let Some(conclusion) = conclude(ctx, job, ending, E::ATTEMPTS_MAX) {
        write_down(ctx, job, message, channel::<E>(), conclusion, started).await?;
    }
    // Parked first, flagged then: a channel that is repaired in between releases what is parked.
    if let (Some((reason, code)), Some(owner)) = (denied, turn.owner.get())
        && ctx.channels.flag(owner, reason.as_str(), code.as_deref()).await? == Flagging::Outdated
        && let Some(lane) = job.lane.as_deref()
    {
        release_lane(ctx, lane).await?;
    }
    // A channel that came while this was being parked has released what was parked by then.
    if waits
        && let Some(lane) = job.lane.as_deref()
        && has_line::<E>(ctx, job).await?
    {
        release_lane(ctx, lane).await?;
    }
    wake_next(ctx, job).await
}

/// Whether there is a line now by which the job can be sent.
async fn has_line<E: Effect>(ctx: &Context, job: &JobRow) -> Result<bool, StoreError> {
    let (channels, account) = (&ctx.channels, &job.account_id);
    let owner = match channel::<E>() {
        Some(Channel::Whatsapp) => channels.whatsapp(account).await?.map(|line| line.owner.clone()),
        Some(Channel::Sms) => channels.sms(account).await?.map(|line| line.owner.clone()),
        Some(Channel::Guest) => channels.guest(account).await?.map(|line| line.owner.clone()),
        None => None,
    };
    Ok(owner.is_some_and(|owner| !owner.is_flagged()))
}

/// The refusal of a credential: until it is changed, nothing can be sent with it.
fn denied(ending: &Ending) -> Option<(Reason, Option<String>)> {
    let Ending::Answered(outcome) = ending else { return None };
    match outcome.as_ref() {
        SendOutcome::Refused(refusal)
            if refusal.class == Class::NeedsOperator && refusal.scope == Scope::Channel =>
        {
            Some((refusal.reason, refusal.code.clone()))
        }
        _ => None,
    }
}

async fn attempt<E: Effect>(
    ctx: &Context,
    turn: &Turn,
    message: Option<&Message>,
) -> Result<Ending, StoreError> {
    let job = turn.claimed.get().unwrap_or(&turn.seen);
    let thread = match &job.thread {
        Some(key) => ctx.reads.thread(key).await?,
        None => None,
    };
    let (Some(message), Some(thread)) = (message, thread) else {
        tracing::info!("message or thread is gone, nothing to send");
        return Ok(Ending::Needless);
    };
    let sending = Sending { job, message, thread: &thread, ctx, turn };
    let shown = channel::<E>().is_some_and(|channel| sending.shows(channel));
    if shown && message.delivery.as_ref().is_some_and(|d| d.state.proves_arrival()) {
        return Ok(Ending::Needless);
    }
    let mut run = pin!(E::run(ctx, &sending));
    match tokio::time::timeout(SHOW_AFTER, &mut run).await {
        Ok(ending) => ending,
        Err(_) if shown => tokio::join!(run, show_sending(ctx, turn)).0,
        Err(_) => run.await,
    }
}

/// Shows that the request takes its time. A failure to do so fails nothing.
async fn show_sending(ctx: &Context, turn: &Turn) {
    let Some(job) = turn.claimed.get() else { return };
    let news = News::new(job.attempt, DeliveryState::Sending, Time::now());
    if let Err(error) = ctx.deliver(job, &news, None).await {
        tracing::debug!(%error, "not shown as sending");
    }
}

/// The message first, then the ledger: a death in between is healed from the message.
pub(crate) async fn write_down(
    ctx: &Context,
    job: &JobRow,
    mut message: Option<Message>,
    channel: Option<Channel>,
    mut conclusion: Conclusion,
    started: Instant,
) -> Result<(), StoreError> {
    if matches!(conclusion.verdict, Verdict::Unknown { .. })
        && let Some(key) = &job.message
    {
        // A status webhook may be faster than our doubt.
        message = ctx.store.account(&job.account_id).message_by_key(key).await?;
    }
    let was_needless = matches!(&conclusion.verdict, Verdict::Done { provider_id: None });
    let message = message.filter(|_| !was_needless);
    if let Some(message) = message
        && let Some(delivery) = message.delivery.as_ref().filter(|d| Some(d.channel) == channel)
    {
        let settled = delivery.state.proves_arrival()
            || (delivery.state == DeliveryState::Sent && delivery.attempt >= job.attempt);
        let sent = conclusion.news.state == DeliveryState::Sent && channel == Some(Channel::Whatsapp);
        let note = async { if sent { note_sent(ctx, job, conclusion.news.at).await } else { Ok(()) } };
        if settled && matches!(conclusion.verdict, Verdict::Unknown { .. }) {
            conclusion.verdict = Verdict::Done { provider_id: None };
        } else {
            let provider_id = conclusion.provider_id.as_deref();
            let show = ctx.deliver_to(job, message, &conclusion.news, provider_id);
            tokio::try_join!(show, note)?;
        }
    }
    shared::failpoint::hit("send.recorded").await;
    let settled = settle(ctx, job, &conclusion).await?;
    report(job, &conclusion, settled.is_err(), started);
    Ok(())
}

/// Ends the attempt; an accepted one together with others.
async fn settle(
    ctx: &Context,
    job: &JobRow,
    conclusion: &Conclusion,
) -> Result<Result<(), Fenced>, StoreError> {
    if let Verdict::Done { provider_id } = &conclusion.verdict
        && conclusion.trouble == Trouble::default()
    {
        let done = Done { job: job.clone(), provider_id: provider_id.clone() };
        return ctx.writes.settle(done).await;
    }
    ctx.ledger.settle(job, &conclusion.verdict, &conclusion.trouble, Time::now()).await
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
    // The job that ends still has its place in the share, which passes on.
    let (due, share) =
        (Due { id: &next.id, account: next.account_id.as_str() }, ctx.config.dispatcher.account_share);
    let refused = ctx.wakeups.push_fairly(next.queue, &[due], share * 2).await;
    if refused.map_or(true, |refused| !refused.is_empty()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_taken_in_hand_once_until_its_turn_ends() {
        let turns = Turns::default();
        let first = turns.enter("a").expect("nobody is at it");
        assert!(turns.enter("a").is_none());
        assert!(turns.enter("b").is_some());
        drop(first);
        assert!(turns.enter("a").is_some());
    }
}
