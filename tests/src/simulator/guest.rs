//! The guest platform: `POST /guest/events`, a Standard Webhooks receiver that is idempotent by webhook id.

use chrono::Utc;
use serde_json::{Value, json};

use super::judge::{Judged, Refusal, Request};
use super::record::{Accepted, Message, Provider, Record};
use super::reply::Reply;
use super::signature::{self, StandardRefusal};

/// Judges one event; a known webhook id with the same event is a repetition, with another one a conflict.
pub(super) fn judge(secret: &str, record: &Record, request: &Request) -> Judged {
    let parsed: Option<Value> = serde_json::from_slice(&request.body).ok();
    let event = parsed.unwrap_or_default();
    let text = |name: &str| event["data"][name].as_str().unwrap_or_default().to_owned();
    let message = Message {
        key: request.header("webhook-id").map(str::to_owned),
        to: text("threadId"),
        from: text("authorId"),
        body: text("body"),
        kind: event["type"].as_str().unwrap_or_default().to_owned(),
        headers: request.kept_headers(),
        payload: Some(event),
        raw: request.body.clone(),
        ..Message::default()
    };
    let refusal = verify(secret, request)
        .and_then(|()| check(message.payload.as_ref().unwrap_or(&Value::Null)))
        .and_then(|()| same_as_before(record, &message))
        .err();
    Judged::new(message, refusal)
}

fn verify(secret: &str, request: &Request) -> Result<(), Refusal> {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| request.header(name));
    signature::verify_standard(secret, headers, &request.body, Utc::now().timestamp()).map_err(|reason| {
        let detail = match reason {
            StandardRefusal::MissingHeader => "missing or malformed webhook header",
            StandardRefusal::Timestamp => "webhook-timestamp outside the tolerance",
            StandardRefusal::Signature => "no matching signature",
        };
        Refusal { status: Some(401), code: None, detail: detail.to_owned() }
    })
}

fn check(event: &Value) -> Result<(), Refusal> {
    let complete = event["type"].is_string() && event["timestamp"].is_string() && event["data"].is_object();
    if complete {
        return Ok(());
    }
    let detail = "an event needs type, timestamp and data".to_owned();
    Err(Refusal { status: Some(400), code: None, detail })
}

fn same_as_before(record: &Record, message: &Message) -> Result<(), Refusal> {
    let id = message.key.as_deref().unwrap_or_default();
    match record.of_job(Provider::Guest, id).first() {
        Some(known) if known.payload != message.payload => {
            let detail = "webhook id known with another event".to_owned();
            Err(Refusal { status: Some(409), code: None, detail })
        }
        _ => Ok(()),
    }
}

/// The id of the n-th accepted event of a run.
pub(super) fn event_id(run: &str, n: u64) -> String {
    format!("evt_{run}{n:x}")
}

pub(super) fn accepted_reply(accepted: &Accepted) -> Reply {
    Reply::json(200, &json!({"id": accepted.provider_id, "duplicate": accepted.duplicate}))
}

pub(super) fn error_reply(refusal: &Refusal) -> Reply {
    let body = json!({"error": {"code": refusal.code, "message": refusal.detail}});
    let status = refusal.status.or(refusal.code.and_then(|code| u16::try_from(code).ok())).unwrap_or(500);
    Reply::json(status, &body).with_code(refusal.code)
}
