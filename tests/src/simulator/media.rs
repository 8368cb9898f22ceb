//! Media: what the product uploads, what customers send, and the short-lived addresses by which it is fetched.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::stream;
use hyper::body::Bytes;
use hyper::header::LOCATION;
use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::config::{TwilioAccount, WhatsappNumber};
use super::judge::{Refusal, Request};
use super::reply::Reply;
use super::{twilio, whatsapp};

/// How long the address of a WhatsApp medium is good.
const URL_TTL: TimeDelta = TimeDelta::minutes(5);
/// How long an upload is kept, and what a customer sent.
const UPLOAD_TTL: TimeDelta = TimeDelta::days(30);
const INBOUND_TTL: TimeDelta = TimeDelta::days(7);
const MB: usize = 1024 * 1024;

/// Types and sizes that WhatsApp takes, by kind: the first types are told to who sends another.
const TAKEN: &[(&str, usize, &[&str])] = &[
    ("image", 5 * MB, &["image/jpeg", "image/png"]),
    ("sticker", 500 * 1024, &["image/webp"]),
    ("video", 16 * MB, &["video/mp4", "video/3gpp"]),
    ("audio", 16 * MB, &["audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg"]),
    (
        "document",
        100 * MB,
        &[
            "text/plain",
            "application/pdf",
            "application/msword",
            "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ],
    ),
];

/// One stored medium.
#[derive(Clone)]
pub(super) struct Medium {
    pub(super) mime_type: String,
    pub(super) bytes: Bytes,
    /// Hex.
    pub(super) sha256: String,
    until: DateTime<Utc>,
}

#[derive(Default)]
pub(super) struct MediaStore(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    media: HashMap<String, Medium>,
    /// Addresses without credentials in them, by their token.
    addresses: HashMap<String, (String, DateTime<Utc>)>,
    last: u64,
}

impl MediaStore {
    /// Keeps what a customer sent; answers its id.
    pub(super) fn keep(&self, mime_type: &str, bytes: Bytes, id: impl FnOnce(u64) -> String) -> String {
        self.put(mime_type, bytes, INBOUND_TTL, id)
    }

    fn put(&self, mime_type: &str, bytes: Bytes, ttl: TimeDelta, id: impl FnOnce(u64) -> String) -> String {
        let mut inner = self.0.lock();
        inner.last += 1;
        let id = id(inner.last);
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let medium = Medium { mime_type: mime_type.to_owned(), bytes, sha256, until: Utc::now() + ttl };
        inner.media.insert(id.clone(), medium);
        id
    }

    pub(super) fn get(&self, id: &str) -> Option<Medium> {
        self.0.lock().media.get(id).filter(|medium| Utc::now() < medium.until).cloned()
    }

    /// Forgets a medium, as when its time is over; answers whether it was there.
    pub(super) fn forget(&self, id: &str) -> bool {
        self.0.lock().media.remove(id).is_some()
    }

    /// Ends the time of all addresses given out so far.
    pub(super) fn expire_addresses(&self) {
        self.0.lock().addresses.clear();
    }

    fn address(&self, id: &str) -> String {
        let token = format!("{:032x}", rand::random::<u128>());
        self.0.lock().addresses.insert(token.clone(), (id.to_owned(), Utc::now() + URL_TTL));
        token
    }

    /// A short-lived address of a WhatsApp medium at the simulator that listens at `own`.
    pub(super) fn url(&self, own: &str, id: &str) -> String {
        format!("{own}/whatsapp/media/{}", self.address(id))
    }

    fn behind(&self, token: &str) -> Option<Medium> {
        let inner = self.0.lock();
        let (id, until) = inner.addresses.get(token)?;
        inner.media.get(id).filter(|_| Utc::now() < *until).cloned()
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().media.len()
    }
}

/// `POST /{version}/{phone_number_id}/media`, multipart: `messaging_product`, `file`, `type`.
///
/// # Errors
/// 190 and 100 as for sends, 100 for a type that is not taken, 131053 for a file that is too large.
pub(super) async fn upload(
    store: &MediaStore,
    numbers: &[WhatsappNumber],
    number: &str,
    request: &Request,
) -> Result<Reply, Refusal> {
    whatsapp::authorize(numbers, number, request)?;
    let form =
        read_form(request).await.ok_or_else(|| Refusal::code(100, "(#100) The form cannot be read."))?;
    if form.product.as_deref() != Some("whatsapp") {
        return Err(Refusal::code(100, "(#100) The parameter messaging_product is required."));
    }
    let Some((file_type, bytes)) = form.file else {
        return Err(Refusal::code(100, "(#100) The parameter file is required."));
    };
    let mime_type = form.kind.or(file_type).unwrap_or_else(|| "application/octet-stream".to_owned());
    check(&mime_type, bytes.len())?;
    let id = store.put(&mime_type, bytes, UPLOAD_TTL, |n| format!("{:015}", 400_000_000_000_000 + n));
    Ok(Reply::json(200, &json!({"id": id})))
}

fn check(mime_type: &str, size: usize) -> Result<(), Refusal> {
    let plain = mime_type.split(';').next().unwrap_or_default().trim();
    let Some((kind, max, _)) = TAKEN.iter().find(|(_, _, types)| types.contains(&plain)) else {
        let all: Vec<&str> = TAKEN.iter().flat_map(|(_, _, types)| types.iter().copied()).collect();
        return Err(Refusal::code(
            100,
            format!("(#100) Param file must be a file with one of the following types: {}.", all.join(", ")),
        ));
    };
    if size > *max || size == 0 {
        return Err(Refusal::code(131_053, format!("A file of {size} bytes: {kind} takes 1 to {max}.")));
    }
    Ok(())
}

/// Whether a medium may be sent as a message of this kind.
pub(super) fn fits(medium: &Medium, kind: &str) -> Result<(), Refusal> {
    let taken = TAKEN.iter().find(|(name, _, _)| *name == kind);
    let plain = medium.mime_type.split(';').next().unwrap_or_default().trim();
    // Whatever the product uploaded may be sent as a document.
    if kind == "document" || taken.is_some_and(|(_, _, types)| types.contains(&plain)) {
        return Ok(());
    }
    Err(Refusal::code(131_053, format!("Media of type {plain} cannot be sent as {kind}.")))
}

#[derive(Default)]
struct Form {
    product: Option<String>,
    kind: Option<String>,
    file: Option<(Option<String>, Bytes)>,
}

async fn read_form(request: &Request) -> Option<Form> {
    let boundary = multer::parse_boundary(request.header("content-type")?).ok()?;
    let body = request.body.clone();
    let whole = stream::once(async move { Ok::<Bytes, std::convert::Infallible>(body) });
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.ok()? {
        let name = part.name().unwrap_or_default().to_owned();
        let kind = part.content_type().map(ToString::to_string);
        let bytes = part.bytes().await.ok()?;
        let text = || String::from_utf8(bytes.to_vec()).ok();
        match name.as_str() {
            "messaging_product" => form.product = text(),
            "type" => form.kind = text(),
            "file" => form.file = Some((kind, bytes)),
            _ => {}
        }
    }
    Some(form)
}

/// `GET` and `DELETE /{version}/{media_id}`.
///
/// # Errors
/// 190 for a bad token; 100 for a medium that is not there any more.
pub(super) fn look_up(
    store: &MediaStore,
    numbers: &[WhatsappNumber],
    id: &str,
    request: &Request,
) -> Result<Reply, Refusal> {
    whatsapp::authorize_any(numbers, request)?;
    if request.method == hyper::Method::DELETE {
        let there = store.forget(id);
        return if there {
            Ok(Reply::json(200, &json!({"success": true})))
        } else {
            Err(whatsapp::no_such_object())
        };
    }
    let medium = store.get(id).ok_or_else(whatsapp::no_such_object)?;
    let host = request.header("host").unwrap_or("127.0.0.1");
    let body = json!({
        "messaging_product": "whatsapp",
        "url": store.url(&format!("http://{host}"), id),
        "mime_type": medium.mime_type,
        "sha256": medium.sha256,
        "file_size": medium.bytes.len(),
        "id": id,
    });
    Ok(Reply::json(200, &body))
}

/// The content behind an address of WhatsApp, which needs the Bearer token as well.
///
/// # Errors
/// 190 for a bad token.
pub(super) fn download(
    store: &MediaStore,
    numbers: &[WhatsappNumber],
    token: &str,
    request: &Request,
) -> Result<Reply, Refusal> {
    whatsapp::authorize_any(numbers, request)?;
    Ok(content(store.behind(token)))
}

/// Twilio's `…/Messages/{sid}/Media/{id}`: Basic credentials, then a redirect to where the content lies.
///
/// # Errors
/// 20003 and 20404.
pub(super) fn twilio_media(
    store: &MediaStore,
    accounts: &[TwilioAccount],
    account: &str,
    id: &str,
    request: &Request,
) -> Result<Reply, Refusal> {
    twilio::authorize(accounts, account, request)?;
    if request.method == hyper::Method::DELETE {
        store.forget(id);
        return Ok(Reply::raw(204, "text/plain", Vec::new()));
    }
    store.get(id).ok_or_else(|| Refusal::code(20_404, ""))?;
    let host = request.header("host").unwrap_or("127.0.0.1");
    let place = format!("http://{host}/twilio/media/{}", store.address(id));
    Ok(Reply::raw(307, "text/plain", Vec::new()).with_header(LOCATION, &place))
}

/// The content behind Twilio's redirect, which needs nothing.
pub(super) fn twilio_content(store: &MediaStore, token: &str) -> Reply {
    content(store.behind(token))
}

fn content(medium: Option<Medium>) -> Reply {
    match medium {
        Some(medium) => Reply::raw(200, &medium.mime_type, medium.bytes.to_vec()),
        None => Reply::raw(404, "text/plain", b"URL signature expired".to_vec()),
    }
}
