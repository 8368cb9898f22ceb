//! Sends a message as SMS by Twilio: reservation → guest phone → text. Lane `sms:{thread}`.

use shared::domain::delivery::Reason;
use shared::domain::jobs::{DELIVER_SMS, JobKind};
use shared::ledger::JobRow;
use shared::store::StoreError;

use super::{Effect, Sending};
use crate::context::Context;
use crate::outbound::Ending;

/// See the module.
pub struct DeliverSms;

impl Effect for DeliverSms {
    const KIND: JobKind = DELIVER_SMS;
    const ATTEMPTS_MAX: u32 = 12;
    const IDEMPOTENT: bool = false;

    async fn run(ctx: &Context, sending: &Sending<'_>) -> Result<Ending, StoreError> {
        let Some(line) = ctx.channels.sms(&sending.job.account_id).await? else {
            return Ok(Ending::park(Reason::ChannelDisabled));
        };
        let phone = match sending.guest_phone().await? {
            Ok(phone) => phone,
            Err(ending) => return Ok(ending),
        };
        let credential = format!("twilio:{}", line.channel.account_sid);
        let permit = match sending.pass_circuit(&credential) {
            Ok(permit) => permit,
            Err(ending) => return Ok(ending),
        };
        let Some(job) = sending.begin().await? else { return Ok(Ending::Overtaken) };
        let media: Vec<String> = sending.message.attachments.iter().map(|a| a.url.clone()).collect();
        let callback = callback(ctx, job);
        let outcome =
            ctx.providers.twilio.send(&line.channel, &phone, &sending.message.body, &media, &callback).await;
        sending.learn(&credential, permit, &outcome);
        Ok(Ending::Answered(Box::new(outcome)))
    }
}

/// Where Twilio reports the status: our job and attempt stand in the signed URL, since Twilio has no idempotency
/// key (PROTOCOLS 3.3).
fn callback(ctx: &Context, job: &JobRow) -> String {
    let base = ctx.config.public_url.as_str().trim_end_matches('/');
    format!("{base}/webhooks/twilio/status?job={}&a={}", job.id, job.attempt)
}
