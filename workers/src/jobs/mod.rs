//! The jobs, one file each, and what a job is.
//!
//! A new job is a file here, a `JobKind` in `shared::domain::jobs`, a line in [`crate::registry`] and its test.

pub mod audit_message;
pub mod deliver_sms;
pub mod deliver_whatsapp;
pub mod forward_to_guest;
pub mod index_message;
pub mod index_thread;
pub mod notify_agent;
pub mod notify_agents;
pub mod notify_customer;
pub mod notify_flagged_channel;
pub mod process_event;

use std::future::Future;
use std::time::Duration;

use shared::domain::jobs::JobKind;
use shared::domain::message::Message;
use shared::domain::thread::Thread;
use shared::ledger::JobRow;
use shared::store::StoreError;

use crate::context::Context;
use crate::effect::Turn;
use crate::outbound::Ending;

/// Why a projection could not be done now, or ever.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A dependency is away: again later.
    #[error("{class}: {cause}")]
    Retry { class: &'static str, cause: String },
    /// It will never succeed.
    #[error("{class}: {cause}")]
    GiveUp { class: &'static str, cause: String },
}

impl JobError {
    /// Again later, because of `cause`.
    pub fn retry(class: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Retry { class, cause: cause.to_string() }
    }

    /// Never again, because of `cause`.
    pub fn give_up(class: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::GiveUp { class, cause: cause.to_string() }
    }
}

/// An idempotent job that brings a store up to date with MongoDB. Running it twice has one effect.
pub trait Projection: Send + Sync + 'static {
    /// Name on the wire and queue.
    const KIND: JobKind;
    /// Attempts after which it is dead.
    const ATTEMPTS_MAX: i32;

    /// Brings the store up to date. A missing document means that there is nothing left to do.
    fn run(ctx: &Context, row: &JobRow) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// A job with an effect outside, claimed under a lease and kept in the order of its lane.
pub trait Effect: Send + Sync + 'static {
    /// Name on the wire and queue.
    const KIND: JobKind;
    /// Attempts after which a job that failed by faults worth a retry is dead.
    const ATTEMPTS_MAX: u32;
    /// The effect may be repeated without harm: a lost outcome is simply tried again.
    const IDEMPOTENT: bool;

    /// It does something that others see before its request: the job is claimed before anything is read.
    const CLAIM_FIRST: bool = false;

    /// Does it, and tells how it ended. Calls [`Sending::begin`] right before the request is written, and
    /// without [`Effect::CLAIM_FIRST`] does nothing that others see before it.
    fn run(ctx: &Context, sending: &Sending<'_>) -> impl Future<Output = Result<Ending, StoreError>> + Send;
}

/// An effect at the head of its lane, with what it is about.
pub struct Sending<'a> {
    /// The job as claimed, or before that as it stood when the worker was woken; [`Sending::begin`] answers it as
    /// claimed.
    pub job: &'a JobRow,
    pub message: &'a Message,
    pub thread: &'a Thread,
    pub ctx: &'a Context,
    pub(crate) turn: &'a Turn,
}

/// How long past the provider's deadline an effect may take for its own reads and writes.
pub const EFFECT_MARGIN: Duration = Duration::from_secs(4);
