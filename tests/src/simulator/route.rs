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
use super::{Sim, control, exchange, twilio_lookup};

/// The largest request body, in bytes.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// # Errors
/// How the connection is to end instead of an answer.
pub(super) async fn handle(
    sim: &Arc<Sim>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Body>, Abort> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_MAX).collect().await {
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
    match (&request.method, segments.as_slice()) {
        (&Method::POST, ["whatsapp", version, number, "messages"]) if version.starts_with('v') => {
            exchange::send(sim, Provider::Whatsapp, number, request).await
        }
        (&Method::POST, ["twilio", "2010-04-01", "Accounts", sid, "Messages.json"]) => {
            exchange::send(sim, Provider::Twilio, sid, request).await
        }
        (&Method::GET, ["twilio", "2010-04-01", "Accounts", sid, "Messages.json"]) => {
            let to = query(request, "To").map(|to| phone_form(&to)).unwrap_or_default();
            exchange::look_up(sim, &to, request, || twilio_lookup::list(sim, sid, request)).await
        }
        (&Method::GET, ["twilio", "2010-04-01", "Accounts", sid, "Messages", file]) => {
            exchange::look_up(sim, "", request, || twilio_lookup::fetch(sim, sid, file, request)).await
        }
        (&Method::POST, ["guest", "events"]) => exchange::send(sim, Provider::Guest, "", request).await,
        (_, ["_sim", rest @ ..]) => Ok(control::handle(sim, rest, request).await.whole()),
        (_, ["whatsapp", _, _, "messages"] | ["guest", "events"])
        | (_, ["twilio", "2010-04-01", "Accounts", _, "Messages.json"]) => {
            Ok(Reply::json(405, &json!({"error": "method not allowed"})).whole())
        }
        _ => Ok(Reply::json(404, &json!({"error": "no such endpoint"})).whole()),
    }
}

/// The first value of a query parameter that is there and not empty.
pub(super) fn query(request: &Request, name: &str) -> Option<String> {
    form_urlencoded::parse(request.query.as_bytes())
        .find(|(given, value)| given == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}
