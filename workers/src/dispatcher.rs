//! The dispatcher: pushes what is due into Redis, takes back what died, ends what waited enough.
//!
//! One runs in every workers process; one of them leads, by a lease in MongoDB on the store's clock. All it does
//! is safe to do twice, so that two leaders for a moment are harmless. Failpoints: `dispatch.pushed`,
//! `dispatch.before_push`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use shared::config::UnknownPolicy;
use shared::domain::delivery::{DeliveryState, News, Reason};
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{JobRow, Recovered};
use shared::queue::{Due, Queue, QueueError};
use shared::store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::effect::wake_next;
use crate::registry::Registry;

/// Ids pushed to one queue at a time.
const PUSH_MAX: usize = 2_000;
/// The same for jobs with an effect, of which a turn pushes few: what is refused is written.
const PUSH_EFFECTS_MAX: usize = 256;
/// How long a job is left alone whose account has its share of the stream.
const HELD_BACK: Duration = Duration::from_millis(500);
/// Between two turns while some were held back.
const CROWDED: Duration = Duration::from_millis(50);
/// Jobs taken back or ended in one turn.
const SWEEP_MAX: usize = 500;
/// How often the gauges are counted.
const SURVEY: Duration = Duration::from_secs(5);
const LEASE: &str = "dispatcher";

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Redis(#[from] QueueError),
}

/// Runs until `stop`, whatever fails.
pub async fn run(ctx: Context, registry: Registry, stop: CancellationToken) {
    let dispatcher = Dispatcher { ctx, registry };
    let mut surveyed: Option<Instant> = None;
    while !stop.is_cancelled() {
        let left = dispatcher.turn(&mut surveyed).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "dispatch failed; going on");
            Left::Nothing
        });
        let tick = dispatcher.ctx.config.dispatcher.tick;
        let pause = match left {
            Left::More => continue,
            Left::HeldBack => CROWDED.min(tick),
            Left::Nothing => tick,
        };
        tokio::select! { () = tokio::time::sleep(pause) => {}, () = stop.cancelled() => {} }
    }
    if let Err(error) = dispatcher.ctx.ledger.resign(LEASE, &dispatcher.ctx.process).await {
        tracing::debug!(%error, "the lease runs out by itself");
    }
}

/// What a turn leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Nothing,
    /// Jobs whose account has its share of the stream.
    HeldBack,
    More,
}

impl From<bool> for Left {
    fn from(more: bool) -> Self {
        if more { Self::More } else { Self::Nothing }
    }
}

struct Dispatcher {
    ctx: Context,
    registry: Registry,
}

impl Dispatcher {
    /// One look; answers what is left.
    async fn turn(&self, surveyed: &mut Option<Instant>) -> Result<Left, Trouble> {
        let ctx = &self.ctx;
        let lead = ctx.ledger.lead(LEASE, &ctx.process, ctx.config.dispatcher.lease).await?;
        metrics::gauge!("dispatch_leader").set(if lead.is_some() { 1.0 } else { 0.0 });
        let Some(now) = lead else { return Ok(Left::Nothing) };
        let mut more = self.recover(now).await?;
        more |= self.end_grace(now).await?;
        more |= self.expire(now).await?;
        if surveyed.is_none_or(|at| at.elapsed() >= SURVEY) {
            *surveyed = Some(Instant::now());
            self.survey(now).await?;
        }
        self.notice_loss().await?;
        let mut left = Left::from(more);
        for queue in Queue::ALL {
            left = left.max(self.push(queue, now).await?);
        }
        Ok(left)
    }

    /// A missing marker says that Redis lost its data: everything is pushed again.
    async fn notice_loss(&self) -> Result<(), Trouble> {
        if self.ctx.wakeups.marker_present().await? {
            return Ok(());
        }
        let jobs = self.ctx.ledger.forget_pushes().await?;
        self.ctx.wakeups.set_marker().await?;
        metrics::counter!("redis_rebuild_total").increment(1);
        tracing::info!(jobs, "redis is empty, waiting jobs are pushed again");
        Ok(())
    }

    async fn push(&self, queue: Queue, now: Time) -> Result<Left, Trouble> {
        let most = if queue.has_effects() { PUSH_EFFECTS_MAX } else { PUSH_MAX };
        let room = self.ctx.wakeups.room(queue).await?;
        let due = self.ctx.ledger.due(queue, room.min(most), now).await?;
        if due.is_empty() {
            return Ok(Left::Nothing);
        }
        shared::failpoint::hit("dispatch.before_push").await;
        let refused = self.push_to(queue, &due).await?;
        shared::failpoint::hit("dispatch.pushed").await;
        let (back, pushed): (Vec<&str>, Vec<&str>) =
            due.iter().map(|d| d.id.as_str()).partition(|id| refused.contains(*id));
        // Pushed first, then marked: a death in between pushes twice, never not at all.
        self.ctx.ledger.mark_pushed(&pushed, self.ctx.config.dispatcher.push_again).await?;
        // Their account has its share: others, that are behind them in the order, come first.
        self.ctx.ledger.mark_pushed(&back, HELD_BACK).await?;
        metrics::counter!("dispatched_total", "queue" => queue.as_str()).increment(pushed.len() as u64);
        Ok(if !back.is_empty() { Left::HeldBack } else { (due.len() == most).into() })
    }

    /// Pushes `due`; answers the ids that are to come again.
    async fn push_to(&self, queue: Queue, due: &[shared::ledger::Due]) -> Result<HashSet<String>, Trouble> {
        if queue.has_effects() {
            let jobs: Vec<Due<'_>> =
                due.iter().map(|d| Due { id: &d.id, account: d.account_id.as_str() }).collect();
            let share = self.ctx.config.dispatcher.account_share;
            return Ok(self.ctx.wakeups.push_fairly(queue, &jobs, share).await?.into_iter().collect());
        }
        let ids: Vec<&str> = due.iter().map(|d| d.id.as_str()).collect();
        let accepted = self.ctx.wakeups.push(queue, &ids).await?;
        Ok(ids[accepted..].iter().map(|id| (*id).to_owned()).collect())
    }

    async fn recover(&self, now: Time) -> Result<bool, Trouble> {
        for _ in 0..SWEEP_MAX {
            let grace = self.ctx.config.delivery.unknown_grace;
            let idempotent = |name: &str| self.registry.is_idempotent(name);
            let Some(recovered) = self.ctx.ledger.recover_one(idempotent, grace, now).await? else {
                return Ok(false);
            };
            metrics::counter!("job_recovered_total", "cause" => "lease").increment(1);
            match recovered {
                Recovered::Requeued(job) => {
                    tracing::warn!(job.id = %job.id, job.name = %job.name, "its worker is gone; queued again");
                }
                Recovered::Unknown(job) => {
                    self.show_lost(&job, DeliveryState::Unknown, Reason::OutcomeUnknown).await?
                }
                Recovered::Poison(job) => {
                    metrics::counter!("job_poison_total", "queue" => job.queue.as_str()).increment(1);
                    self.show_lost(&job, DeliveryState::Failed, Reason::NeedsOperator).await?;
                    wake_next(&self.ctx, &job).await?;
                }
            }
        }
        Ok(true)
    }

    /// The message of a job whose worker is gone tells what is known: that it was sent after all, or the doubt.
    async fn show_lost(&self, job: &JobRow, state: DeliveryState, reason: Reason) -> Result<(), Trouble> {
        tracing::warn!(job.id = %job.id, job.name = %job.name, state = state.as_str(), "its worker is gone");
        if self.was_sent(job).await? {
            return Ok(());
        }
        let news = News::new(job.attempt, state, Time::now()).because(Some(reason), None);
        self.ctx.deliver(job, &news, None).await?;
        Ok(())
    }

    /// Ends a job whose message was sent, by what the message itself says.
    async fn was_sent(&self, job: &JobRow) -> Result<bool, Trouble> {
        let Some(key) = &job.message else { return Ok(false) };
        let Some(message) = self.ctx.store.account(&job.account_id).message_by_key(key).await? else {
            return Ok(false);
        };
        let Some(delivery) = &message.delivery else { return Ok(false) };
        let own_channel = job.lane.as_deref().is_some_and(|lane| lane.starts_with(delivery.channel.as_str()));
        let sent = delivery.state.proves_arrival()
            || (delivery.state == DeliveryState::Sent && delivery.attempt == job.attempt);
        if !own_channel || !sent {
            return Ok(false);
        }
        self.ctx.ledger.prove(&job.id, message.external_message_id.as_deref(), Time::now()).await?;
        wake_next(&self.ctx, job).await?;
        Ok(true)
    }

    /// Ends what was parked for too long: nobody came to release it.
    async fn expire(&self, now: Time) -> Result<bool, Trouble> {
        let max = i64::try_from(self.ctx.config.delivery.parked_max.as_millis()).unwrap_or(i64::MAX);
        for _ in 0..SWEEP_MAX {
            let Some(job) = self.ctx.ledger.expire_parked(plus_millis(now, -max)).await? else {
                return Ok(false);
            };
            metrics::counter!("job_expired_total", "queue" => job.queue.as_str()).increment(1);
            tracing::info!(job.id = %job.id, job.name = %job.name, "parked for too long");
            let news = News::new(job.attempt, DeliveryState::Failed, Time::now());
            self.ctx.deliver(&job, &news.because(Some(Reason::Expired), None), None).await?;
            wake_next(&self.ctx, &job).await?;
        }
        Ok(true)
    }

    async fn end_grace(&self, now: Time) -> Result<bool, Trouble> {
        for _ in 0..SWEEP_MAX {
            let Some(job) = self.ctx.ledger.grace_ended(now).await? else { return Ok(false) };
            let resend = self.policy_of(&job).await? == UnknownPolicy::ResendOnce;
            let Some(job) = self.ctx.ledger.end_grace_of(&job, resend).await? else { continue };
            if !self.was_sent(&job).await? {
                tracing::warn!(job.id = %job.id, resend = job.resends > 0, "no proof of the outcome arrived in time");
                wake_next(&self.ctx, &job).await?;
            }
        }
        Ok(true)
    }

    /// What the account wants after an unknown outcome, by the line that it sends by.
    async fn policy_of(&self, job: &JobRow) -> Result<UnknownPolicy, Trouble> {
        let (channels, account) = (&self.ctx.channels, &job.account_id);
        let own = match job.queue {
            Queue::Whatsapp => channels.whatsapp(account).await?.and_then(|line| line.owner.unknown_policy),
            Queue::Sms => channels.sms(account).await?.and_then(|line| line.owner.unknown_policy),
            _ => None,
        };
        Ok(own.unwrap_or(self.ctx.config.delivery.unknown_policy))
    }

    async fn survey(&self, now: Time) -> Result<(), Trouble> {
        let depths = self.ctx.ledger.depths().await?;
        for queue in Queue::ALL {
            for state in ["queued", "running", "parked", "unknown", "dead"] {
                let found = depths.iter().find(|d| d.queue == queue && d.state.as_str() == state);
                let count = found.map_or(0, |d| d.count);
                metrics::gauge!("outbox_jobs", "queue" => queue.as_str(), "state" => state).set(count as f64);
                if state == "queued" {
                    let age =
                        found.map_or(0, |d| now.timestamp_millis() - d.oldest.timestamp_millis()).max(0);
                    metrics::gauge!("outbox_oldest_age_seconds", "queue" => queue.as_str())
                        .set(age as f64 / 1e3);
                }
            }
        }
        Ok(())
    }
}
