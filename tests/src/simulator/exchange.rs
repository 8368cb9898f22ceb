//! One send from its arrival to its end: judged, met by a fault or a limit, accepted, answered or cut.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use hyper::Response;
use hyper::header::LOCATION;

use super::fault::{Action, Answer, Sketch};
use super::judge::{Judged, Refusal, Request};
use super::record::{Accepted, Message, Provider};
use super::reply::{self, Abort, Body, Reply};
use super::statuses::{self, Failure};
use super::traffic::{Delivery, Operation, Outcome, Seen};
use super::{Sim, courier, guest, magic, strict, twilio, whatsapp};

/// How long an answer waits for the first status to be taken.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// A request in progress; dropped undecided (the client left), it says so in the log.
pub(super) struct Exchange<'a> {
    sim: &'a Arc<Sim>,
    provider: Provider,
    path: &'a str,
    n: u64,
}

/// Handles one send. `owner` is the phone number id or account sid of the path.
///
/// # Errors
/// How the connection is to end instead of an answer.
pub(super) async fn send(
    sim: &Arc<Sim>,
    provider: Provider,
    owner: &str,
    request: &Request,
) -> Result<Response<Body>, Abort> {
    let _place = (provider == Provider::Twilio).then(|| sim.limiter.enter_twilio());
    let mut judged = match provider {
        Provider::Whatsapp => whatsapp::judge(&sim.config.whatsapp, owner, request),
        Provider::Twilio => twilio::judge(&sim.config.twilio, owner, request),
        Provider::Guest => guest::judge(&sim.config.guest_secret.0, &sim.record, request),
    };
    strict::complete(sim, provider, &mut judged.message);
    let message = &judged.message;
    let sketch = Sketch {
        provider,
        operation: Operation::Send,
        to: &message.to,
        body: &message.body,
        key: message.key.as_deref(),
    };
    let (fault, action) = pick(sim, &sketch).unzip();
    let exchange = Exchange::open(sim, &sketch, fault, &request.path);
    exchange.decide(judged, owner, action).await
}

/// Handles one request that is no send: `answer` can settle it at once.
///
/// # Errors
/// How the connection is to end instead of an answer.
pub(super) async fn look_up(
    sim: &Arc<Sim>,
    (provider, operation): (Provider, Operation),
    to: &str,
    request: &Request,
    answer: impl FnOnce() -> Result<Reply, Refusal>,
) -> Result<Response<Body>, Abort> {
    let sketch = Sketch { provider, operation, to, body: "", key: None };
    let (fault, action) = sim.faults.pick(&sketch).unzip();
    let exchange = Exchange::open(sim, &sketch, fault, &request.path);
    if let Some(ended) = exchange.before(action.as_ref()).await {
        return ended;
    }
    let reply = match answer() {
        Ok(reply) => reply,
        Err(refusal) => return Ok(exchange.refuse(error_reply(provider, &refusal))),
    };
    exchange.amend(Outcome::Answered, Some(&reply));
    exchange.finish(reply, action.as_ref()).await
}

fn pick(sim: &Sim, sketch: &Sketch<'_>) -> Option<(u64, Action)> {
    let scripted = sim.faults.pick(sketch);
    scripted.or_else(|| {
        let obeyed = sim.settings.read().magic;
        obeyed.then(|| magic::action(sketch.provider, sketch.to, sketch.body))?.map(|action| (0, action))
    })
}

impl<'a> Exchange<'a> {
    fn open(sim: &'a Arc<Sim>, sketch: &Sketch<'_>, fault: Option<u64>, path: &'a str) -> Self {
        let n = sim.seen.push(|n| Seen {
            n,
            at: Utc::now(),
            provider: sketch.provider,
            operation: sketch.operation,
            key: sketch.key.map(str::to_owned),
            outcome: Outcome::Pending,
            status: None,
            code: None,
            accepted: None,
            fault,
        });
        Self { sim, provider: sketch.provider, path, n }
    }

    async fn decide(
        &self,
        judged: Judged,
        owner: &str,
        action: Option<Action>,
    ) -> Result<Response<Body>, Abort> {
        if let Some(ended) = self.before(action.as_ref()).await {
            return ended;
        }
        if let Some(aside) = judged.aside {
            self.amend(Outcome::Answered, Some(&aside));
            return Ok(aside.whole());
        }
        let verdict = match judged.refusal {
            Some(refusal) => strict::Verdict { refusal: Some(refusal), failure: None },
            None => strict::judge(self.sim, self.provider, &judged.message),
        };
        let limited = || self.limit(owner, &judged.message).map(|code| Refusal::code(code, ""));
        if let Some(refusal) = verdict.refusal.or_else(limited) {
            return Ok(self.refuse(error_reply(self.provider, &refusal)));
        }
        let failure = self.failure(action.as_ref(), verdict.failure);
        let accepted = match self.accept(judged.message, failure) {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(%error, "write the record of accepted sends");
                let refusal = Refusal { status: Some(503), ..Refusal::default() };
                return Ok(self.refuse(error_reply(self.provider, &refusal)));
            }
        };
        self.first_status(&accepted).await;
        let reply = match self.provider {
            Provider::Whatsapp => whatsapp::accepted_reply(&accepted),
            Provider::Twilio => twilio::accepted_reply(&accepted),
            Provider::Guest => guest::accepted_reply(&accepted),
        };
        self.sim.seen.amend(self.n, |seen| {
            seen.outcome = Outcome::Accepted;
            seen.accepted = Some(accepted.n);
            seen.status = Some(reply.status);
        });
        self.finish(reply, action.as_ref()).await
    }

    /// Ends the request before anything is accepted, if the fault says so.
    async fn before(&self, action: Option<&Action>) -> Option<Result<Response<Body>, Abort>> {
        match action? {
            Action::HangBefore { ms } => self.sim.pause(*ms).await.err().map(Err),
            Action::ResetBefore => Some(self.cut(Outcome::ResetBefore, Abort::Reset)),
            Action::CloseBefore => Some(self.cut(Outcome::ResetBefore, Abort::Close)),
            Action::Answer(answer) => Some(Ok(self.refuse(scripted_reply(self.provider, answer)))),
            Action::Redirect { location, status } => {
                let reply = Reply::raw(status.unwrap_or(307), "text/plain", Vec::new());
                let location = location.as_deref().unwrap_or(self.path);
                Some(Ok(self.refuse(reply.with_header(LOCATION, location))))
            }
            action @ (Action::Drip { accept: false, .. }
            | Action::Huge { accept: false, .. }
            | Action::Garbage { accept: false }
            | Action::NotHttp { accept: false }) => {
                self.amend(Outcome::BrokenBefore, None);
                let refusal = Refusal { status: Some(500), ..Refusal::default() };
                Some(self.broken(error_reply(self.provider, &refusal), action))
            }
            _ => None,
        }
    }

    fn limit(&self, owner: &str, message: &Message) -> Option<u32> {
        let settings = self.sim.settings.read();
        let now = Instant::now();
        match self.provider {
            Provider::Whatsapp => self.sim.limiter.whatsapp(&settings.limits, owner, &message.to, now),
            Provider::Twilio => self.sim.limiter.twilio(&settings.limits, owner, now),
            Provider::Guest => None,
        }
    }

    /// How the message will fail: as a script says, for what it is, or by lot.
    fn failure(&self, action: Option<&Action>, code: Option<u32>) -> Option<Failure> {
        match action {
            Some(Action::FailStatus { code, status }) => {
                Some(Failure { code: *code, status: status.clone() })
            }
            _ => code
                .map(|code| Failure { code, status: None })
                .or_else(|| statuses::lot(&self.sim.settings.read().statuses, self.provider, self.n)),
        }
    }

    fn accept(&self, message: Message, failure: Option<Failure>) -> std::io::Result<Arc<Accepted>> {
        let steps = statuses::steps(&self.sim.settings.read().statuses, self.provider, failure);
        let record = &self.sim.record;
        let id = |n: u64, message: &Message| match self.provider {
            Provider::Whatsapp => whatsapp::message_id(record.run(), n),
            Provider::Twilio => twilio::message_sid(record.run(), n, message),
            Provider::Guest => guest::event_id(record.run(), n),
        };
        let accepted = record.append(self.provider, message, steps.into(), id)?;
        if self.provider == Provider::Whatsapp {
            self.sim.people.was_answered(&accepted.from, &accepted.to, accepted.at);
        }
        courier::announce(self.sim, &accepted);
        Ok(accepted)
    }

    /// Where the plan wants statuses ahead of the answer: waits until the first was taken.
    async fn first_status(&self, accepted: &Accepted) {
        let plan = self.sim.settings.read().statuses.clone();
        if !plan.before_answer || !plan.enabled || accepted.steps.is_empty() {
            return;
        }
        let mut told = self.sim.deliveries.watch();
        let taken = |told: &[Delivery]| {
            told.iter().rev().any(|one| one.provider_id == accepted.provider_id && one.answer.is_some())
        };
        let waited = async { while !self.sim.deliveries.read(taken) && told.changed().await.is_ok() {} };
        // Nobody there to take it: the answer does not wait for ever.
        let _late = tokio::time::timeout(STATUS_WAIT, waited).await;
    }

    /// Answers what was accepted, unless the fault keeps the answer back or spoils it.
    async fn finish(&self, reply: Reply, action: Option<&Action>) -> Result<Response<Body>, Abort> {
        match action {
            Some(Action::AcceptReset) => self.cut(Outcome::ResetAfter, Abort::Reset),
            Some(Action::AcceptClose) => self.cut(Outcome::ResetAfter, Abort::Close),
            Some(Action::AcceptHang { ms }) => {
                self.amend(Outcome::BrokenAfter, None);
                self.sim.pause(*ms).await?;
                Ok(reply.whole())
            }
            Some(Action::AcceptAnswer(answer)) => {
                let reply = scripted_reply(self.provider, answer);
                self.amend(Outcome::BrokenAfter, Some(&reply));
                Ok(reply.whole())
            }
            Some(Action::Delay { ms }) => {
                self.sim.pause(Some(*ms)).await?;
                Ok(reply.whole())
            }
            Some(
                action @ (Action::Drip { .. }
                | Action::Huge { .. }
                | Action::Garbage { .. }
                | Action::NotHttp { .. }),
            ) => {
                self.amend(Outcome::BrokenAfter, None);
                self.broken(reply, action)
            }
            _ => {
                let delay = self.sim.settings.read().answer_delay();
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                Ok(reply.whole())
            }
        }
    }

    fn broken(&self, reply: Reply, action: &Action) -> Result<Response<Body>, Abort> {
        match action {
            Action::Drip { interval_ms, .. } => Ok(reply.dripped(Duration::from_millis(*interval_ms))),
            Action::Huge { bytes, .. } => Ok(reply::huge(*bytes)),
            Action::Garbage { .. } => Ok(reply::garbage()),
            _ => Err(Abort::NotHttp),
        }
    }

    fn refuse(&self, reply: Reply) -> Response<Body> {
        self.amend(Outcome::Refused, Some(&reply));
        reply.whole()
    }

    fn cut(&self, outcome: Outcome, abort: Abort) -> Result<Response<Body>, Abort> {
        self.amend(outcome, None);
        Err(abort)
    }

    fn amend(&self, outcome: Outcome, reply: Option<&Reply>) {
        self.sim.seen.amend(self.n, |seen| {
            seen.outcome = outcome;
            seen.status = reply.map(|reply| reply.status);
            seen.code = reply.and_then(|reply| reply.code);
        });
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.sim.seen.amend(self.n, |seen| {
            if seen.outcome == Outcome::Pending {
                seen.outcome = Outcome::ClientGone;
            }
        });
    }
}

fn error_reply(provider: Provider, refusal: &Refusal) -> Reply {
    match provider {
        Provider::Whatsapp => whatsapp::error_reply(refusal),
        Provider::Twilio => twilio::error_reply(refusal),
        Provider::Guest => guest::error_reply(refusal),
    }
}

fn scripted_reply(provider: Provider, answer: &Answer) -> Reply {
    let refusal = Refusal { status: answer.status, code: answer.code, detail: String::new() };
    error_reply(provider, &refusal)
        .with_retry_after(answer.retry_after.as_deref())
        .with_body(answer.body.as_deref())
}
