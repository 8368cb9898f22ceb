//! The control API of what lies behind the providers: customers, the guest platform, templates, media.

use std::sync::Arc;

use chrono::Utc;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::read;
use super::customer::{GuestReply, InboundOrder};
use super::judge::Request;
use super::people::Identity;
use super::templates::Template;
use super::{Sim, courier};

/// Something about one of our numbers; the first unless named.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Switch {
    number: Option<String>,
    /// Whether the window is open, or marketing is stopped.
    on: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    status: String,
}

/// # Errors
/// What is wrong with the order, in words.
pub(super) fn handle(sim: &Arc<Sim>, path: &[&str], request: &Request) -> Result<Value, String> {
    match (&request.method, path) {
        (&Method::GET, ["customers"]) => Ok(sim.people.shown()),
        (&Method::PUT, ["customers", phone]) => {
            let identity: Identity = read(request)?;
            sim.people.identify(&plain(phone), identity);
            Ok(json!({"known": true}))
        }
        (&Method::POST, ["customers", phone, "messages"]) => {
            let order: InboundOrder = read(request)?;
            Ok(json!({"id": sim.order(&plain(phone), order)}))
        }
        (&Method::POST, ["customers", phone, "window"]) => {
            let ((number, open), phone) = (switch(sim, request)?, plain(phone));
            match open {
                true => sim.people.wrote(&number, &phone, Utc::now(), false),
                false => sim.people.close_window(&number, &phone),
            }
            Ok(json!({"until": sim.people.window(&number, &phone, Utc::now())}))
        }
        (&Method::POST, ["customers", phone, "marketing-stop"]) => {
            let (number, stop) = switch(sim, request)?;
            sim.people.stop_marketing(&number, &plain(phone), stop);
            Ok(json!({"stopped": stop}))
        }
        (&Method::POST, ["guest", "replies"]) => {
            let reply: GuestReply = read(request)?;
            Ok(json!({"webhookId": courier::bring_reply(sim, reply)}))
        }
        (&Method::GET, ["templates"]) => Ok(json!({"templates": sim.templates.all()})),
        (&Method::PUT, ["templates"]) => {
            let new: Vec<Template> = read(request)?;
            let count = new.len();
            sim.templates.change(|all| *all = new);
            Ok(json!({"templates": count}))
        }
        (&Method::POST, ["templates", name, language]) => {
            let NewStatus { status } = read(request)?;
            sim.template_becomes(name, language, &status).map(|()| json!({"status": status}))
        }
        (&Method::POST, ["media", "expire"]) => {
            sim.media.expire_addresses();
            Ok(json!({"expired": true}))
        }
        _ => Err("no such control endpoint".to_owned()),
    }
}

/// A phone as it stands in a path.
fn plain(phone: &str) -> String {
    phone.replace("%2B", "+")
}

fn switch(sim: &Sim, request: &Request) -> Result<(String, bool), String> {
    let Switch { number, on } = read(request)?;
    let first = || sim.config.whatsapp.first().map(|number| number.phone_number_id.clone());
    Ok((number.or_else(first).ok_or("the simulator has no WhatsApp number")?, on))
}
