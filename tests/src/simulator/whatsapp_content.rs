//! The content of a WhatsApp message: what each `type` must hold, with Meta's lengths.

use serde_json::{Map, Value};

use super::judge::Refusal;
use super::whatsapp_interactive;

const TEXT_MAX: usize = 4096;
const CAPTION_MAX: usize = 1024;
/// An emoji may be a family of several people.
const EMOJI_MAX: usize = 16;
const TYPES: &[&str] = &[
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "template",
    "interactive",
    "location",
    "contacts",
    "reaction",
];

/// What a human would read of the message: the text, the caption, or the template's name.
pub(super) fn shown(payload: &Map<String, Value>) -> String {
    let kind = payload.get("type").and_then(Value::as_str).unwrap_or("text");
    let content = payload.get(kind);
    let text = |name: &str| content.and_then(|content| content.get(name)).and_then(Value::as_str);
    let interactive = || content?.get("body")?.get("text")?.as_str();
    text("body").or(text("caption")).or(text("name")).or_else(interactive).unwrap_or_default().to_owned()
}

/// # Errors
/// Meta's code for the first thing that is wrong.
pub(super) fn check(payload: &Map<String, Value>) -> Result<(), Refusal> {
    let kind = match payload.get("type") {
        None => "text",
        Some(Value::String(kind)) if TYPES.contains(&kind.as_str()) => kind,
        Some(_) => return Err(invalid(format!("Param type must be one of {TYPES:?}."))),
    };
    let content = payload.get(kind).ok_or_else(|| missing(kind))?;
    match kind {
        "text" => text(content),
        "template" => template(content),
        "interactive" => whatsapp_interactive::check(content),
        "location" => location(content),
        "contacts" => list(content)?.iter().try_for_each(contact),
        "reaction" => reaction(content),
        _ => media(kind, content),
    }
}

fn text(content: &Value) -> Result<(), Refusal> {
    let body = string(content, "body")?;
    if body.is_empty() {
        return Err(missing("text['body']"));
    }
    longest("text['body']", body, TEXT_MAX)
}

fn template(content: &Value) -> Result<(), Refusal> {
    if string(content, "name")?.is_empty() {
        return Err(missing("template['name']"));
    }
    let language = content.get("language").ok_or_else(|| missing("template['language']"))?;
    string(language, "code")?;
    match content.get("components") {
        None => Ok(()),
        Some(components) => {
            let components = components.as_array().ok_or_else(|| invalid("components must be an array."))?;
            components.iter().try_for_each(|component| string(component, "type").map(|_| ()))
        }
    }
}

fn media(kind: &str, content: &Value) -> Result<(), Refusal> {
    match (content.get("id"), content.get("link")) {
        (Some(Value::String(id)), None) if !id.is_empty() => {}
        (None, Some(Value::String(link))) if link.starts_with("http://") || link.starts_with("https://") => {}
        (None, None) => return Err(missing(&format!("{kind}['id'] or {kind}['link']"))),
        _ => return Err(Refusal::code(131_009, format!("Param {kind} needs one valid id or link."))),
    }
    if content.get("filename").is_some() && kind != "document" {
        return Err(invalid("Unexpected key filename."));
    }
    match content.get("caption") {
        None => Ok(()),
        Some(_) if matches!(kind, "audio" | "sticker") => Err(invalid("Unexpected key caption.")),
        Some(Value::String(caption)) => longest("caption", caption, CAPTION_MAX),
        Some(_) => Err(invalid("Param caption must be a string.")),
    }
}

fn location(content: &Value) -> Result<(), Refusal> {
    for (name, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        let given = content.get(name).ok_or_else(|| missing(name))?;
        let number = given.as_f64().or_else(|| given.as_str()?.trim().parse().ok());
        if !number.is_some_and(|number: f64| number.abs() <= most) {
            return Err(Refusal::code(
                131_009,
                format!("Param {name} must be a number from -{most} to {most}."),
            ));
        }
    }
    Ok(())
}

fn contact(contact: &Value) -> Result<(), Refusal> {
    let name = contact.get("name").ok_or_else(|| missing("contacts['name']"))?;
    string(name, "formatted_name")?;
    let parts = ["first_name", "last_name", "middle_name", "prefix", "suffix"];
    if parts.iter().any(|part| name.get(part).is_some()) {
        return Ok(());
    }
    Err(missing("contacts['name'] with one of first_name, last_name, middle_name, prefix or suffix"))
}

/// An empty emoji takes a reaction back.
fn reaction(content: &Value) -> Result<(), Refusal> {
    if string(content, "message_id")?.is_empty() {
        return Err(missing("reaction['message_id']"));
    }
    longest("reaction['emoji']", string(content, "emoji")?, EMOJI_MAX)
}

pub(super) fn string<'a>(content: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    match content.get(name) {
        None => Err(missing(name)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(format!("Param {name} must be a string."))),
    }
}

pub(super) fn list(content: &Value) -> Result<&Vec<Value>, Refusal> {
    content
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or_else(|| invalid("Param must be a non-empty array."))
}

pub(super) fn longest(name: &str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.chars().count() > max {
        return Err(invalid(format!("Param {name} must be at most {max} characters long.")));
    }
    Ok(())
}

pub(super) fn missing(name: &str) -> Refusal {
    Refusal::code(131_008, format!("The parameter {name} is required."))
}

pub(super) fn invalid(detail: impl std::fmt::Display) -> Refusal {
    Refusal::code(100, format!("(#100) {detail}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(payload: Value) -> Option<u32> {
        check(payload.as_object().unwrap()).err().and_then(|refusal| refusal.code)
    }

    #[test]
    fn texts_are_limited_in_characters() {
        assert_eq!(code(json!({"type": "text", "text": {"body": "é".repeat(4096)}})), None);
        assert_eq!(code(json!({"type": "text", "text": {"body": "é".repeat(4097)}})), Some(100));
        assert_eq!(code(json!({"type": "text", "text": {"body": ""}})), Some(131_008));
        assert_eq!(code(json!({"type": "text", "text": {"body": 5}})), Some(100));
        assert_eq!(code(json!({"type": "text"})), Some(131_008));
        assert_eq!(code(json!({"type": "fax"})), Some(100));
    }

    #[test]
    fn media_templates_and_interactive_messages() {
        let link = "https://example.com/a.jpg";
        assert_eq!(code(json!({"type": "image", "image": {"link": link, "caption": "x"}})), None);
        assert_eq!(code(json!({"type": "image", "image": {"link": "ftp://x"}})), Some(131_009));
        assert_eq!(code(json!({"type": "image", "image": {}})), Some(131_008));
        assert_eq!(code(json!({"type": "audio", "audio": {"id": "1", "caption": "x"}})), Some(100));
        let template = json!({"name": "welcome", "language": {"code": "en"}});
        assert_eq!(code(json!({"type": "template", "template": template})), None);
        assert_eq!(code(json!({"type": "template", "template": {"name": "welcome"}})), Some(131_008));
    }

    #[test]
    fn places_people_and_reactions() {
        let place =
            |latitude: Value| json!({"type": "location", "location": {"latitude": latitude, "longitude": 8}});
        assert_eq!(code(place(json!(47.3))), None);
        assert_eq!(code(place(json!("47.3"))), None);
        assert_eq!(code(place(json!(91))), Some(131_009));
        assert_eq!(code(json!({"type": "location", "location": {"latitude": 1}})), Some(131_008));
        let people = |name: Value| json!({"type": "contacts", "contacts": [{"name": name}]});
        assert_eq!(code(people(json!({"formatted_name": "Eva", "first_name": "Eva"}))), None);
        assert_eq!(code(people(json!({"formatted_name": "Eva"}))), Some(131_008));
        assert_eq!(code(json!({"type": "contacts", "contacts": []})), Some(100));
        let reaction = |id: &str, emoji: &str| json!({"type": "reaction", "reaction": {"message_id": id, "emoji": emoji}});
        assert_eq!(code(reaction("wamid.x", "")), None);
        assert_eq!(code(reaction("", "👍")), Some(131_008));
        assert_eq!(code(json!({"type": "image", "image": {"id": "1", "filename": "a.jpg"}})), Some(100));
    }
}
