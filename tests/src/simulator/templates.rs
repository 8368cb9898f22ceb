//! The catalogue of WhatsApp templates: what it lists, and what the list looks like page by page.
//!
//! Whether a send fits its template is judged in [`super::template_sends`].

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::WhatsappNumber;
use super::judge::{Refusal, Request};
use super::reply::Reply;
use super::route::query;

/// Templates per page, unless asked otherwise, and the most there may be.
const PAGE: usize = 25;
const PAGE_MAX: usize = 100;

/// One template in one language, in the form of Meta's list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    pub id: String,
    pub name: String,
    /// `en_US`, `de` …
    pub language: String,
    /// `APPROVED`, `PENDING`, `REJECTED`, `PAUSED` or `DISABLED`.
    pub status: String,
    /// `UTILITY`, `MARKETING` or `AUTHENTICATION`.
    pub category: String,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: String,
    /// Meta's components: `{type: HEADER|BODY|FOOTER|BUTTONS, format?, text?, buttons?}`.
    pub components: Vec<Value>,
}

impl Template {
    /// An approved utility template with positional parameters and this body.
    pub fn new(name: &str, language: &str, body: &str) -> Self {
        Self {
            id: format!("{:015}", fingerprint(name, language)),
            name: name.to_owned(),
            language: language.to_owned(),
            status: "APPROVED".to_owned(),
            category: "UTILITY".to_owned(),
            parameter_format: "POSITIONAL".to_owned(),
            components: vec![json!({"type": "BODY", "text": body})],
        }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: &str) -> Self {
        status.clone_into(&mut self.status);
        self
    }

    /// The same in another category.
    #[must_use]
    pub fn in_category(mut self, category: &str) -> Self {
        category.clone_into(&mut self.category);
        self
    }

    /// The same with named parameters.
    #[must_use]
    pub fn named(mut self) -> Self {
        "NAMED".clone_into(&mut self.parameter_format);
        self
    }

    /// The same with one more component.
    #[must_use]
    pub fn with(mut self, component: Value) -> Self {
        self.components.push(component);
        self
    }

    /// The catalogue of development: docs/SIMULATOR.md lists it.
    pub fn of_development() -> Vec<Self> {
        let buttons = json!({"type": "BUTTONS", "buttons": [
            {"type": "QUICK_REPLY", "text": "Yes, please"},
            {"type": "QUICK_REPLY", "text": "No, thanks"},
        ]});
        let link = json!({"type": "BUTTONS", "buttons": [
            {"type": "URL", "text": "Your booking", "url": "https://example.com/b/{{1}}"},
            {"type": "PHONE_NUMBER", "text": "Call us", "phone_number": "+15550783881"},
        ]});
        let named = "Dear {{guest_name}}, your room {{room}} is ready.";
        let offer = Self::new("summer_offer", "en", "20 percent off, {{1}}! Write STOP to hear no more.");
        vec![
            Self::new("hello_world", "en_US", "Hello World"),
            Self::new("booking_confirmed", "en", "Hello {{1}}, your booking {{2}} is confirmed."),
            Self::new("booking_confirmed", "de", "Hallo {{1}}, Ihre Buchung {{2}} ist bestätigt."),
            Self::new("room_ready", "en", named).named(),
            Self::new("invoice", "en", "Your invoice, {{1}}.")
                .with(json!({"type": "HEADER", "format": "DOCUMENT"})),
            Self::new("welcome_picture", "en", "Welcome!").with(json!({"type": "HEADER", "format": "IMAGE"})),
            Self::new("late_checkout", "en", "Do you want to stay until {{1}}?").with(buttons),
            Self::new("check_in", "en", "Please check in.")
                .with(json!({"type": "HEADER", "format": "TEXT", "text": "For {{1}}"}))
                .with(link),
            offer.in_category("MARKETING"),
            Self::new("paused_template", "en", "Paused.").with_status("PAUSED"),
            Self::new("disabled_template", "en", "Disabled.").with_status("DISABLED"),
            Self::new("pending_template", "en", "Pending.").with_status("PENDING"),
            Self::new("rejected_template", "en", "Rejected.").with_status("REJECTED"),
        ]
    }

    /// The component of this type.
    pub(super) fn component(&self, kind: &str) -> Option<&Value> {
        self.components.iter().find(|component| component["type"] == kind)
    }
}

/// A stable number for an id.
fn fingerprint(name: &str, language: &str) -> u64 {
    let bytes = name.bytes().chain([b'/']).chain(language.bytes());
    bytes.fold(7, |sum: u64, byte| (sum * 31 + u64::from(byte)) % 1_000_000_000_000_000)
}

/// The templates, which tests and the control API change.
#[derive(Default)]
pub(super) struct Catalogue(RwLock<Vec<Template>>);

impl Catalogue {
    pub(super) fn new(templates: Vec<Template>) -> Self {
        Self(RwLock::new(templates))
    }

    pub(super) fn all(&self) -> Vec<Template> {
        self.0.read().clone()
    }

    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Vec<Template>) -> R) -> R {
        change(&mut self.0.write())
    }

    pub(super) fn find(&self, name: &str, language: &str) -> Option<Template> {
        self.0.read().iter().find(|one| one.name == name && one.language == language).cloned()
    }
}

/// `GET /{version}/{waba_id}/message_templates?limit=&after=&name=&status=&language=`.
///
/// # Errors
/// 190 for a bad token, 100 for another account or a limit that is no number.
pub(super) fn list(
    catalogue: &Catalogue,
    numbers: &[WhatsappNumber],
    known_waba: &str,
    waba: &str,
    request: &Request,
) -> Result<Reply, Refusal> {
    super::whatsapp::authorize_any(numbers, request)?;
    if waba != known_waba {
        return Err(super::whatsapp::no_such_object());
    }
    let number = |name: &str, default: usize| match query(request, name) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| Refusal::code(100, format!("(#100) Param {name} must be an integer.")))
        }
    };
    let limit = number("limit", PAGE)?.clamp(1, PAGE_MAX);
    let start = query(request, "after").map(|cursor| place_of(&cursor)).transpose()?.unwrap_or(0);
    let (name, status, language) =
        (query(request, "name"), query(request, "status"), query(request, "language"));
    let fits = |wanted: &Option<String>, given: &str| wanted.as_ref().is_none_or(|wanted| wanted == given);
    let mut templates = catalogue.all();
    templates
        .retain(|one| fits(&name, &one.name) && fits(&status, &one.status) && fits(&language, &one.language));
    let end = (start + limit).min(templates.len());
    let page = templates.get(start..end).unwrap_or_default();
    let mut paging = json!({"cursors": {"before": cursor(start), "after": cursor(end)}});
    if end < templates.len() {
        let host = request.header("host").unwrap_or("127.0.0.1");
        paging["next"] = json!(format!("http://{host}{}?limit={limit}&after={}", request.path, cursor(end)));
    }
    let mut body = json!({"data": page});
    if !page.is_empty() {
        body["paging"] = paging;
    }
    Ok(Reply::json(200, &body))
}

/// Cursors say nothing to their reader.
fn cursor(place: usize) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("at:{place}"))
}

fn place_of(cursor: &str) -> Result<usize, Refusal> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let place = text.as_deref().and_then(|text| text.strip_prefix("at:")).and_then(|text| text.parse().ok());
    place.ok_or_else(|| Refusal::code(100, "(#100) Invalid cursor."))
}
