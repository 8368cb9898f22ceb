//! Judgements for which a provider looks beyond the request: windows, templates, media, opt-outs, identities.
//!
//! Each holds only where [`super::Fidelity`] asks for it.

use chrono::Utc;
use serde_json::Value;

use super::judge::Refusal;
use super::record::{Message, Provider, phone_form};
use super::settings::WindowRule;
use super::{Sim, media, template_sends};

/// What is wrong with a message beyond its form.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) refusal: Option<Refusal>,
    /// It is accepted, and a status will tell of this code.
    pub(super) failure: Option<u32>,
}

impl Verdict {
    fn refuse(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), failure: None }
    }

    fn fail(code: u32) -> Self {
        Self { refusal: None, failure: Some(code) }
    }
}

/// Puts the names into the message by which WhatsApp knows its recipient, and the category of its template.
pub(super) fn complete(sim: &Sim, provider: Provider, message: &mut Message) {
    if provider != Provider::Whatsapp {
        return;
    }
    if let Some(phone) = sim.people.phone_of(&message.to) {
        message.to = phone_form(&phone);
    }
    let identity = sim.people.identity(&message.to);
    let template = message.payload.as_ref().map(|payload| &payload["template"]);
    let template = template
        .and_then(|sent| sim.templates.find(sent["name"].as_str()?, sent["language"]["code"].as_str()?));
    let category = template.map(|template| template.category.to_ascii_lowercase());
    let known = [("wa_id", identity.wa_id), ("user", identity.user_id), ("category", category)];
    for (name, value) in known {
        if let Some(value) = value {
            message.echo.insert(name, value);
        }
    }
}

/// Judges a message whose form is right.
pub(super) fn judge(sim: &Sim, provider: Provider, message: &Message) -> Verdict {
    let fidelity = sim.settings.read().fidelity.clone();
    match provider {
        Provider::Guest => Verdict::default(),
        Provider::Twilio => {
            if fidelity.opt_outs && sim.people.has_stopped(&message.from, &message.to) {
                return Verdict::refuse(Refusal::code(21_610, ""));
            }
            Verdict::default()
        }
        Provider::Whatsapp if message.kind == "template" => {
            let sent = message.payload.as_ref().map_or(&Value::Null, |payload| &payload["template"]);
            if fidelity.templates
                && let Err(refusal) = template_sends::check(&sim.templates, sent)
            {
                return Verdict::refuse(refusal);
            }
            let is_marketing = message.echo.get("category").is_some_and(|category| category == "marketing");
            if fidelity.opt_outs && is_marketing && sim.people.refuses_marketing(&message.from, &message.to) {
                return Verdict::fail(131_050);
            }
            Verdict::default()
        }
        Provider::Whatsapp => {
            if fidelity.media
                && let Err(refusal) = known_media(sim, message)
            {
                return Verdict::refuse(refusal);
            }
            let open = sim.people.window(&message.from, &message.to, Utc::now()).is_some();
            match fidelity.windows {
                WindowRule::Refuse if !open => Verdict::refuse(Refusal::code(
                    131_047,
                    "Message failed to send because more than 24 hours have passed since the customer last \
                     replied to this number.",
                )),
                WindowRule::Fail if !open => Verdict::fail(131_047),
                _ => Verdict::default(),
            }
        }
    }
}

/// A medium that is sent by its id must be there and of the right type.
fn known_media(sim: &Sim, message: &Message) -> Result<(), Refusal> {
    let object = message.payload.as_ref().map_or(&Value::Null, |payload| &payload[&message.kind]);
    let Some(id) = object["id"].as_str() else { return Ok(()) };
    let Some(medium) = sim.media.get(id) else {
        return Err(Refusal::code(131_053, format!("Media {id} is not there, or its time is over.")));
    };
    media::fits(&medium, &message.kind)
}
