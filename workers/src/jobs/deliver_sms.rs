//! Sends a message as SMS by Twilio: reservation → guest phone → text. Lane `sms:{thread}`.

use shared::channels::SmsLine;
use shared::domain::delivery::Reason;
use shared::domain::jobs::{DELIVER_SMS, JobKind};
use shared::domain::sms::segments;
use shared::ledger::JobRow;
use shared::providers::{Phone, SendOutcome};
use shared::queue::Pace;
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
        if line.owner.is_flagged() {
            return Ok(Ending::park(Reason::NeedsOperator));
        }
        sending.turn.sent_by(&line.owner);
        let phone = match sending.guest_phone().await? {
            Ok(phone) => phone,
            Err(ending) => return Ok(ending),
        };
        let contact = ctx.reads.contact(&line.name(), phone.expose()).await?;
        if contact.as_ref().is_some_and(|contact| contact.opt_out.is_some()) {
            return Ok(Ending::Hopeless(Reason::OptedOut));
        }
        let credential = line.owner.credential_of(&format!("twilio:{}", line.channel.account_sid));
        let permit = match sending.pass_circuit(&credential) {
            Ok(permit) => permit,
            Err(ending) => return Ok(ending),
        };
        let pace = pace(ctx, &line);
        if let Err(ending) = sending.keep_pace(std::slice::from_ref(&pace)).await {
            return Ok(ending);
        }
        let Some(job) = sending.begin().await? else { return Ok(Ending::Overtaken) };
        let media: Vec<String> = sending.message.attachments.iter().map(|a| a.url.clone()).collect();
        let callback = callback(ctx, job);
        let outcome =
            ctx.providers.twilio.send(&line.channel, &phone, &sending.message.body, &media, &callback).await;
        sending.learn(&credential, permit, &outcome);
        sending.learn_pace(&pace, None, &outcome).await;
        if let SendOutcome::Accepted { .. } = &outcome {
            let segments = segments(&sending.message.body);
            metrics::counter!("sms_segments_total").increment(segments as u64);
            sending.note_exchange(&line.owner, &line.name(), &phone, contact, None).await;
        }
        Ok(Ending::Answered(Box::new(outcome)))
    }
}

/// How fast the sender may send. Its name hides our number as it would a guest's.
fn pace(ctx: &Context, line: &SmsLine) -> Pace {
    let sender = line.channel.from.parse::<Phone>();
    let sender = sender
        .map_or(line.channel.from.clone(), |phone| phone.key(line.channel.auth_token.expose().as_bytes()));
    let name = format!("sms:{}:{sender}", line.channel.account_sid);
    Pace::of(name, ctx.config.delivery.sms_rate)
}

/// Where Twilio reports the status: our job and attempt stand in the signed URL, since Twilio has no idempotency
/// key (PROTOCOLS 3.3).
fn callback(ctx: &Context, job: &JobRow) -> String {
    let base = ctx.config.public_url.as_str().trim_end_matches('/');
    format!("{base}/webhooks/twilio/status?job={}&a={}", job.id, job.attempt)
}
