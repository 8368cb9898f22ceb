//! What the outbound jobs have in common: recipient, circuit, the mark before the request, and the translation of
//! a provider's answer into delivery news and a ledger verdict.

use std::time::{Duration, Instant};

use shared::channels::Owner;
use shared::domain::contact::{Contact, Exchange};
use shared::domain::delivery::{Channel, DeliveryState, News, Reason};
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{Attempt, JobRow, PACED, Trouble, Verdict};
use shared::providers::{Class, Permit, Phone, Refusal, Scope, SendOutcome};
use shared::queue::Pace;
use shared::store::{Sighting, StoreError};

use crate::context::Context;
use crate::jobs::Sending;

/// A place in a pace that comes so soon is waited for: shorter than writing down that the job comes later.
const SOON: Duration = Duration::from_millis(250);

/// How a run of an effect ended.
#[derive(Debug)]
pub enum Ending {
    /// The provider answered, or did not.
    Answered(Box<SendOutcome>),
    /// Nothing was tried: it waits for an event or a person.
    Parked(Reason),
    /// Nothing was tried, and it never will be.
    Hopeless(Reason),
    /// Nothing was tried now; costs no attempt.
    Deferred { until: Time, class: &'static str },
    /// There is nothing to do.
    Needless,
    /// There is nothing to do, for a reason that the timeline shows.
    Skipped(&'static str),
    /// The job was taken away meanwhile.
    Overtaken,
}

impl Ending {
    /// Waits for an event or a person.
    pub fn park(reason: Reason) -> Self {
        Self::Parked(reason)
    }
}

/// What is written down about an ending.
#[derive(Debug)]
pub struct Conclusion {
    pub verdict: Verdict,
    pub trouble: Trouble,
    /// For the message's delivery, if it shows this channel.
    pub news: News,
    pub provider_id: Option<String>,
}

impl Sending<'_> {
    /// The guest's phone by the thread's reservation, or how the job ends without one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guest_phone(&self) -> Result<Result<Phone, Ending>, StoreError> {
        let Some(id) = &self.thread.reservation_id else {
            return Ok(Err(Ending::Hopeless(Reason::NoRecipient)));
        };
        let key = shared::domain::ids::key(&self.thread.account_id, id);
        let reservation = self.ctx.reads.reservation(&key).await?;
        let Some(phone) = reservation.and_then(|r| r.guest_phone) else {
            return Ok(Err(Ending::Hopeless(Reason::NoRecipient)));
        };
        Ok(phone.parse::<Phone>().map_err(|_| Ending::Hopeless(Reason::InvalidRecipient)))
    }

    /// Leave to use `credential`, or until when it is left alone.
    ///
    /// # Errors
    /// The ending for an open circuit.
    pub fn pass_circuit(&self, credential: &str) -> Result<Permit, Ending> {
        let now = Instant::now();
        self.ctx.providers.circuits.try_acquire(credential, now).map_err(|retry_at| {
            let wait = retry_at.0.saturating_duration_since(now).max(Duration::from_millis(100));
            Ending::Deferred { until: after(wait), class: "circuit_open" }
        })
    }

    /// Tells the circuit of `credential` how the call went.
    pub fn learn(&self, credential: &str, permit: Permit, outcome: &SendOutcome) {
        self.ctx.providers.circuits.record(credential, permit, outcome.verdict(), Instant::now());
    }

    /// Waits for a place in `paces`, where it comes soon; a later one is taken all the same, and the job comes back
    /// for it.
    ///
    /// # Errors
    /// The ending for a place that comes later.
    pub async fn keep_pace(&self, paces: &[Pace]) -> Result<(), Ending> {
        if self.job.paced {
            return Ok(());
        }
        let wait = self.ctx.pacer.take(paces).await;
        if wait > SOON {
            return Err(Ending::Deferred { until: after(wait), class: PACED });
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Slows down what the provider calls too fast, for all that send by `line`, or to one person.
    pub async fn learn_pace(&self, line: &Pace, pair: Option<&Pace>, outcome: &SendOutcome) {
        let SendOutcome::Refused(refusal) = outcome else { return };
        if refusal.class != Class::WaitUntil {
            return;
        }
        let base = self.ctx.config.retry.base;
        let wait = refusal.rule.delay(1, refusal.retry_after, chrono::Utc::now(), base, &mut rand::rng());
        match (refusal.scope, pair) {
            (Scope::Number | Scope::Channel, _) => self.ctx.pacer.hold(&line.name, wait, true).await,
            (Scope::Pair, Some(pair)) => self.ctx.pacer.hold(&pair.name, wait, false).await,
            _ => {}
        }
    }

    /// Claims the job for the request that is about to be written, unless it is claimed already, and marks the
    /// attempt as sending: from here on a death of this process leaves the outcome unknown. Answers the job as
    /// claimed, or `None` when it was taken away.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self) -> Result<Option<&JobRow>, StoreError> {
        shared::failpoint::hit("send.before").await;
        self.turn.begin(self.ctx).await
    }

    /// Whether the message's `delivery` speaks of `channel`: that of a phone message does not speak of its forward.
    pub fn shows(&self, channel: Channel) -> bool {
        self.message.delivery.as_ref().is_some_and(|d| d.channel == channel)
    }

    /// Notes that the thread spoke with `phone` last, where that is news: the answer comes to it. `known` is the
    /// contact as it was read, `recipient_id` what the provider calls it. A failure to do so fails nothing.
    pub async fn note_exchange(
        &self,
        owner: &Owner,
        line: &str,
        phone: &Phone,
        known: Option<Contact>,
        recipient_id: Option<&str>,
    ) {
        let (account, thread) = (&self.thread.account_id, &self.thread.thread_id);
        let last = known.as_ref().and_then(|contact| contact.last_exchange.as_ref());
        if last.is_some_and(|last| last.account == *account && last.thread == *thread) {
            return;
        }
        let now = Time::now();
        let noted = async {
            let form = recipient_id.filter(|id| *id != phone.digits());
            let who = Sighting { phone: Some(phone.expose()), provider_form: form, ..Sighting::default() };
            let store = &self.ctx.store;
            let contact = match known {
                Some(contact) if form.is_none() => contact,
                _ => store.meet_contact(&owner.of_contacts(), line, who, None, now).await?,
            };
            let exchange = Exchange { account: account.clone(), thread: thread.clone(), at: now };
            store.note_exchange(&contact.id, &exchange).await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "not noted with whom the contact spoke last");
        }
    }
}

/// What an ending means for the ledger and the message.
pub fn conclude(ctx: &Context, job: &JobRow, ending: Ending, attempts_max: u32) -> Option<Conclusion> {
    let now = Time::now();
    let quiet = |verdict, state, reason| Conclusion {
        verdict,
        trouble: Trouble::default(),
        news: News::new(job.attempt, state, now).because(reason, None),
        provider_id: None,
    };
    Some(match ending {
        Ending::Overtaken => return None,
        Ending::Needless => quiet(Verdict::Done { provider_id: None }, DeliveryState::Queued, None),
        Ending::Skipped(why) => Conclusion {
            trouble: Trouble { class: Some(why.to_owned()), ..Trouble::default() },
            ..quiet(Verdict::Done { provider_id: None }, DeliveryState::Queued, None)
        },
        Ending::Parked(reason) => quiet(Verdict::Park { reason }, DeliveryState::Parked, Some(reason)),
        Ending::Hopeless(reason) => quiet(Verdict::Dead { reason }, DeliveryState::Failed, Some(reason)),
        Ending::Deferred { until, class } => Conclusion {
            trouble: Trouble { class: Some(class.to_owned()), ..Trouble::default() },
            ..quiet(Verdict::Retry { due_at: until, counts: false }, DeliveryState::Queued, None)
        },
        Ending::Answered(outcome) => answered(ctx, job, *outcome, attempts_max, now),
    })
}

fn answered(ctx: &Context, job: &JobRow, outcome: SendOutcome, attempts_max: u32, now: Time) -> Conclusion {
    match outcome {
        SendOutcome::Accepted { provider_id, .. } => Conclusion {
            verdict: Verdict::Done { provider_id: Some(provider_id.clone()) },
            trouble: Trouble::default(),
            news: News::new(job.attempt, DeliveryState::Sent, now),
            provider_id: Some(provider_id),
        },
        SendOutcome::Unknown { cause, code, alarm, .. } => {
            raise_alarm(alarm, code.as_deref(), job);
            metrics::counter!("delivery_unknown_total", "queue" => job.queue.as_str()).increment(1);
            let grace = ctx.config.delivery.unknown_grace;
            Conclusion {
                verdict: Verdict::Unknown { grace_until: after(grace) },
                trouble: Trouble {
                    class: Some(Class::Unknown.as_str().to_owned()),
                    provider_code: code.clone(),
                    text: Some(cause.as_str().to_owned()),
                },
                news: News::new(job.attempt, DeliveryState::Unknown, now)
                    .because(Some(Reason::OutcomeUnknown), code),
                provider_id: None,
            }
        }
        SendOutcome::Refused(refusal) => refused(ctx, job, refusal, attempts_max, now),
    }
}

fn refused(ctx: &Context, job: &JobRow, refusal: Refusal, attempts_max: u32, now: Time) -> Conclusion {
    raise_alarm(refusal.alarm, refusal.code.as_deref(), job);
    // A wait costs no attempt, yet waits for the same reason grow and may end.
    let counted = match refusal.class {
        Class::WaitUntil => waits_before(&job.attempts, refusal.code.as_deref()) + 1,
        _ => job.attempt_count.unsigned_abs() + 1,
    };
    let age =
        Duration::from_millis((now.timestamp_millis() - job.created_at.timestamp_millis()).max(0) as u64);
    let mut class = refusal.rule.class_after(counted, age);
    if class == Class::Retry && counted >= attempts_max {
        class = Class::Permanent;
    }
    let trouble = Trouble {
        class: Some(class.as_str().to_owned()),
        provider_code: refusal.code.clone(),
        text: Some(refusal.detail.clone()),
    };
    let wait = refusal.rule.delay(
        counted.max(1),
        refusal.retry_after,
        chrono::Utc::now(),
        ctx.config.retry.base,
        &mut rand::rng(),
    );
    let reason = refusal.reason;
    let (verdict, state) = match class {
        Class::Retry => (Verdict::Retry { due_at: after(wait), counts: true }, DeliveryState::Queued),
        Class::WaitUntil => (Verdict::Retry { due_at: after(wait), counts: false }, DeliveryState::Queued),
        Class::NeedsTemplate => (Verdict::Park { reason: Reason::NeedsTemplate }, DeliveryState::Parked),
        Class::NeedsOperator => (Verdict::Park { reason }, DeliveryState::Parked),
        Class::Permanent => (Verdict::Dead { reason }, DeliveryState::Failed),
        Class::Unknown => (
            Verdict::Unknown { grace_until: after(ctx.config.delivery.unknown_grace) },
            DeliveryState::Unknown,
        ),
    };
    let shown_reason = (state != DeliveryState::Queued).then_some(reason);
    Conclusion {
        verdict,
        trouble,
        news: News::new(job.attempt, state, now).because(shown_reason, refusal.code),
        provider_id: None,
    }
}

/// How many attempts in a row have ended in the same wait.
pub(crate) fn waits_before(attempts: &[Attempt], code: Option<&str>) -> u32 {
    let ended = attempts.iter().rev().filter(|attempt| attempt.outcome.is_some());
    let same = ended.take_while(|attempt| {
        attempt.error_class.as_deref() == Some(Class::WaitUntil.as_str())
            && attempt.provider_error_code.as_deref() == code
    });
    u32::try_from(same.count()).unwrap_or(u32::MAX)
}

pub(crate) fn raise_alarm(alarm: bool, code: Option<&str>, job: &JobRow) {
    if alarm {
        metrics::counter!("provider_alarm_total", "queue" => job.queue.as_str()).increment(1);
        tracing::error!(job.id = %job.id, provider.code = code, "the provider's answer needs a look");
    }
}

pub(crate) fn after(wait: Duration) -> Time {
    plus_millis(Time::now(), i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use shared::ledger::AttemptOutcome;

    use super::*;

    fn waited(code: &str) -> Attempt {
        Attempt {
            attempt: 1,
            started_at: Time::from_millis(0),
            sending_at: None,
            finished_at: None,
            outcome: Some(AttemptOutcome::Retry),
            error_class: Some("wait_until".to_owned()),
            provider_error_code: Some(code.to_owned()),
            next_attempt_at: None,
            worker: "w".to_owned(),
            replayed_by: None,
        }
    }

    #[test]
    fn only_waits_in_a_row_for_the_same_code_count() {
        let running = Attempt { outcome: None, error_class: None, provider_error_code: None, ..waited("x") };
        let attempts = [waited("131056"), waited("130429"), waited("131056"), waited("131056"), running];
        assert_eq!(waits_before(&attempts, Some("131056")), 2);
        assert_eq!(waits_before(&attempts, Some("130429")), 0);
        assert_eq!(waits_before(&[], Some("131056")), 0);
    }
}
