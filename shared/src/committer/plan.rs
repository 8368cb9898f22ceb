//! Planning a batch: run the pure core for each member, several posts of one thread folding into one state.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Inner, Member, PostError, Posted};
use crate::domain::actor::Roles;
use crate::domain::ids::{AccountId, Uid};
use crate::domain::post::{Commit, post};
use crate::domain::thread::{Thread, add_distinct};
use crate::domain::time::{Time, plus_millis};
use crate::ledger::JobRow;
use crate::queue::Queue;
use crate::store::{IdempotencyRow, StoreError, Subject};

/// A thread of the batch: as it was read, and as it will be.
pub(super) struct Planned {
    pub(super) before: Arc<Thread>,
    pub(super) after: Thread,
}

/// What one transaction writes.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) threads: HashMap<String, Planned>,
    pub(super) members: Vec<(Member, Commit)>,
    pub(super) jobs: Vec<JobRow>,
    pub(super) idempotency: Vec<IdempotencyRow>,
    /// Members that must wait for this batch: they use an id that is in it.
    pub(super) deferred: Vec<Member>,
}

/// Threads of a batch and whether each was just read.
pub(super) struct Threads {
    known: HashMap<String, Arc<Thread>>,
    fresh: HashSet<String>,
}

impl Threads {
    pub(super) fn get(&self, key: &str) -> Option<&Arc<Thread>> {
        self.known.get(key)
    }
}

impl Inner {
    /// The threads of `members`, from the cache where `cached` allows it.
    pub(super) async fn threads(&self, members: &[Member], cached: bool) -> Result<Threads, StoreError> {
        let keys: HashSet<&str> = members.iter().map(|m| m.thread_key.as_str()).collect();
        let mut threads = Threads { known: HashMap::new(), fresh: HashSet::new() };
        let mut missing = Vec::new();
        for key in keys {
            match self.threads.get(key).filter(|_| cached) {
                Some(thread) => drop(threads.known.insert(key.to_owned(), thread)),
                None => missing.push(key.to_owned()),
            }
        }
        self.read_threads(&mut threads, missing).await?;
        Ok(threads)
    }

    async fn read_threads(&self, threads: &mut Threads, keys: Vec<String>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        for thread in self.patiently(self.store.threads_by_key(&keys)).await? {
            let thread = Arc::new(thread);
            self.threads.insert(thread.key.clone(), Arc::clone(&thread));
            threads.known.insert(thread.key.clone(), thread);
        }
        for key in keys {
            if !threads.known.contains_key(&key) {
                self.threads.remove(&key);
            }
            threads.fresh.insert(key);
        }
        Ok(())
    }

    /// Decides on every member. Those refused are answered, those that use an id of the batch are deferred.
    ///
    /// A refusal computed from a cached thread is computed again on a fresh read before it is answered.
    pub(super) async fn plan(
        &self,
        members: Vec<Member>,
        mut threads: Threads,
    ) -> Result<Plan, (Vec<Member>, StoreError)> {
        let mut roles = match self.roles(&members, &threads).await {
            Ok(roles) => roles,
            Err(error) => return Err((members, error)),
        };
        let stale = self.stale_refusals(&members, &threads, &roles);
        if !stale.is_empty() {
            for key in &stale {
                threads.known.remove(key);
            }
            let read = self.read_threads(&mut threads, stale).await;
            let reread = match read {
                Ok(()) => self.roles(&members, &threads).await,
                Err(error) => Err(error),
            };
            roles = match reread {
                Ok(roles) => roles,
                Err(error) => return Err((members, error)),
            };
        }
        let mut plan = Plan::default();
        let mut used = HashSet::new();
        for member in members {
            self.plan_member(member, &threads, &roles, &mut used, &mut plan);
        }
        Ok(plan)
    }

    /// Threads from the cache on which some member would be refused.
    fn stale_refusals(
        &self,
        members: &[Member],
        threads: &Threads,
        roles: &HashMap<String, Roles>,
    ) -> Vec<String> {
        let now = Time::now();
        let mut stale = HashSet::new();
        for member in members {
            if threads.fresh.contains(&member.thread_key) || stale.contains(&member.thread_key) {
                continue;
            }
            let refused = threads.get(&member.thread_key).is_none_or(|thread| {
                post(thread, &roles[&member.thread_key], member.post.draft.clone(), &member.post.actor, now)
                    .is_err()
            });
            if refused {
                stale.insert(member.thread_key.clone());
            }
        }
        stale.into_iter().collect()
    }

    fn plan_member(
        &self,
        mut member: Member,
        threads: &Threads,
        roles: &HashMap<String, Roles>,
        used: &mut HashSet<String>,
        plan: &mut Plan,
    ) {
        let Some(before) = threads.get(&member.thread_key) else {
            return member.answer(Err(PostError::ThreadNotFound));
        };
        if !reserve(&member, used) {
            return plan.deferred.push(member);
        }
        let state = plan.threads.get(&member.thread_key).map_or(before.as_ref(), |planned| &planned.after);
        let draft = member.post.draft.clone();
        let commit = match post(state, &roles[&member.thread_key], draft, &member.post.actor, Time::now()) {
            Ok(commit) => commit,
            Err(rejection) => return member.answer(Err(rejection.into())),
        };
        self.add_jobs(&member, &commit, plan);
        if let Some(key) = &member.post.idempotency {
            plan.idempotency.push(IdempotencyRow {
                scope: key.scope.clone(),
                content_hash: key.content_hash.clone(),
                resource_id: commit.message.message_id.to_string(),
                status: 201,
                created_at: commit.message.created_at,
            });
        }
        let planned = Planned { before: Arc::clone(before), after: commit.thread.clone() };
        match plan.threads.get_mut(&member.thread_key) {
            Some(known) => known.after = planned.after,
            None => drop(plan.threads.insert(member.thread_key.clone(), planned)),
        }
        plan.members.push((member, commit));
    }

    fn add_jobs(&self, member: &Member, commit: &Commit, plan: &mut Plan) {
        for draft in &commit.jobs {
            let mut row = JobRow::of(draft, &commit.message, self.push_grace);
            if draft.kind.queue == Queue::Email {
                let Some(delay) = self.mail_delay else { continue };
                row.due_at =
                    plus_millis(row.created_at, i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
                row.push_after = row.push_after.max(row.due_at);
            }
            row.request_id = Some(member.post.request_id.clone());
            if draft.kind == crate::domain::jobs::AUDIT_MESSAGE {
                row.subject = Some(Subject {
                    actor_id: member.post.actor.uid.to_string(),
                    origin: member.post.origin.clone(),
                });
            }
            plan.jobs.push(row);
        }
    }

    /// The roles that matter on each thread: of its participants and of those who become it in this batch.
    async fn roles(
        &self,
        members: &[Member],
        threads: &Threads,
    ) -> Result<HashMap<String, Roles>, StoreError> {
        let mut people: HashMap<&str, (&AccountId, Vec<Uid>)> = HashMap::new();
        for member in members {
            let (_, people) = people.entry(&member.thread_key).or_insert_with(|| {
                let thread = threads.get(&member.thread_key);
                (&member.post.actor.account, thread.map_or_else(Vec::new, |t| t.participant_ids.clone()))
            });
            add_distinct(people, member.author());
        }
        let mut roles = HashMap::with_capacity(people.len());
        for (thread_key, (account, people)) in people {
            let known = self.patiently(self.directory.roles(account, &people)).await?;
            roles.insert(thread_key.to_owned(), known);
        }
        Ok(roles)
    }
}

/// Claims the ids of `member` for this batch; `false` when one of them is taken.
fn reserve(member: &Member, used: &mut HashSet<String>) -> bool {
    let account = &member.post.actor.account;
    let mut ids = vec![format!("m:{}", member.message_key)];
    if let Some(external) = &member.post.draft.external_message_id {
        let source = member.post.draft.source.clone().unwrap_or_default();
        ids.push(format!("x:{account}/{}/{external}", source.as_str()));
    }
    if let Some(key) = &member.post.idempotency {
        ids.push(format!("k:{}", key.scope));
    }
    if ids.iter().any(|id| used.contains(id)) {
        return false;
    }
    used.extend(ids);
    true
}

impl Posted {
    /// Whether nothing was written.
    pub fn is_replay(&self) -> bool {
        matches!(self, Posted::Replayed { .. })
    }
}
