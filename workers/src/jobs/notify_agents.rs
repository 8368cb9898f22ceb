//! Finds out whom a customer's unread message is mailed to, and makes a job for each: a repeated try mails nobody
//! twice, and one person's mail server holds up nobody else. Lane `email:{thread}`.

use shared::domain::jobs::{JobKind, NOTIFY_AGENT, NOTIFY_AGENTS};
use shared::ledger::JobRow;
use shared::store::StoreError;

use super::{Effect, Sending};
use crate::context::Context;
use crate::notices;
use crate::outbound::Ending;

/// See the module.
pub struct NotifyAgents;

impl Effect for NotifyAgents {
    const KIND: JobKind = NOTIFY_AGENTS;
    const ATTEMPTS_MAX: u32 = 12;
    // The parts have the same ids each time.
    const IDEMPOTENT: bool = true;
    // The parts.
    const CLAIM_FIRST: bool = true;

    async fn run(ctx: &Context, sending: &Sending<'_>) -> Result<Ending, StoreError> {
        if ctx.providers.mail.is_none() {
            return Ok(notices::skipped("channel_disabled"));
        }
        let agents = notices::agents_of(ctx, sending.thread).await?;
        let unread = agents.iter().filter(|user| sending.thread.read_up_to(&user.uid) < sending.message.seq);
        let grace = ctx.config.dispatcher.push_grace;
        let parts: Vec<JobRow> =
            unread.map(|user| sending.job.part_for(&user.uid, NOTIFY_AGENT, grace)).collect();
        if parts.is_empty() {
            return Ok(notices::skipped(if agents.is_empty() { "no_recipient" } else { "read" }));
        }
        ctx.ledger.add_missing(&parts).await?;
        let ids: Vec<&str> = parts.iter().map(|part| part.id.as_str()).collect();
        if let Err(error) = ctx.wakeups.push(NOTIFY_AGENT.queue, &ids).await {
            tracing::debug!(%error, "redis took no wake-ups; the dispatcher will push them");
        }
        Ok(Ending::Needless)
    }
}
