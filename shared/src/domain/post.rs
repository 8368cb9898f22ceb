//! Posting a message: every rule of `createMessage` in one pure function.

use super::access::check_entitled;
use super::actor::{Actor, Role, Roles};
use super::delivery::{Channel, Delivery};
use super::desk::DeskType;
use super::ids::{MessageId, Uid, key};
use super::jobs::{
    AUDIT_MESSAGE, DELIVER_SMS, DELIVER_WHATSAPP, FORWARD_TO_GUEST, INDEX_MESSAGE, JobDraft, NOTIFY_AGENTS,
    NOTIFY_CUSTOMER,
};
use super::media::MediaKind;
use super::message::{Attachment, ContentType, Draft, Message, MessageType, Source};
use super::reading::move_mark;
use super::rejection::Rejection;
use super::thread::{Mark, Thread, ThreadKind, add_distinct};
use super::time::Time;

/// Longest body, in bytes of UTF-8.
pub const BODY_BYTES_MAX: usize = 32 * 1024;
/// Most attachments of a message.
pub const ATTACHMENTS_MAX: usize = 15;
/// Longest URL or identifier of an attachment, in bytes.
pub const ATTACHMENT_BYTES_MAX: usize = 4096;
/// Longest `externalMessageId`, in bytes.
pub const EXTERNAL_ID_BYTES_MAX: usize = 256;
/// Longest WhatsApp text, in characters.
pub const WHATSAPP_CHARS_MAX: usize = 4096;
/// Longest WhatsApp caption, in characters.
pub const WHATSAPP_CAPTION_CHARS_MAX: usize = 1024;
/// Longest SMS, in characters.
pub const SMS_CHARS_MAX: usize = 1600;

/// What one post writes: all of it in one transaction, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    pub message: Message,
    /// The thread after the message; its version is one above that of the thread it was computed from.
    pub thread: Thread,
    pub jobs: Vec<JobDraft>,
}

/// Decides on `draft`: may `actor` post it, what is stored, how the thread changes and which jobs follow.
///
/// `roles` tells which participants are staff. `now` is moved forward to the thread's `updatedAt` where a clock
/// went back, so that times never contradict `seq`.
///
/// # Errors
/// A [`Rejection`] that names the rule; nothing of the thread changes.
pub fn post(
    thread: &Thread,
    roles: &Roles,
    draft: Draft,
    actor: &Actor,
    now: Time,
) -> Result<Commit, Rejection> {
    check_entitled(thread, actor)?;
    check_permitted(&draft, actor)?;
    let now = now.max(thread.updated_at);
    let mut message = assemble(thread, draft, actor, now);
    check_content(&message)?;
    let channel = phone_channel(&message);
    if let Some(channel) = channel {
        check_channel_limits(channel, &message)?;
    }
    let forward = is_forwarded(thread, &message);
    let intent = channel.or(forward.then_some(Channel::Guest));
    let next = advance(thread, roles, &message, actor);
    message.delivery = intent.map(|channel| Delivery::queued(channel, now));
    let mut jobs = jobs_for(&message, channel, forward);
    jobs.extend(notification(thread, &message, is_by_staff(&message, roles, actor)));
    Ok(Commit { message, thread: next, jobs })
}

/// Fields that only some callers may set.
fn check_permitted(draft: &Draft, actor: &Actor) -> Result<(), Rejection> {
    if actor.role != Role::Service {
        if draft.author_id.is_some() {
            return Err(Rejection::Forbidden("only services may set authorId"));
        }
        if draft.external_message_id.is_some() {
            return Err(Rejection::Forbidden("only services may set externalMessageId"));
        }
        let own = |s: &Source| matches!(s.as_str(), Source::HUBUBB | Source::OPERATIONS);
        if draft.source.as_ref().is_some_and(|s| !own(s)) {
            return Err(Rejection::Forbidden("only services may set this source"));
        }
    }
    if actor.role == Role::Guest {
        if draft.kind.is_some_and(|kind| kind != MessageType::Message) {
            return Err(Rejection::Forbidden("guests may only post messages"));
        }
        if draft.source.as_ref().is_some_and(|s| s.as_str() == Source::OPERATIONS) {
            return Err(Rejection::Forbidden("guests may not post as operations"));
        }
    }
    Ok(())
}

fn assemble(thread: &Thread, draft: Draft, actor: &Actor, now: Time) -> Message {
    let kind = draft.kind.unwrap_or_default();
    let author_id = draft.author_id.clone().unwrap_or_else(|| actor.uid.clone());
    let content_hash = draft.content_hash(&thread.key, &author_id);
    let message_id = draft.message_id.unwrap_or_else(MessageId::generate);
    Message {
        key: key(&thread.account_id, &message_id),
        account_id: thread.account_id.clone(),
        message_id,
        thread_id: thread.thread_id.clone(),
        thread: thread.key.clone(),
        seq: thread.seq + 1,
        public_seq: (kind != MessageType::Note).then_some(thread.public_seq + 1),
        customer_seq: thread
            .customer_id
            .as_ref()
            .map(|customer| thread.customer_seq + i64::from(*customer == author_id)),
        conversation_id: conversation_of(actor, &author_id),
        author_id,
        body: draft.body,
        kind,
        source: draft.source.unwrap_or_default(),
        content_type: draft.content_type.unwrap_or_default(),
        attachments: draft.attachments,
        external_message_id: draft.external_message_id,
        payment_content: draft.payment_content,
        integration_app: draft.integration_app,
        desk_type: draft.desk_type,
        template: draft.template,
        delivery: None,
        rev: 1,
        content_hash,
        created_at: now,
        updated_at: now,
    }
}

/// The actor's conversation where it has another name than the author.
fn conversation_of(actor: &Actor, author: &Uid) -> Option<String> {
    let named = *author == actor.uid && actor.conversation_id != author.as_str();
    named.then(|| actor.conversation_id.clone())
}

/// What the support desk's own types promise.
fn check_desk_type(message: &Message) -> Result<(), Rejection> {
    match message.desk_type {
        Some(DeskType::Image | DeskType::File) if message.attachments.is_empty() => {
            Err(Rejection::Unprocessable("a message of type image or file needs an attachment"))
        }
        Some(DeskType::Text | DeskType::Note) if message.body.is_empty() => Err(Rejection::Unprocessable(
            "content is empty, which only a message of type image or file may be",
        )),
        _ => Ok(()),
    }
}

fn check_content(message: &Message) -> Result<(), Rejection> {
    check_desk_type(message)?;
    let is_payment = message.content_type != ContentType::Text;
    if message.payment_content.is_some() && !is_payment {
        return Err(Rejection::Unprocessable(
            "paymentContent goes with contentType payment or payment-processed",
        ));
    }
    let structured = is_payment && message.payment_content.is_some();
    if message.body.is_empty() && !structured && message.attachments.is_empty() {
        return Err(Rejection::Unprocessable(
            "body is empty and there is neither paymentContent nor an attachment",
        ));
    }
    if message.body.len() > BODY_BYTES_MAX {
        return Err(Rejection::Unprocessable("body is longer than 32 KiB"));
    }
    if message.attachments.len() > ATTACHMENTS_MAX {
        return Err(Rejection::Unprocessable("at most 15 attachments are taken"));
    }
    let fits = |a: &Attachment| !a.url.is_empty() && a.url.len() <= ATTACHMENT_BYTES_MAX;
    if !message.attachments.iter().all(fits) {
        return Err(Rejection::Unprocessable("an attachment is empty or longer than 4096 bytes"));
    }
    let external = message.external_message_id.as_deref();
    if external.is_some_and(|id| id.is_empty() || id.len() > EXTERNAL_ID_BYTES_MAX) {
        return Err(Rejection::Unprocessable("externalMessageId is empty or longer than 256 bytes"));
    }
    Ok(())
}

/// The way by which a message of type `kind`, written by staff in `thread`, would leave.
pub fn channel_for(thread: &Thread, kind: MessageType) -> Option<Channel> {
    let forwarded = thread.source.as_str() == Source::HUBUBB_GUEST && kind != MessageType::Note;
    channel_by(kind, Source::HUBUBB, false).or(forwarded.then_some(Channel::Guest))
}

/// The phone channel by which a draft is to be sent, once it is committed.
pub fn phone_channel_of(draft: &Draft) -> Option<Channel> {
    let source = draft.source.clone().unwrap_or_default();
    channel_by(draft.kind.unwrap_or_default(), source.as_str(), draft.external_message_id.is_some())
}

/// The phone channel by which the message is to be sent: fixed here, never inferred later.
fn phone_channel(message: &Message) -> Option<Channel> {
    channel_by(message.kind, message.source.as_str(), message.external_message_id.is_some())
}

fn channel_by(kind: MessageType, source: &str, came_from_outside: bool) -> Option<Channel> {
    if came_from_outside {
        return None;
    }
    match (kind, source) {
        (MessageType::WhatsappMessage, Source::HUBUBB) => Some(Channel::Whatsapp),
        (MessageType::SmsMessage, Source::SMS | Source::TWILIO | Source::WHATSAPP) => None,
        (MessageType::SmsMessage, _) => Some(Channel::Sms),
        _ => None,
    }
}

/// Whether the message is to be forwarded to the guest platform.
fn is_forwarded(thread: &Thread, message: &Message) -> bool {
    thread.source.as_str() == Source::HUBUBB_GUEST
        && message.is_public()
        && message.source.as_str() != Source::HUBUBB_GUEST
}

fn check_channel_limits(channel: Channel, message: &Message) -> Result<(), Rejection> {
    let chars = message.body.chars().count();
    let attachments = &message.attachments;
    if let Some(template) = &message.template {
        template.check()?;
    }
    if !attachments.iter().all(|a| a.url.starts_with("https://")) {
        return Err(Rejection::Unprocessable("attachments of a phone message must be https URLs"));
    }
    match channel {
        Channel::Whatsapp if attachments.len() > 1 => {
            Err(Rejection::Unprocessable("a WhatsApp message takes at most one attachment"))
        }
        Channel::Whatsapp if attachments.len() == 1 && chars > WHATSAPP_CAPTION_CHARS_MAX => {
            Err(Rejection::Unprocessable("a WhatsApp caption is at most 1024 characters"))
        }
        Channel::Whatsapp if attachments.iter().any(is_too_large) => Err(Rejection::Unprocessable(
            "the attachment is larger than WhatsApp takes: 5 MB a picture, 16 MB sound or film, 500 KB a sticker, \
             100 MB a document",
        )),
        Channel::Whatsapp if chars > WHATSAPP_CHARS_MAX => {
            Err(Rejection::Unprocessable("a WhatsApp text is at most 4096 characters"))
        }
        Channel::Sms if attachments.len() > 10 => {
            Err(Rejection::Unprocessable("an SMS takes at most 10 attachments"))
        }
        Channel::Sms if chars > SMS_CHARS_MAX => {
            Err(Rejection::Unprocessable("an SMS is at most 1600 characters"))
        }
        _ => Ok(()),
    }
}

/// Whether a file is known to be larger than its kind may be.
fn is_too_large(attachment: &Attachment) -> bool {
    attachment.size.is_some_and(|bytes| bytes > MediaKind::of(attachment).bytes_max())
}

/// The thread after `message`.
fn advance(thread: &Thread, roles: &Roles, message: &Message, actor: &Actor) -> Thread {
    let mut next = thread.clone();
    next.version += 1;
    next.seq = message.seq;
    next.customer_seq = message.customer_seq.unwrap_or(next.customer_seq);
    next.updated_at = message.created_at;
    add_distinct(&mut next.participant_ids, &message.author_id);
    if message.is_public() {
        next.public_seq += 1;
        next.public_updated_at = message.created_at;
        add_distinct(&mut next.public_participant_ids, &message.author_id);
        next.last_public_message = Some(message.clone());
        answer_support_room(&mut next, actor);
    }
    next.last_message = Some(message.clone());
    raise_attention(&mut next, roles, message);
    let end = next.place();
    move_mark(&mut next.read_marks, &message.author_id, end);
    if message.kind == MessageType::WhatsappMessage {
        match message.source.as_str() {
            Source::HUBUBB => next.last_whatsapp_message_sent_at = Some(message.created_at),
            Source::WHATSAPP => next.last_whatsapp_inbound_at = Some(message.created_at),
            _ => {}
        }
    }
    next.derive_viewers();
    next
}

/// A public staff reply ends the wait of an unassigned support room; an agent's also assigns its sender.
fn answer_support_room(thread: &mut Thread, actor: &Actor) {
    if thread.kind != ThreadKind::Support || !actor.role.is_staff() || !thread.assigned_agent_ids.is_empty() {
        return;
    }
    if actor.role == Role::Agent {
        thread.assigned_agent_ids.push(actor.uid.clone());
    }
    thread.awaiting_first_reply = false;
}

/// `needsAttention` = (old ∪ participants ∪ assigned agents) − author; a note raises it for staff only.
fn raise_attention(thread: &mut Thread, roles: &Roles, message: &Message) {
    let assigned = &thread.assigned_agent_ids;
    let concerned = |uid: &Uid| message.is_public() || assigned.contains(uid) || roles.is_staff(uid);
    let raised: Vec<Uid> =
        thread.participant_ids.iter().chain(assigned).filter(|u| concerned(u)).cloned().collect();
    for uid in raised {
        match thread.attention.iter_mut().find(|m| m.uid == uid) {
            Some(mark) => mark.seq = message.seq,
            None => thread.attention.push(Mark { uid, seq: message.seq }),
        }
    }
    thread.attention.retain(|m| m.uid != message.author_id);
    thread.derive_attention();
}

fn jobs_for(message: &Message, channel: Option<Channel>, forward: bool) -> Vec<JobDraft> {
    let projection = |kind| JobDraft { kind, lane: None, lane_seq: message.seq, overtakes: false };
    let effect = |kind, channel: Channel| JobDraft {
        kind,
        lane: Some(format!("{}:{}", channel.as_str(), message.thread)),
        lane_seq: message.seq,
        overtakes: message.template.is_some(),
    };
    let mut jobs = vec![projection(INDEX_MESSAGE), projection(AUDIT_MESSAGE)];
    if forward {
        jobs.push(effect(FORWARD_TO_GUEST, Channel::Guest));
    }
    match channel {
        Some(Channel::Whatsapp) => jobs.push(effect(DELIVER_WHATSAPP, Channel::Whatsapp)),
        Some(Channel::Sms) => jobs.push(effect(DELIVER_SMS, Channel::Sms)),
        _ => {}
    }
    jobs
}

/// Whether staff wrote it. A service writes for itself, or for somebody whom the users' documents know.
fn is_by_staff(message: &Message, roles: &Roles, actor: &Actor) -> bool {
    if message.author_id == actor.uid { actor.role.is_staff() } else { roles.is_staff(&message.author_id) }
}

/// Who is told by e-mail if it stays unread: of a customer's message in a support room the agents, of an answer that
/// no other channel carries the customer. Of a note nobody.
fn notification(thread: &Thread, message: &Message, by_staff: bool) -> Option<JobDraft> {
    if thread.kind != ThreadKind::Support || !message.is_public() {
        return None;
    }
    let (kind, lane) = match (by_staff, &message.delivery) {
        (false, _) => (NOTIFY_AGENTS, format!("email:{}", message.thread)),
        // No uid can hold a slash: this lane is nobody else's.
        (true, None) => (NOTIFY_CUSTOMER, format!("email:{}/customer", message.thread)),
        (true, Some(_)) => return None,
    };
    Some(JobDraft { kind, lane: Some(lane), lane_seq: message.seq, overtakes: false })
}
