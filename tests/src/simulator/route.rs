//! Reads a request to its end and hands it to the provider its path names.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Method, Response};
use serde_json::json;
use url::form_urlencoded;

use super::judge::Request;
use super::record::{Provider, phone_form};
use super::reply::{Abort, Body, Reply};
use super::traffic::Operation;
use super::{Sim, control, exchange, media, page, templates, twilio_lookup};

/// The largest request body, in bytes.
const BODY_MAX: usize = 4 * 1024 * 1024;
/// The largest upload, in bytes: a document, and the form around it.
const UPLOAD_MAX: usize = 101 * 1024 * 1024;

/// # Errors
/// How the connection is to end instead of an answer.
pub(super) async fn handle(
    sim: &Arc<Sim>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Body>, Abort> {
    let (head, body) = request.into_parts();
    let is_upload = head.uri.path().starts_with("/whatsapp/") && head.uri.path().ends_with("/media");
    let most = if is_upload { UPLOAD_MAX } else { BODY_MAX };
    let body = match Limited::new(body, most).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Ok(Reply::json(413, &json!({"error": "request body too large"})).whole());
        }
        Err(_) => return Err(Abort::Close),
    };
    let request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    dispatch(sim, &request).await
}

async fn dispatch(sim: &Arc<Sim>, request: &Request) -> Result<Response<Body>, Abort> {
    let segments: Vec<&str> = request.path.split('/').skip(1).collect();
    match segments.as_slice() {
        [""] if request.method == Method::GET => Ok(page::show(sim).whole()),
        ["whatsapp", rest @ ..] => whatsapp(sim, rest, request).await,
        ["twilio", "media", token] => Ok(media::twilio_content(&sim.media, token).whole()),
        ["twilio", "2010-04-01", "Accounts", sid, rest @ ..] => twilio(sim, sid, rest, request).await,
        ["guest", "events"] if request.method == Method::POST => {
            exchange::send(sim, Provider::Guest, "", request).await
        }
        ["_sim", rest @ ..] => Ok(control::handle(sim, rest, request).await.whole()),
        ["guest", "events"] => Ok(not_allowed()),
        _ => Ok(not_there()),
    }
}

async fn whatsapp(sim: &Arc<Sim>, rest: &[&str], request: &Request) -> Result<Response<Body>, Abort> {
    let (numbers, look_at) = (&sim.config.whatsapp, Provider::Whatsapp);
    match (&request.method, rest) {
        (&Method::POST, [version, number, "messages"]) if version.starts_with('v') => {
            exchange::send(sim, Provider::Whatsapp, number, request).await
        }
        (&Method::POST, [version, number, "media"]) if version.starts_with('v') => {
            let stored = media::upload(&sim.media, numbers, number, request).await;
            exchange::look_up(sim, (look_at, Operation::Upload), "", request, || stored).await
        }
        (&Method::GET, [version, waba, "message_templates"]) if version.starts_with('v') => {
            let list = || templates::list(&sim.templates, numbers, &sim.config.waba_id, waba, request);
            exchange::look_up(sim, (look_at, Operation::Templates), "", request, list).await
        }
        (&Method::GET, ["media", token]) => {
            let content = || media::download(&sim.media, numbers, token, request);
            exchange::look_up(sim, (look_at, Operation::Media), "", request, content).await
        }
        (&Method::GET | &Method::DELETE, [version, id]) if version.starts_with('v') => {
            let medium = || media::look_up(&sim.media, numbers, id, request);
            exchange::look_up(sim, (look_at, Operation::Media), "", request, medium).await
        }
        (_, [_, _, "messages" | "media" | "message_templates"]) => Ok(not_allowed()),
        _ => Ok(not_there()),
    }
}

async fn twilio(
    sim: &Arc<Sim>,
    sid: &str,
    rest: &[&str],
    request: &Request,
) -> Result<Response<Body>, Abort> {
    let (look_up, look_at) = ((Provider::Twilio, Operation::Lookup), (Provider::Twilio, Operation::Media));
    match (&request.method, rest) {
        (&Method::POST, ["Messages.json"]) => exchange::send(sim, Provider::Twilio, sid, request).await,
        (&Method::GET, ["Messages.json"]) => {
            let to = query(request, "To").map(|to| phone_form(&to)).unwrap_or_default();
            exchange::look_up(sim, look_up, &to, request, || twilio_lookup::list(sim, sid, request)).await
        }
        (&Method::GET, ["Messages", file]) => {
            exchange::look_up(sim, look_up, "", request, || twilio_lookup::fetch(sim, sid, file, request))
                .await
        }
        (&Method::GET | &Method::DELETE, ["Messages", _, "Media", id]) => {
            let accounts = &sim.config.twilio;
            let medium = || media::twilio_media(&sim.media, accounts, sid, id, request);
            exchange::look_up(sim, look_at, "", request, medium).await
        }
        (_, ["Messages.json"]) => Ok(not_allowed()),
        _ => Ok(not_there()),
    }
}

fn not_allowed() -> Response<Body> {
    Reply::json(405, &json!({"error": "method not allowed"})).whole()
}

fn not_there() -> Response<Body> {
    Reply::json(404, &json!({"error": "no such endpoint"})).whole()
}

/// The first value of a query parameter that is there and not empty.
pub(super) fn query(request: &Request, name: &str) -> Option<String> {
    form_urlencoded::parse(request.query.as_bytes())
        .find(|(given, value)| given == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}
