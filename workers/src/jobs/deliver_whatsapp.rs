//! Sends a message by WhatsApp: reservation → guest phone → text. Lane `whatsapp:{thread}`.

use shared::domain::delivery::Reason;
use shared::domain::jobs::{DELIVER_WHATSAPP, JobKind};
use shared::domain::time::Time;
use shared::providers::Trust;
use shared::providers::whatsapp::{Recipient, WhatsappChannel};
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
        let Some(config) = &ctx.config.whatsapp else { return Ok(Ending::park(Reason::ChannelDisabled)) };
        if !sending.thread.window(Time::now()).can_reply_freeform() {
            return Ok(Ending::park(Reason::NeedsTemplate));
        }
        let phone = match sending.guest_phone().await? {
            Ok(phone) => phone,
            Err(ending) => return Ok(ending),
        };
        let credential = format!("whatsapp:{}", config.phone_number_id);
        let permit = match sending.pass_circuit(&credential) {
            Ok(permit) => permit,
            Err(ending) => return Ok(ending),
        };
        let Some(job) = sending.begin().await? else { return Ok(Ending::Overtaken) };
        let channel = WhatsappChannel {
            base_url: config.base_url.clone(),
            phone_number_id: config.phone_number_id.clone(),
            access_token: config.access_token.clone(),
            trust: Trust::Configured,
        };
        let text = sending.text_with_links();
        let opaque = job.attempt_ref();
        let outcome =
            ctx.providers.whatsapp.send_text(&channel, Recipient::Phone(&phone), &text, &opaque, None).await;
        sending.learn(&credential, permit, &outcome);
        Ok(Ending::Answered(Box::new(outcome)))
    }
}
