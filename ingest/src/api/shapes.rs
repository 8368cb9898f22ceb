//! Objects that several resources answer with.

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde_json::Value;
use shared::domain::delivery::{Channel, Delivery, DeliveryState};
use shared::domain::ids::Uid;
use shared::domain::message::{ContentType, MessageType};
use shared::domain::thread::{ThreadKind, ThreadStatus};
use shared::domain::time::{Time, rfc3339};
use shared::store::User;
use std::collections::BTreeMap;

use crate::chat::{MessageView, ThreadView};

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident, $case:literal, $of:ty { $($(#[$vdoc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
        #[oai(rename_all = $case)]
        pub(super) enum $name { $($(#[$vdoc])* $variant),* }

        impl From<$of> for $name {
            fn from(value: $of) -> Self {
                match value { $(<$of>::$variant => Self::$variant),* }
            }
        }

        impl From<$name> for $of {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),* }
            }
        }
    };
}

wire_enum!(
/// What kind of message it is; never changes.
TypeOut, "kebab-case", MessageType {
    /// Plain message.
    Message,
    /// Sent by or received from WhatsApp.
    WhatsappMessage,
    /// Sent by or received as SMS.
    SmsMessage,
    /// Internal; never reaches a customer or guest.
    Note,
});
wire_enum!(
/// What the body is.
ContentTypeOut, "kebab-case", ContentType {
    /// Plain text.
    Text,
    /// A request for a payment.
    Payment,
    /// A payment that was made.
    PaymentProcessed,
});
wire_enum!(
/// What a thread is for.
KindOut, "lowercase", ThreadKind {
    /// With guests.
    Guest,
    /// A room of the support desk.
    Support,
    /// Among staff.
    Team,
});
wire_enum!(
/// Whether work remains.
StatusOut, "lowercase", ThreadStatus {
    /// Work remains.
    Open,
    /// Set aside.
    Snoozed,
    /// Done.
    Resolved,
});
wire_enum!(
/// The way by which a message leaves.
ChannelOut, "lowercase", Channel {
    /// WhatsApp.
    Whatsapp,
    /// SMS.
    Sms,
    /// The guest platform.
    Guest,
});
wire_enum!(
/// Where a delivery stands.
DeliveryStateOut, "lowercase", DeliveryState {
    /// Waits to be sent.
    Queued,
    /// Is being sent.
    Sending,
    /// The provider took it.
    Sent,
    /// It arrived.
    Delivered,
    /// It was read.
    Read,
    /// It will not arrive, see `reason`.
    Failed,
    /// Whether the provider took it is not known.
    Unknown,
    /// Waits for an event or a person, see `reason`.
    Parked,
});

/// What became of a message on its way to its recipient.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct DeliveryOut {
    channel: ChannelOut,
    state: DeliveryStateOut,
    /// needs_template, needs_operator, no_recipient, invalid_recipient, opted_out, channel_disabled,
    /// provider_rejected, outcome_unknown, expired or cancelled.
    reason: Option<String>,
    /// The provider's own code.
    provider_error_code: Option<String>,
    updated_at: String,
    sent_at: Option<String>,
    delivered_at: Option<String>,
    read_at: Option<String>,
    failed_at: Option<String>,
}

impl From<&Delivery> for DeliveryOut {
    fn from(delivery: &Delivery) -> Self {
        Self {
            channel: delivery.channel.into(),
            state: delivery.state.into(),
            reason: delivery.reason.map(|r| r.as_str().to_owned()),
            provider_error_code: delivery.provider_error_code.clone(),
            updated_at: rfc3339(delivery.updated_at),
            sent_at: delivery.sent_at.map(rfc3339),
            delivered_at: delivery.delivered_at.map(rfc3339),
            read_at: delivery.read_at.map(rfc3339),
            failed_at: delivery.failed_at.map(rfc3339),
        }
    }
}

/// A message as it is stored.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct MessageOut {
    message_id: String,
    thread_id: String,
    /// 1, 2, 3 … within the thread, without gaps; guests count what they may see.
    seq: i64,
    author_id: String,
    body: String,
    r#type: TypeOut,
    source: String,
    content_type: ContentTypeOut,
    attachments: Vec<String>,
    external_message_id: Option<String>,
    payment_content: Option<Any<Value>>,
    integration_app: Option<String>,
    delivery: Option<DeliveryOut>,
    created_at: String,
    updated_at: String,
}

impl From<&MessageView> for MessageOut {
    fn from(view: &MessageView) -> Self {
        let m = &view.message;
        Self {
            message_id: m.message_id.to_string(),
            thread_id: m.thread_id.to_string(),
            seq: view.seq,
            author_id: m.author_id.to_string(),
            body: m.body.clone(),
            r#type: m.kind.into(),
            source: m.source.as_str().to_owned(),
            content_type: m.content_type.into(),
            attachments: m.attachments.iter().map(|a| a.url.clone()).collect(),
            external_message_id: m.external_message_id.clone(),
            payment_content: m.payment_content.as_ref().map(|d| Any(plain_json(d))),
            integration_app: m.integration_app.clone(),
            delivery: m.delivery.as_ref().map(Into::into),
            created_at: rfc3339(m.created_at),
            updated_at: rfc3339(m.updated_at),
        }
    }
}

fn plain_json(document: &mongodb::bson::Document) -> Value {
    serde_json::to_value(document).unwrap_or(Value::Null)
}

/// Who wrote a message.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct AuthorOut {
    uid: String,
    name: Option<String>,
    avatar_url: Option<String>,
}

impl AuthorOut {
    /// The author `uid`, with what its user document says.
    pub(super) fn of(uid: &Uid, user: Option<&User>) -> Self {
        Self {
            uid: uid.to_string(),
            name: user.and_then(|u| u.name.clone()),
            avatar_url: user.and_then(|u| u.avatar_url.clone()),
        }
    }
}

/// A thread. Guests get no `needsAttention`, `needsAttentionMap`, `assignedAgentIds` and `important`.
#[derive(Debug, Clone, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct ThreadOut {
    thread_id: String,
    kind: KindOut,
    source: String,
    title: String,
    status: StatusOut,
    important: Option<bool>,
    participant_ids: Vec<String>,
    assigned_agent_ids: Option<Vec<String>>,
    reservation_id: Option<String>,
    /// The latest message that the caller may see.
    last_message: Option<MessageOut>,
    /// The latest that is no note.
    last_public_message: Option<MessageOut>,
    /// Who has something to read or answer.
    needs_attention: Option<Vec<String>>,
    /// The same as `{uid: true}`.
    needs_attention_map: Option<BTreeMap<String, bool>>,
    last_whatsapp_message_sent_at: Option<String>,
    last_whatsapp_inbound_at: Option<String>,
    /// Whether a free WhatsApp text may be tried now: the 24-hour window is open, or nobody ever wrote.
    can_reply_freeform: bool,
    /// When the window closes or closed.
    window_expires_at: Option<String>,
    seq: i64,
    created_at: String,
    updated_at: String,
}

impl From<ThreadView> for ThreadOut {
    fn from(view: ThreadView) -> Self {
        let texts = |uids: &[Uid]| uids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (t, staff) = (&view.thread, view.staff);
        let window = t.window(Time::now());
        let map = || t.needs_attention.iter().map(|uid| (uid.to_string(), true)).collect();
        Self {
            thread_id: t.thread_id.to_string(),
            kind: t.kind.into(),
            source: t.source.as_str().to_owned(),
            title: t.title.clone(),
            status: t.status.into(),
            important: staff.then_some(t.important),
            participant_ids: texts(&view.participant_ids),
            assigned_agent_ids: staff.then(|| texts(&t.assigned_agent_ids)),
            reservation_id: t.reservation_id.as_ref().map(ToString::to_string),
            last_message: view.last_message.as_ref().map(Into::into),
            last_public_message: view.last_public_message.as_ref().map(Into::into),
            needs_attention: staff.then(|| texts(&t.needs_attention)),
            needs_attention_map: staff.then(map),
            last_whatsapp_message_sent_at: t.last_whatsapp_message_sent_at.map(rfc3339),
            last_whatsapp_inbound_at: t.last_whatsapp_inbound_at.map(rfc3339),
            can_reply_freeform: window.can_reply_freeform(),
            window_expires_at: window.expires_at().map(rfc3339),
            seq: view.seq,
            created_at: rfc3339(t.created_at),
            updated_at: rfc3339(view.updated_at),
        }
    }
}
