//! The content of a WhatsApp message: what each `type` must hold, with Meta's lengths.

use serde_json::{Map, Value};

use super::judge::Refusal;

const TEXT_MAX: usize = 4096;
const CAPTION_MAX: usize = 1024;
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
        "interactive" => interactive(content),
        "location" => numbers(content, &["latitude", "longitude"]),
        "contacts" => list(content).map(|_| ()),
        "reaction" => strings(content, &["message_id", "emoji"]),
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

fn interactive(content: &Value) -> Result<(), Refusal> {
    let kind = string(content, "type")?;
    let action = content.get("action").ok_or_else(|| missing("interactive['action']"))?;
    longest("interactive['body']", string(content.get("body").unwrap_or(&Value::Null), "text")?, TEXT_MAX)?;
    match kind {
        "button" if list(action.get("buttons").unwrap_or(&Value::Null))?.len() > 3 => {
            Err(Refusal::code(131_009, "At most 3 buttons are allowed."))
        }
        "list" if list(action.get("sections").unwrap_or(&Value::Null))?.len() > 10 => {
            Err(Refusal::code(131_009, "At most 10 sections are allowed."))
        }
        _ => Ok(()),
    }
}

fn media(kind: &str, content: &Value) -> Result<(), Refusal> {
    match (content.get("id"), content.get("link")) {
        (Some(Value::String(id)), None) if !id.is_empty() => {}
        (None, Some(Value::String(link))) if link.starts_with("http://") || link.starts_with("https://") => {}
        (None, None) => return Err(missing(&format!("{kind}['id'] or {kind}['link']"))),
        _ => return Err(Refusal::code(131_009, format!("Param {kind} needs one valid id or link."))),
    }
    match content.get("caption") {
        None => Ok(()),
        Some(_) if matches!(kind, "audio" | "sticker") => Err(invalid("Unexpected key caption.")),
        Some(Value::String(caption)) => longest("caption", caption, CAPTION_MAX),
        Some(_) => Err(invalid("Param caption must be a string.")),
    }
}

fn numbers(content: &Value, names: &[&str]) -> Result<(), Refusal> {
    let missed = names.iter().find(|name| !content.get(name).is_some_and(|v| v.is_number() || v.is_string()));
    missed.map_or(Ok(()), |name| Err(missing(name)))
}

fn strings(content: &Value, names: &[&str]) -> Result<(), Refusal> {
    names.iter().try_for_each(|name| string(content, name).map(|_| ()))
}

fn string<'a>(content: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    match content.get(name) {
        None => Err(missing(name)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(format!("Param {name} must be a string."))),
    }
}

fn list(content: &Value) -> Result<&Vec<Value>, Refusal> {
    content
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or_else(|| invalid("Param must be a non-empty array."))
}

fn longest(name: &str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.chars().count() > max {
        return Err(invalid(format!("Param {name} must be at most {max} characters long.")));
    }
    Ok(())
}

fn missing(name: &str) -> Refusal {
    Refusal::code(131_008, format!("The parameter {name} is required."))
}

fn invalid(detail: impl std::fmt::Display) -> Refusal {
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
        let buttons = json!({"type": "button", "body": {"text": "?"}, "action": {"buttons": [1, 2, 3, 4]}});
        assert_eq!(code(json!({"type": "interactive", "interactive": buttons})), Some(131_009));
    }
}
