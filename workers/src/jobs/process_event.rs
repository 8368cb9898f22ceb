//! Works through a stored provider event: today the statuses of WhatsApp messages. Reads `events`.

use shared::domain::jobs::{JobKind, PROCESS_EVENT};
use shared::ledger::JobRow;
use shared::store::{Event, EventState};

use super::index_message::away;
use super::{JobError, Projection};
use crate::context::Context;
use crate::statuses;

/// See the module.
pub struct ProcessEvent;

impl Projection for ProcessEvent {
    const KIND: JobKind = PROCESS_EVENT;
    const ATTEMPTS_MAX: i32 = 100;

    async fn run(ctx: &Context, row: &JobRow) -> Result<(), JobError> {
        let Some(id) = &row.event else { return Err(JobError::give_up("payload", "no event id")) };
        let Some(event) = ctx.reads.event(id).await.map_err(away)? else {
            tracing::info!(event.id = %id, "event is gone, nothing to do");
            return Ok(());
        };
        let state = process(ctx, &event).await?;
        ctx.writes.set_event_state(id, state).await.map_err(away)
    }
}

async fn process(ctx: &Context, event: &Event) -> Result<EventState, JobError> {
    match event.source.as_str() {
        "whatsapp" => statuses::whatsapp(ctx, &event.body.bytes).await,
        "twilio-status" => statuses::twilio(ctx, &event.body.bytes).await,
        // Kept for the program that knows what to do with it.
        _ => Ok(EventState::Unrouted),
    }
}
