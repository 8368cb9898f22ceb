//! Mails the customer of a support room the answers that are unread. Lane `email:{thread}/customer`; reads `customers` and
//! `users`, writes `notifications`.

use shared::domain::jobs::{JobKind, NOTIFY_CUSTOMER};
use shared::store::StoreError;

use super::{Effect, Sending};
use crate::context::Context;
use crate::notices;
use crate::outbound::Ending;

/// See the module.
pub struct NotifyCustomer;

impl Effect for NotifyCustomer {
    const KIND: JobKind = NOTIFY_CUSTOMER;
    const ATTEMPTS_MAX: u32 = notices::ATTEMPTS_MAX;
    const IDEMPOTENT: bool = false;
    // The notice of what was mailed.
    const CLAIM_FIRST: bool = true;

    async fn run(ctx: &Context, sending: &Sending<'_>) -> Result<Ending, StoreError> {
        match notices::customer_of(ctx, sending.thread).await? {
            Some(person) => notices::mail_unread(ctx, sending, &person).await,
            None => Ok(notices::skipped("no_recipient")),
        }
    }
}
