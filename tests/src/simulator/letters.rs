//! The webhooks as they are posted: what each tells, in the provider's envelope, signed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Sim;
use super::codes;
use super::config::WhatsappNumber;
use super::customer::GuestReply;
use super::inbound::{Inbound, Way};
use super::record::{Accepted, Provider};
use super::signature;
use super::statuses::Step;
use super::templates::Template;

/// Something that a webhook tells.
#[derive(Clone)]
pub(super) enum Item {
    Status(Arc<Accepted>, Step),
    Inbound(Arc<Inbound>),
    /// A reply of the guest platform, its webhook id and when it was written.
    Reply(Arc<GuestReply>, Arc<str>, DateTime<Utc>),
    /// A template came into another status.
    Template(Arc<Template>),
}

impl Item {
    pub(super) fn provider(&self) -> Provider {
        match self {
            Self::Status(accepted, _) => accepted.provider,
            Self::Inbound(inbound) if inbound.way == Way::Sms => Provider::Twilio,
            Self::Inbound(_) | Self::Template(_) => Provider::Whatsapp,
            Self::Reply(..) => Provider::Guest,
        }
    }

    /// `sent`, `delivered` … `message`, `template`.
    pub(super) fn status(&self) -> &str {
        match self {
            Self::Status(_, step) => &step.status,
            Self::Inbound(_) | Self::Reply(..) => "message",
            Self::Template(_) => "template",
        }
    }

    /// The provider's id of what it is about.
    pub(super) fn provider_id(&self) -> &str {
        match self {
            Self::Status(accepted, _) => &accepted.provider_id,
            Self::Inbound(inbound) => &inbound.id,
            Self::Reply(reply, ..) => &reply.external_message_id,
            Self::Template(template) => &template.id,
        }
    }

    pub(super) fn key(&self) -> Option<&String> {
        match self {
            Self::Status(accepted, _) => accepted.key.as_ref(),
            _ => None,
        }
    }

    /// Items of one batch may share a webhook; `None` for those that always go alone.
    pub(super) fn batch(&self) -> Option<String> {
        match self {
            Self::Status(accepted, _) if accepted.provider == Provider::Whatsapp => {
                Some(format!("statuses of {}", accepted.from))
            }
            Self::Inbound(inbound) if inbound.way == Way::Whatsapp => {
                Some(format!("messages to {}", inbound.number))
            }
            _ => None,
        }
    }
}

/// A webhook ready to be posted.
pub(super) struct Webhook {
    /// The URL that is signed.
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

/// The webhook that tells of `items`, which are of one batch; `None` when there is nowhere to send it.
pub(super) fn write(sim: &Sim, items: &[Item]) -> Option<Webhook> {
    match items.first()? {
        Item::Status(accepted, step) if accepted.provider == Provider::Twilio => {
            twilio_status(sim, accepted, step)
        }
        Item::Inbound(inbound) if inbound.way == Way::Sms => twilio_message(sim, inbound),
        Item::Reply(reply, id, at) => guest(sim, reply, id, *at),
        Item::Template(template) => whatsapp(sim, None, vec![template_change(template)]),
        Item::Status(accepted, _) => {
            let number = number(sim, &accepted.from)?;
            whatsapp(sim, Some(number), vec![messages_change(number, items)])
        }
        Item::Inbound(inbound) => {
            let number = number(sim, &inbound.number)?;
            whatsapp(sim, Some(number), vec![messages_change(number, items)])
        }
    }
}

fn number<'a>(sim: &'a Sim, id: &str) -> Option<&'a WhatsappNumber> {
    sim.config.whatsapp.iter().find(|number| number.phone_number_id == id)
}

/// Signed with the secret of the app that the number belongs to, or of the first.
fn whatsapp(sim: &Sim, number: Option<&WhatsappNumber>, changes: Vec<Value>) -> Option<Webhook> {
    let base = sim.settings.read().webhook_base.clone()?;
    let number = number.or(sim.config.whatsapp.first())?;
    let entry = json!({"id": sim.config.waba_id, "changes": changes});
    let body = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string().into_bytes();
    let signature = signature::whatsapp(&number.app_secret.0, &body);
    let headers = vec![("Content-Type", "application/json".to_owned()), ("X-Hub-Signature-256", signature)];
    Some(Webhook { url: format!("{base}/webhooks/whatsapp"), headers, body })
}

fn messages_change(number: &WhatsappNumber, items: &[Item]) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": number.display_phone_number,
            "phone_number_id": number.phone_number_id,
        },
    });
    let mut tell = |list: &str, told: Value| match value[list].as_array_mut() {
        Some(list) => list.push(told),
        None => value[list] = json!([told]),
    };
    for item in items {
        match item {
            Item::Status(accepted, step) => tell("statuses", status(accepted, step)),
            Item::Inbound(inbound) => {
                tell("contacts", inbound.whatsapp_contact());
                tell("messages", inbound.whatsapp_message(&number.display_phone_number));
            }
            Item::Reply(..) | Item::Template(_) => {}
        }
    }
    json!({"value": value, "field": "messages"})
}

fn status(accepted: &Accepted, step: &Step) -> Value {
    let mut status = json!({
        "id": accepted.provider_id,
        "status": step.status,
        "timestamp": Utc::now().timestamp().to_string(),
        "recipient_id": accepted.wa_id(),
    });
    if let Some(user) = accepted.echo.get("user") {
        status["recipient_user_id"] = user.as_str().into();
    }
    if let Some(key) = &accepted.key {
        status["biz_opaque_callback_data"] = key.as_str().into();
    }
    match step.code {
        None => {
            let category = accepted.echo.get("category").map_or("service", String::as_str);
            status["pricing"] = json!({
                "billable": true, "pricing_model": "PMP", "type": "regular", "category": category,
            });
        }
        Some(code) => {
            let title = codes::whatsapp(code).1;
            status["errors"] = json!([{
                "code": code,
                "title": title,
                "message": title,
                "error_data": {"details": title},
                "href": "/docs/whatsapp/cloud-api/support/error-codes/",
            }]);
        }
    }
    status
}

fn template_change(template: &Template) -> Value {
    let value = json!({
        "event": template.status,
        "message_template_id": template.id,
        "message_template_name": template.name,
        "message_template_language": template.language,
        "message_template_category": template.category,
        "reason": "NONE",
    });
    json!({"value": value, "field": "message_template_status_update"})
}

fn twilio_status(sim: &Sim, accepted: &Accepted, step: &Step) -> Option<Webhook> {
    let sid = accepted.echo.get("account")?;
    let mut fields: Vec<(String, String)> = [
        ("ApiVersion", "2010-04-01"),
        ("AccountSid", sid),
        ("SmsSid", &accepted.provider_id),
        ("SmsStatus", &step.status),
        ("MessageSid", &accepted.provider_id),
        ("MessageStatus", &step.status),
        ("To", &accepted.to),
        ("From", &accepted.from),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if let Some(service) = accepted.echo.get("service") {
        fields.push(("MessagingServiceSid".to_owned(), service.clone()));
    }
    if let Some(code) = step.code {
        fields.push(("ErrorCode".to_owned(), code.to_string()));
    }
    twilio(sim, sid, accepted.callback.clone()?, &fields)
}

fn twilio_message(sim: &Sim, inbound: &Inbound) -> Option<Webhook> {
    let settings = sim.settings.read();
    let base = settings.public_url.as_ref().or(settings.webhook_base.as_ref())?;
    let url = format!("{}/webhooks/twilio/sms", base.trim_end_matches('/'));
    drop(settings);
    let owner = |account: &&super::config::TwilioAccount| account.numbers.contains(&inbound.number);
    let account = sim.config.twilio.iter().find(owner).or(sim.config.twilio.first())?;
    twilio(sim, &account.account_sid, url, &inbound.twilio_fields(&account.account_sid))
}

fn twilio(sim: &Sim, sid: &str, url: String, fields: &[(String, String)]) -> Option<Webhook> {
    let account = sim.config.twilio.iter().find(|account| account.account_sid == sid)?;
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let signature = signature::twilio(&account.auth_token.0, &url, fields);
    let headers = vec![("Content-Type", FORM.to_owned()), ("X-Twilio-Signature", signature)];
    Some(Webhook { url, headers, body: body.into_bytes() })
}

/// The timestamp is that of this try, as the scheme asks for.
fn guest(sim: &Sim, reply: &GuestReply, id: &str, at: DateTime<Utc>) -> Option<Webhook> {
    let base = sim.settings.read().webhook_base.clone()?;
    let mut data = json!({
        "threadId": reply.thread_id, "externalMessageId": reply.external_message_id, "body": reply.body,
    });
    if !reply.attachments.is_empty() {
        data["attachments"] = json!(reply.attachments);
    }
    if let Some(author) = &reply.author {
        data["author"] = author.clone();
    }
    let written = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let body =
        json!({"type": "message.created", "timestamp": written, "data": data}).to_string().into_bytes();
    let now = Utc::now().timestamp();
    let signature = signature::standard(&sim.config.guest_secret.0, id, now, &body)?;
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", signature),
    ];
    Some(Webhook { url: format!("{base}/webhooks/guest"), headers, body })
}
