//! Mails one agent what is unread in a support room. Lane `email:{thread}:{uid}`; reads `users`, writes
//! `notifications`.

use shared::domain::jobs::{JobKind, NOTIFY_AGENT};
use shared::mail::Reader;
use shared::store::StoreError;

use super::{Effect, Sending};
use crate::context::Context;
use crate::notices::{self, Person};
use crate::outbound::Ending;

/// See the module.
pub struct NotifyAgent;

impl Effect for NotifyAgent {
    const KIND: JobKind = NOTIFY_AGENT;
    const ATTEMPTS_MAX: u32 = notices::ATTEMPTS_MAX;
    const IDEMPOTENT: bool = false;
    // The notice of what was mailed.
    const CLAIM_FIRST: bool = true;

    async fn run(ctx: &Context, sending: &Sending<'_>) -> Result<Ending, StoreError> {
        let Some(uid) = &sending.job.recipient else { return Ok(notices::skipped("no_recipient")) };
        let user = ctx.store.account(&sending.job.account_id).user(uid).await?;
        // The room may have gone to others since the job was made.
        let Some(user) = user.filter(|user| notices::answers_for(sending.thread, user)) else {
            return Ok(notices::skipped("not_assigned"));
        };
        match Person::of(&user, Reader::Staff) {
            Some(person) => notices::mail_unread(ctx, sending, &person).await,
            None => Ok(notices::skipped("no_recipient")),
        }
    }
}
