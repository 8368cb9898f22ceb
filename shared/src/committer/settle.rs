//! Taking a batch to its end: commit it whole, or divide it until every member has its own answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use super::plan::Plan;
use super::txn::Ended;
use super::{Inner, Member, PostError, Posted};
use crate::domain::message::Message;
use crate::failpoint;
use crate::store::StoreError;

/// First pause between tries; doubles up to [`PAUSE_MAX`], with full jitter.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// How a batch is to be tried next.
enum Next {
    /// The same members together, on fresh reads.
    Together(Vec<Member>),
    /// The members of each thread by themselves.
    ByThread(Vec<Member>),
    /// One by one, looking at every id.
    OneByOne(Vec<Member>),
    /// The same members together, looking at every id: some may be there already.
    InDoubt(Vec<Member>),
    Over,
}

impl Inner {
    /// Answers every member of `batch`.
    pub(super) async fn settle(&self, batch: Vec<Member>) {
        let mut piles = vec![(batch, 0_u32, false)];
        while let Some((members, tries, all_ids)) = piles.pop() {
            let members = self.in_time(members);
            if members.is_empty() {
                continue;
            }
            if tries > 0 {
                metrics::counter!("ingest_txn_retries_total").increment(1);
                tokio::time::sleep(pause(tries)).await;
            }
            let (next, deferred) = self.attempt(members, tries, all_ids).await;
            // Deferred members wait for the ids of this batch to be settled.
            if !deferred.is_empty() {
                piles.push((deferred, 0, true));
            }
            match next {
                Next::Together(members) => piles.push((members, tries + 1, all_ids)),
                Next::ByThread(members) => {
                    piles.extend(by_thread(members).into_iter().map(|pile| (pile, tries + 1, all_ids)));
                }
                Next::OneByOne(members) => {
                    // The last pile is taken first: keep the members in their order.
                    piles.extend(members.into_iter().rev().map(|member| (vec![member], tries + 1, true)));
                }
                Next::InDoubt(members) => piles.push((members, tries + 1, true)),
                Next::Over => {}
            }
        }
    }

    /// Those whose deadline has not passed; the others are told so.
    fn in_time(&self, members: Vec<Member>) -> Vec<Member> {
        let now = Instant::now();
        let (in_time, late): (Vec<_>, Vec<_>) = members.into_iter().partition(|m| m.deadline > now);
        for mut member in late {
            member.answer(Err(PostError::Away));
        }
        in_time
    }

    async fn attempt(&self, members: Vec<Member>, tries: u32, all_ids: bool) -> (Next, Vec<Member>) {
        let members = match self.without_repeats(members, all_ids).await {
            Ok(members) => members,
            Err((members, error)) => return (after_read_error(members, &error), Vec::new()),
        };
        if members.is_empty() {
            return (Next::Over, Vec::new());
        }
        let threads = match self.threads(&members, tries == 0).await {
            Ok(threads) => threads,
            Err(error) => return (after_read_error(members, &error), Vec::new()),
        };
        let mut plan = match self.plan(members, threads).await {
            Ok(plan) => plan,
            Err((members, error)) => return (after_read_error(members, &error), Vec::new()),
        };
        let deferred = std::mem::take(&mut plan.deferred);
        if plan.members.is_empty() {
            return (Next::Over, deferred);
        }
        let started = Instant::now();
        let ended = self.transact(&plan).await;
        metrics::histogram!("ingest_txn_seconds").record(started.elapsed().as_secs_f64());
        metrics::histogram!("ingest_txn_messages").record(plan.members.len() as f64);
        (self.conclude(plan, ended).await, deferred)
    }

    async fn conclude(&self, plan: Plan, ended: Ended) -> Next {
        match ended {
            Ended::Committed => {
                self.publish(plan).await;
                return Next::Over;
            }
            Ended::InDoubt(error) => {
                tracing::warn!(%error, messages = plan.members.len(), "commit result unknown; reading the ids back");
                if self.was_committed(&plan).await {
                    self.publish(plan).await;
                    return Next::Over;
                }
            }
            // One member's fault must not be the others'.
            Ended::Failed(_) if plan.members.len() > 1 => return self.again(plan, Next::OneByOne),
            Ended::Failed(error) => {
                tracing::error!(%error, "commit refused");
                for (mut member, _) in plan.members {
                    self.threads.remove(&member.thread_key);
                    member.answer(Err(PostError::from(&error)));
                }
                return Next::Over;
            }
            Ended::Transient(error) => {
                tracing::debug!(%error, "transaction is to be repeated");
                return self.again(plan, Next::Together);
            }
            Ended::Moved => return self.again(plan, Next::ByThread),
            Ended::Duplicate => return self.again(plan, Next::OneByOne),
        }
        let mut plan = plan;
        for (member, _) in &mut plan.members {
            member.in_doubt = true;
        }
        self.again(plan, Next::InDoubt)
    }

    fn again(&self, plan: Plan, how: fn(Vec<Member>) -> Next) -> Next {
        for key in plan.threads.keys() {
            self.threads.remove(key);
        }
        how(plan.members.into_iter().map(|(member, _)| member).collect())
    }

    /// Whether every message of `plan` is there as planned. One would not be enough, nor its content: its client may
    /// have come again through another process and found the same place in the thread.
    async fn was_committed(&self, plan: &Plan) -> bool {
        let keys: Vec<&str> = plan.members.iter().map(|(member, _)| member.message_key.as_str()).collect();
        let Ok(found) = self.patiently(self.store.messages_by_key(&keys)).await else {
            return false; // tried again until the deadline; the ids make that harmless
        };
        let is_there = |planned: &Message| {
            let ours = |m: &Message| m.seq == planned.seq && m.created_at == planned.created_at;
            found.iter().any(|m| m.key == planned.key && m.content_hash == planned.content_hash && ours(m))
        };
        plan.members.iter().all(|(_, commit)| is_there(&commit.message))
    }

    /// After the commit: cache, answers, wake-ups, those who watch.
    async fn publish(&self, plan: Plan) {
        failpoint::hit("commit.after_commit").await;
        let mut threads = HashMap::with_capacity(plan.threads.len());
        for (key, planned) in plan.threads {
            let thread = Arc::new(planned.after);
            self.threads.insert(key.clone(), Arc::clone(&thread));
            threads.insert(key, thread);
        }
        let mut watched = Vec::new();
        for (mut member, commit) in plan.members {
            if !self.live.is_silent() {
                watched.push(commit.message.clone());
            }
            member.answer(Ok(Posted::New(commit.message)));
        }
        failpoint::hit("commit.before_push").await;
        // What is not due yet is left to the dispatcher.
        let due = plan.jobs.into_iter().filter(|job| job.due_at <= job.created_at);
        self.pusher.push(due);
        self.announce(&threads, watched);
    }
}

fn after_read_error(members: Vec<Member>, error: &StoreError) -> Next {
    if error.is_away() {
        return Next::Together(members);
    }
    tracing::error!(%error, "cannot read what a commit depends on");
    for mut member in members {
        member.answer(Err(PostError::Internal));
    }
    Next::Over
}

fn by_thread(members: Vec<Member>) -> Vec<Vec<Member>> {
    let mut piles: Vec<Vec<Member>> = Vec::new();
    for member in members {
        match piles.iter_mut().find(|pile| pile[0].thread_key == member.thread_key) {
            Some(pile) => pile.push(member),
            None => piles.push(vec![member]),
        }
    }
    piles
}

pub(super) fn pause(tries: u32) -> Duration {
    let most = PAUSE.saturating_mul(1 << tries.min(10)).min(PAUSE_MAX);
    most.mul_f64(rand::rng().random_range(0.0..1.0))
}
