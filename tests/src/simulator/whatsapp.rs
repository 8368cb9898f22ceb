//! WhatsApp Cloud API: `POST /whatsapp/{version}/{phone_number_id}/messages`, judged as Meta does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::codes;
use super::config::WhatsappNumber;
use super::judge::{Judged, Refusal, Request};
use super::record::{Accepted, Message, phone_form};
use super::reply::Reply;
use super::whatsapp_content;

/// Characters of `biz_opaque_callback_data`.
const OPAQUE_MAX: usize = 512;

/// Judges one request to the number in the path.
pub(super) fn judge(numbers: &[WhatsappNumber], phone_number_id: &str, request: &Request) -> Judged {
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(&request.body);
    let payload = parsed.unwrap_or_default();
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    let message = Message {
        key: text("biz_opaque_callback_data").map(str::to_owned),
        to: text("to").or(text("recipient")).map(phone_form).unwrap_or_default(),
        from: phone_number_id.to_owned(),
        kind: text("type").unwrap_or("text").to_owned(),
        body: whatsapp_content::shown(&payload),
        echo: text("to").map(|to| ("input", to.to_owned())).into_iter().collect(),
        headers: request.kept_headers(),
        ..Message::default()
    };
    let refusal = authorize(numbers, phone_number_id, request)
        .and_then(|number| envelope(&payload).map(|()| number))
        .and_then(|number| if is_read_mark(&payload) { Ok(()) } else { content(&payload, number) })
        .err();
    let mut judged = Judged::new(message, refusal);
    if judged.refusal.is_none() && is_read_mark(&payload) {
        judged.aside = Some(Reply::json(200, &json!({"success": true})));
    } else if judged.message.kind != "text" || payload.contains_key("context") {
        judged.message.payload = Some(Value::Object(payload));
    }
    judged
}

/// The number of the path, if the request may act for it.
///
/// # Errors
/// 190 for a token that no number has, 100 for another number than that of the token.
pub(super) fn authorize<'a>(
    numbers: &'a [WhatsappNumber],
    phone_number_id: &str,
    request: &Request,
) -> Result<&'a WhatsappNumber, Refusal> {
    let token = authorize_any(numbers, request)?;
    let number = numbers
        .iter()
        .find(|number| number.phone_number_id == phone_number_id && token == number.access_token.0.as_str());
    number.ok_or_else(no_such_object)
}

/// The token of the request, which some number has.
///
/// # Errors
/// 190.
pub(super) fn authorize_any<'a>(
    numbers: &[WhatsappNumber],
    request: &'a Request,
) -> Result<&'a str, Refusal> {
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let known = token.filter(|token| numbers.iter().any(|number| *token == number.access_token.0.as_str()));
    known.ok_or_else(|| Refusal::code(190, "Invalid OAuth access token - Cannot parse access token"))
}

/// What Meta says of an id that is not there, or not for this token.
pub(super) fn no_such_object() -> Refusal {
    Refusal::code(
        100,
        "Unsupported request. Object with this ID does not exist, cannot be loaded due to missing permissions, or \
         does not support this operation.",
    )
}

fn envelope(payload: &Map<String, Value>) -> Result<(), Refusal> {
    match payload.get("messaging_product") {
        None => Err(Refusal::code(100, "(#100) The parameter messaging_product is required.")),
        Some(product) if product == "whatsapp" => Ok(()),
        Some(_) => Err(Refusal::code(100, "(#100) Param messaging_product must be one of {WHATSAPP}.")),
    }
}

fn is_read_mark(payload: &Map<String, Value>) -> bool {
    payload.get("status").is_some_and(|status| status == "read")
        && payload.get("message_id").is_some_and(Value::is_string)
}

fn content(payload: &Map<String, Value>, number: &WhatsappNumber) -> Result<(), Refusal> {
    recipient(payload, number)?;
    match payload.get("biz_opaque_callback_data") {
        None => {}
        Some(Value::String(opaque)) if opaque.chars().count() <= OPAQUE_MAX => {}
        Some(_) => {
            return Err(Refusal::code(
                100,
                "(#100) Param biz_opaque_callback_data must be a string of at most 512 characters.",
            ));
        }
    }
    if let Some(context) = payload.get("context")
        && context.get("message_id").and_then(Value::as_str).is_none_or(str::is_empty)
    {
        return Err(Refusal::code(131_009, "Param context['message_id'] must be the id of a message."));
    }
    whatsapp_content::check(payload)
}

fn recipient(payload: &Map<String, Value>, number: &WhatsappNumber) -> Result<(), Refusal> {
    if let Some(kind) = payload.get("recipient_type")
        && kind != "individual"
    {
        return Err(Refusal::code(100, "(#100) Param recipient_type must be one of {INDIVIDUAL}."));
    }
    let to = match (payload.get("to"), payload.get("recipient")) {
        (Some(Value::String(to)), _) => to,
        (None, Some(Value::String(user))) if !user.is_empty() => return Ok(()),
        (None, None) => return Err(Refusal::code(100, "(#100) The parameter to is required.")),
        _ => return Err(Refusal::code(100, "(#100) Param to must be a string.")),
    };
    let digits = to.strip_prefix('+').unwrap_or(to);
    if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::code(131_009, "The parameter to is not a valid phone number."));
    }
    if digits == number.display_phone_number {
        return Err(Refusal::code(131_021, "Sender and recipient phone number is the same."));
    }
    Ok(())
}

/// The `wamid.…` of the n-th accepted send of a run.
pub(super) fn message_id(run: &str, n: u64) -> String {
    format!("wamid.{}", STANDARD.encode(format!("{run}{n:011}")))
}

/// The 200 that means *accepted*.
pub(super) fn accepted_reply(accepted: &Accepted) -> Reply {
    let mut contact = match accepted.echo.get("input") {
        Some(input) => json!({"input": input, "wa_id": accepted.wa_id()}),
        None => json!({"input": accepted.echo.get("user").unwrap_or(&accepted.to)}),
    };
    let user = accepted.echo.get("user").or((!accepted.echo.contains_key("input")).then_some(&accepted.to));
    if let Some(user) = user {
        contact["user_id"] = user.as_str().into();
    }
    let mut message = json!({"id": accepted.provider_id});
    if accepted.kind == "template" {
        message["message_status"] = "accepted".into();
    }
    Reply::json(200, &json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}))
}

/// Meta's error shape. Without a code the body is a bare error, as a proxy in front of Meta sends it.
pub(super) fn error_reply(refusal: &Refusal) -> Reply {
    let Some(code) = refusal.code else {
        let status = refusal.status.unwrap_or(500);
        return Reply::raw(
            status,
            "text/html",
            b"<html><body>Sorry, something went wrong.</body></html>".to_vec(),
        );
    };
    let (status, title) = codes::whatsapp(code);
    let detail = if refusal.detail.is_empty() { title } else { &refusal.detail };
    let trace = format!("A{:016x}", rand::random::<u64>());
    let mut error = json!({"message": detail, "type": "OAuthException", "code": code});
    if code > 1000 {
        error["message"] = format!("(#{code}) {title}").into();
        error["error_data"] = json!({"messaging_product": "whatsapp", "details": detail});
    }
    error["fbtrace_id"] = trace.into();
    Reply::json(refusal.status.unwrap_or(status), &json!({"error": error})).with_code(Some(code))
}
