//! Sends a message by WhatsApp: reservation → guest phone → text. Lane `whatsapp:{thread}`.

use shared::domain::delivery::Reason;
use shared::domain::jobs::{DELIVER_WHATSAPP, JobKind};
use shared::domain::time::Time;
use shared::providers::whatsapp::Recipient;
use shared::store::StoreError;

use super::{Effect, Sending};
use crate::context::Context;
use crate::outbound::Ending;

/// See the module.
pub struct DeliverWhatsapp;

impl Effect for DeliverWhatsapp {
    const KIND: JobKind = DELIVER_WHATSAPP;
    const ATTEMPTS_MAX: u32 = 12;
    const IDEMPOTENT: bool = false;

    async fn run(ctx: &Context, sending: &Sending<'_>) -> Result<Ending, StoreError> {
        let account = &sending.job.account_id;
        let Some(line) = ctx.channels.whatsapp(account).await? else {
            return Ok(Ending::park(Reason::ChannelDisabled));
        };
        if !sending.thread.window(Time::now()).can_reply_freeform() {
            return Ok(Ending::park(Reason::NeedsTemplate));
        }
        let phone = match sending.guest_phone().await? {
            Ok(phone) => phone,
            Err(ending) => return Ok(ending),
        };
        let credential = line.name();
        let permit = match sending.pass_circuit(&credential) {
            Ok(permit) => permit,
            Err(ending) => return Ok(ending),
        };
        let Some(job) = sending.begin().await? else { return Ok(Ending::Overtaken) };
        let text = sending.text_with_links();
        let opaque = job.attempt_ref();
        let outcome = ctx
            .providers
            .whatsapp
            .send_text(&line.channel, Recipient::Phone(&phone), &text, &opaque, None)
            .await;
        sending.learn(&credential, permit, &outcome);
        Ok(Ending::Answered(Box::new(outcome)))
    }
}
