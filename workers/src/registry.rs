//! All jobs by name: the one place where a new job is listed.

use std::collections::HashMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use shared::ledger::JobRow;
use shared::queue::Queue;
use shared::store::StoreError;

use crate::context::Context;
use crate::effect::Turn;
use crate::errand::Errand;
use crate::jobs::audit_message::AuditMessage;
use crate::jobs::deliver_sms::DeliverSms;
use crate::jobs::deliver_whatsapp::DeliverWhatsapp;
use crate::jobs::forward_to_guest::ForwardToGuest;
use crate::jobs::index_message::IndexMessage;
use crate::jobs::index_thread::IndexThread;
use crate::jobs::notify_agent::NotifyAgent;
use crate::jobs::notify_agents::NotifyAgents;
use crate::jobs::notify_customer::NotifyCustomer;
use crate::jobs::notify_flagged_channel::NotifyFlaggedChannel;
use crate::jobs::process_event::ProcessEvent;
use crate::jobs::{Effect, JobError, Projection};

type RunProjection = for<'a> fn(&'a Context, &'a JobRow) -> BoxFuture<'a, Result<(), JobError>>;
type RunEffect = for<'a> fn(&'a Context, &'a Turn) -> BoxFuture<'a, Result<(), StoreError>>;

enum Entry {
    Projection { run: RunProjection, attempts_max: i32 },
    Effect { run: RunEffect, idempotent: bool },
}

/// The jobs that this program knows.
#[derive(Default)]
pub struct Registry {
    entries: HashMap<&'static str, Entry>,
}

impl Registry {
    /// Every job of the product.
    pub fn all() -> Self {
        Self::default()
            .projection::<IndexMessage>()
            .projection::<IndexThread>()
            .projection::<AuditMessage>()
            .projection::<ProcessEvent>()
            .effect::<ForwardToGuest>()
            .effect::<DeliverWhatsapp>()
            .effect::<DeliverSms>()
            .effect::<NotifyAgents>()
            .effect::<NotifyAgent>()
            .effect::<NotifyCustomer>()
            .errand::<NotifyFlaggedChannel>()
    }

    /// Adds an idempotent job.
    ///
    /// # Panics
    /// When the name is taken: a mistake in the program, seen at start.
    #[must_use]
    pub fn projection<P: Projection>(self) -> Self {
        let run: RunProjection = |ctx, row| P::run(ctx, row).boxed();
        self.with(P::KIND.name, Entry::Projection { run, attempts_max: P::ATTEMPTS_MAX })
    }

    /// Adds a job with an effect outside.
    ///
    /// # Panics
    /// As [`Registry::projection`].
    #[must_use]
    pub fn effect<E: Effect>(self) -> Self {
        let run: RunEffect = |ctx, turn| crate::effect::run::<E>(ctx, turn).boxed();
        self.with(E::KIND.name, Entry::Effect { run, idempotent: E::IDEMPOTENT })
    }

    /// Adds an effect that is about no message.
    ///
    /// # Panics
    /// As [`Registry::projection`].
    #[must_use]
    pub fn errand<E: Errand>(self) -> Self {
        let run: RunEffect = |ctx, turn| crate::errand::run::<E>(ctx, turn).boxed();
        self.with(E::KIND.name, Entry::Effect { run, idempotent: false })
    }

    fn with(mut self, name: &'static str, entry: Entry) -> Self {
        assert!(self.entries.insert(name, entry).is_none(), "two jobs are called {name}");
        self
    }

    /// The names of all jobs.
    pub fn names(&self) -> Vec<&'static str> {
        self.entries.keys().copied().collect()
    }

    /// Whether the effect `name` may be repeated without harm.
    pub fn is_idempotent(&self, name: &str) -> bool {
        matches!(self.entries.get(name), Some(Entry::Effect { idempotent: true, .. }))
    }

    /// Attempts of projection `name`; `None` when this program does not know it.
    pub(crate) fn attempts_max(&self, name: &str) -> Option<i32> {
        match self.entries.get(name)? {
            Entry::Projection { attempts_max, .. } => Some(*attempts_max),
            Entry::Effect { .. } => None,
        }
    }

    pub(crate) async fn run_projection(&self, ctx: &Context, row: &JobRow) -> Result<(), JobError> {
        match self.entries.get(row.name.as_str()) {
            Some(Entry::Projection { run, .. }) => run(ctx, row).await,
            _ => Err(JobError::give_up("unknown_kind", "this program does not know the job")),
        }
    }

    /// Runs the effect whose turn it is; one of unknown kind is parked until a program knows it.
    pub(crate) async fn run_effect(&self, ctx: &Context, turn: &Turn) -> Result<(), StoreError> {
        match self.entries.get(turn.name()) {
            Some(Entry::Effect { run, .. }) => run(ctx, turn).await,
            _ => {
                let Some(job) = turn.claimed(ctx).await? else { return Ok(()) };
                tracing::warn!("unknown kind of job, parked until a program knows it");
                ctx.ledger.park_unknown_effect(job).await
            }
        }
    }
}

/// Whether the jobs of `queue` are effects.
pub fn has_effects(queue: Queue) -> bool {
    queue.has_effects()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_file_is_registered() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/jobs");
        let mut files: Vec<String> = std::fs::read_dir(dir)
            .expect("the jobs folder")
            .filter_map(|entry| entry.expect("an entry").path().file_stem()?.to_str().map(str::to_owned))
            .filter(|name| name != "mod")
            .collect();
        let mut names: Vec<String> = Registry::all().names().into_iter().map(str::to_owned).collect();
        files.sort();
        names.sort();
        assert_eq!(files, names);
    }
}
