//! Twilio Messaging: `POST /twilio/2010-04-01/Accounts/{sid}/Messages.json`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded;

use super::codes;
use super::config::TwilioAccount;
use super::judge::{Judged, Refusal, Request};
use super::record::{Accepted, Message, phone_form};
use super::reply::Reply;
use super::segments;

const BODY_MAX: usize = 1600;
const MEDIA_MAX: usize = 10;

/// The account that the path names, if the request may act for it.
///
/// # Errors
/// 20003 for bad credentials, also for an account that is not there.
pub(super) fn authorize<'a>(
    accounts: &'a [TwilioAccount],
    sid: &str,
    request: &Request,
) -> Result<&'a TwilioAccount, Refusal> {
    let given = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let given = given.and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let account = accounts.iter().find(|account| account.account_sid == sid);
    account
        .filter(|account| given == format!("{sid}:{}", account.auth_token.0).into_bytes())
        .ok_or_else(|| Refusal::code(20_003, "Authenticate"))
}

/// Judges one request to create a message.
pub(super) fn judge(accounts: &[TwilioAccount], sid: &str, request: &Request) -> Judged {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
    let message = read(sid, &fields, request);
    let refusal =
        authorize(accounts, sid, request).and_then(|account| check(account, &fields, request)).err();
    Judged::new(message, refusal)
}

fn read(sid: &str, fields: &[(String, String)], request: &Request) -> Message {
    let field = |name: &str| field(fields, name);
    let media: Vec<&str> = all(fields, "MediaUrl").collect();
    let callback = field("StatusCallback").map(str::to_owned);
    let mut echo = std::collections::BTreeMap::from([("account", sid.to_owned())]);
    if let Some(service) = field("MessagingServiceSid") {
        echo.insert("service", service.to_owned());
    }
    Message {
        key: callback.as_deref().and_then(callback_key),
        to: field("To").map(phone_form).unwrap_or_default(),
        from: field("From").or(field("MessagingServiceSid")).unwrap_or_default().to_owned(),
        body: field("Body").unwrap_or_default().to_owned(),
        kind: if media.is_empty() { "sms" } else { "mms" }.to_owned(),
        payload: (!media.is_empty()).then(|| json!({"MediaUrl": media})),
        callback,
        echo,
        headers: request.kept_headers(),
        ..Message::default()
    }
}

fn check(account: &TwilioAccount, fields: &[(String, String)], request: &Request) -> Result<(), Refusal> {
    if !request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded")) {
        return Err(Refusal {
            status: Some(415),
            code: Some(20_001),
            detail: "Unsupported media type".into(),
        });
    }
    let to = field(fields, "To").ok_or_else(|| Refusal::code(21_604, ""))?;
    if !is_address(to) {
        return Err(Refusal::code(21_211, ""));
    }
    match (field(fields, "From"), field(fields, "MessagingServiceSid")) {
        (None, None) => return Err(Refusal::code(21_603, "")),
        (Some(from), _) => check_sender(account, from)?,
        (None, Some(_)) => {}
    }
    let body = field(fields, "Body").unwrap_or_default();
    let media = all(fields, "MediaUrl").count();
    if body.is_empty() && media == 0 && field(fields, "ContentSid").is_none() {
        return Err(Refusal::code(21_602, ""));
    }
    if body.chars().count() > BODY_MAX {
        return Err(Refusal::code(21_617, ""));
    }
    if media > MEDIA_MAX {
        return Err(Refusal::code(21_623, ""));
    }
    if !all(fields, "MediaUrl").all(is_web_url) {
        return Err(Refusal::code(21_620, ""));
    }
    if field(fields, "StatusCallback").is_some_and(|callback| !is_web_url(callback)) {
        return Err(Refusal::code(21_609, ""));
    }
    Ok(())
}

fn check_sender(account: &TwilioAccount, from: &str) -> Result<(), Refusal> {
    if !is_address(from) && !is_short_code(from) {
        return Err(Refusal::code(21_212, ""));
    }
    if !account.numbers.is_empty() && !account.numbers.iter().any(|number| number == from) {
        return Err(Refusal::code(21_606, ""));
    }
    Ok(())
}

/// `+` and 8 to 15 digits, alone or behind `whatsapp:`.
fn is_address(text: &str) -> bool {
    let number = text.strip_prefix("whatsapp:").unwrap_or(text);
    number.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

fn is_short_code(text: &str) -> bool {
    (5..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// The first value of a form field that is there and not empty.
pub(super) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    all(fields, name).find(|value| !value.is_empty())
}

fn all<'a>(fields: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
}

/// `{job}.{attempt}` from the query `job=…&a=…` of a status callback.
fn callback_key(callback: &str) -> Option<String> {
    let url = Url::parse(callback).ok()?;
    let get = |name: &str| url.query_pairs().find(|(given, _)| given == name).map(|(_, value)| value);
    let job = get("job")?;
    Some(match get("a") {
        Some(attempt) => format!("{job}.{attempt}"),
        None => job.into_owned(),
    })
}

/// `SM…` (or `MM…` with media) of the n-th accepted send of a run.
pub(super) fn message_sid(run: &str, n: u64, message: &Message) -> String {
    let prefix = if message.kind == "mms" { "MM" } else { "SM" };
    format!("{prefix}{run}{n:016x}")
}

/// The 201 that means *queued*.
pub(super) fn accepted_reply(accepted: &Accepted) -> Reply {
    let status = if accepted.echo.contains_key("service") { "accepted" } else { "queued" };
    Reply::json(201, &resource(accepted, status, None))
}

/// Twilio's message resource, in the state that is given.
pub(super) fn resource(accepted: &Accepted, status: &str, error: Option<u32>) -> Value {
    let account = accepted.echo.get("account").map(String::as_str).unwrap_or_default();
    let service = accepted.echo.get("service");
    let sid = &accepted.provider_id;
    let uri = format!("/2010-04-01/Accounts/{account}/Messages/{sid}");
    let media =
        accepted.payload.as_ref().and_then(|payload| payload["MediaUrl"].as_array()).map_or(0, Vec::len);
    let unsent = matches!(status, "queued" | "accepted");
    json!({
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": accepted.body,
        "date_created": rfc2822(accepted.at),
        "date_sent": if unsent { Value::Null } else { rfc2822(accepted.at).into() },
        "date_updated": rfc2822(accepted.at),
        "direction": "outbound-api",
        "error_code": error,
        "error_message": error.map(|code| codes::twilio(code).1),
        "from": if service == Some(&accepted.from) { Value::Null } else { accepted.from.as_str().into() },
        "messaging_service_sid": service,
        "num_media": media.to_string(),
        "num_segments": if service.is_some() { "0".to_owned() } else { segments::count(&accepted.body).to_string() },
        "price": null,
        "price_unit": "USD",
        "sid": sid,
        "status": status,
        "subresource_uris": {"media": format!("{uri}/Media.json")},
        "to": accepted.to,
        "uri": format!("{uri}.json"),
    })
}

/// Twilio's dates, `Fri, 24 May 2019 17:18:27 +0000`.
fn rfc2822(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Twilio's error shape. Without a code the body is a bare error.
pub(super) fn error_reply(refusal: &Refusal) -> Reply {
    let Some(code) = refusal.code else {
        let status = refusal.status.unwrap_or(500);
        return Reply::raw(status, "text/html", b"<html><body>Service unavailable</body></html>".to_vec());
    };
    let (status, title) = codes::twilio(code);
    let status = refusal.status.unwrap_or(status);
    let message = if refusal.detail.is_empty() { title } else { &refusal.detail };
    let body = json!({
        "code": code,
        "message": message,
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status,
    });
    Reply::json(status, &body).with_code(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_comes_from_the_callback() {
        let key = |url| callback_key(url);
        assert_eq!(key("https://x.example/status?job=01J&a=2").as_deref(), Some("01J.2"));
        assert_eq!(key("https://x.example/status?job=01J").as_deref(), Some("01J"));
        assert_eq!(key("https://x.example/status"), None);
    }

    #[test]
    fn addresses() {
        assert!(is_address("+31612345678") && is_address("whatsapp:+31612345678"));
        assert!(!is_address("31612345678") && !is_address("+0612345678") && !is_address("+316"));
    }
}
