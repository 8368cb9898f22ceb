//! Sends a message by WhatsApp: reservation → guest phone → text, file or template. Lane `whatsapp:{thread}`.

use shared::channels::WhatsappLine;
use shared::domain::contact::Contact;
use shared::domain::delivery::Reason;
use shared::domain::jobs::{DELIVER_WHATSAPP, JobKind};
use shared::domain::media::{MediaKind, file_name};
use shared::domain::message::Attachment;
use shared::domain::time::Time;
use shared::domain::window::Window;
use shared::ledger::JobRow;
use shared::providers::whatsapp::{File, Outgoing, Payload, Recipient};
use shared::providers::{Phone, SendOutcome};
use shared::queue::Pace;
use shared::store::StoreError;

use super::{Effect, Sending};
use crate::context::Context;
use crate::outbound::Ending;
use crate::release::release_lane;

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
        if line.owner.is_flagged() {
            return Ok(Ending::park(Reason::NeedsOperator));
        }
        sending.turn.sent_by(&line.owner);
        let phone = match sending.guest_phone().await? {
            Ok(phone) => phone,
            Err(ending) => return Ok(ending),
        };
        let contact = ctx.reads.contact(&line.name(), phone.expose()).await?;
        if let Some(ending) = held_back(sending, contact.as_ref()) {
            return Ok(ending);
        }
        let credential = line.owner.credential_of(&line.name());
        let permit = match sending.pass_circuit(&credential) {
            Ok(permit) => permit,
            Err(ending) => return Ok(ending),
        };
        let [number, pair] = paces(ctx, &line, &phone);
        if let Err(ending) = sending.keep_pace(&[number.clone(), pair.clone()]).await {
            return Ok(ending);
        }
        let Some(job) = sending.begin().await? else { return Ok(Ending::Overtaken) };
        let outcome = send(ctx, sending, job, &line, &phone).await;
        sending.learn(&credential, permit, &outcome);
        sending.learn_pace(&number, Some(&pair), &outcome).await;
        if let SendOutcome::Accepted { recipient_id, .. } = &outcome {
            sending.note_exchange(&line.owner, &line.name(), &phone, contact, recipient_id.as_deref()).await;
            if let Some(lane) = job.lane.as_deref().filter(|_| job.overtakes) {
                // A template may have opened the way for what waits; its own end wakes the lane.
                release_lane(ctx, lane).await?;
            }
        }
        Ok(Ending::Answered(Box::new(outcome)))
    }
}

/// How fast the number may send, and to this person.
fn paces(ctx: &Context, line: &WhatsappLine, phone: &Phone) -> [Pace; 2] {
    let limits = &ctx.config.delivery;
    // A name that says nothing to who reads Redis.
    let key = line.channel.access_token.expose().as_bytes();
    let pair = format!("{}:{}", line.name(), phone.key(key));
    let pair = Pace { burst: limits.whatsapp_pair_burst, ..Pace::of(pair, limits.whatsapp_pair_rate) };
    [Pace::of(line.name(), limits.whatsapp_rate), pair]
}

/// Why it is not sent now: they want nothing, or only a template may be sent.
fn held_back(sending: &Sending<'_>, contact: Option<&Contact>) -> Option<Ending> {
    let template = sending.message.template.as_ref();
    let marketing = template.is_some_and(|template| template.marketing);
    let opt_out = contact.and_then(|contact| contact.opt_out.as_ref());
    if opt_out.is_some_and(|opt_out| marketing || !opt_out.marketing_only) {
        return Some(Ending::Hopeless(Reason::OptedOut));
    }
    let closed = !window(sending, contact).can_reply_freeform();
    (template.is_none() && closed).then(|| Ending::park(Reason::NeedsTemplate))
}

/// The window of the contact, or of the thread where its messages came in before contacts were kept.
fn window(sending: &Sending<'_>, contact: Option<&Contact>) -> Window {
    let of_contact = contact.and_then(|contact| contact.last_inbound_at);
    Window::at(of_contact.max(sending.thread.last_whatsapp_inbound_at), Time::now())
}

async fn send(
    ctx: &Context,
    sending: &Sending<'_>,
    job: &JobRow,
    line: &WhatsappLine,
    phone: &Phone,
) -> SendOutcome {
    let message = sending.message;
    let opaque = job.attempt_ref();
    let outgoing = |payload| Outgoing {
        to: Recipient::Phone(phone),
        payload,
        opaque: &opaque,
        reply_to: None,
        marketing: message.template.as_ref().is_some_and(|template| template.marketing),
    };
    let client = &ctx.providers.whatsapp;
    if let Some(template) = &message.template {
        return client.send(&line.channel, &outgoing(Payload::Template(template))).await;
    }
    let Some(attachment) = message.attachments.first() else {
        let payload = Payload::Text { body: &message.body, preview_url: true };
        return client.send(&line.channel, &outgoing(payload)).await;
    };
    let kind = kind_of(attachment, &message.body);
    let filename = if kind == MediaKind::Document { file_name(attachment) } else { None };
    let caption = Some(message.body.as_str()).filter(|body| !body.is_empty());
    let file = File::Link(&attachment.url);
    let payload = Payload::Media { kind, file, caption, filename: filename.as_deref() };
    client.send(&line.channel, &outgoing(payload)).await
}

/// Sound and stickers carry no text: with one they go as documents, so that it is not lost.
fn kind_of(attachment: &Attachment, body: &str) -> MediaKind {
    let kind = MediaKind::of(attachment);
    if body.is_empty() || kind.takes_caption() { kind } else { MediaKind::Document }
}
