//! Interactive WhatsApp messages: reply buttons, lists and links, with Meta's limits.

use std::collections::HashSet;

use serde_json::Value;

use super::judge::Refusal;
use super::whatsapp_content::{invalid, list, longest, missing, string};

const BUTTON_BODY_MAX: usize = 1024;
const LIST_BODY_MAX: usize = 4096;
const HEADER_MAX: usize = 60;
const BUTTONS_MAX: usize = 3;
const SECTIONS_MAX: usize = 10;
const ROWS_MAX: usize = 10;

/// # Errors
/// Meta's code for the first thing that is wrong.
pub(super) fn check(content: &Value) -> Result<(), Refusal> {
    let kind = string(content, "type")?;
    let action = content.get("action").ok_or_else(|| missing("interactive['action']"))?;
    let body = string(content.get("body").unwrap_or(&Value::Null), "text")?;
    longest(
        "interactive['body']['text']",
        body,
        if kind == "list" { LIST_BODY_MAX } else { BUTTON_BODY_MAX },
    )?;
    if let Some(footer) = content.get("footer") {
        longest("interactive['footer']['text']", string(footer, "text")?, HEADER_MAX)?;
    }
    if let Some(header) = content.get("header") {
        header_fits(header, kind)?;
    }
    match kind {
        "button" => buttons(action),
        "list" => sections(action),
        "cta_url" => link(action),
        "location_request_message" | "flow" | "product" | "product_list" | "address_message" => Ok(()),
        _ => Err(Refusal::code(131_009, format!("Param interactive['type'] cannot be {kind}."))),
    }
}

fn header_fits(header: &Value, kind: &str) -> Result<(), Refusal> {
    match string(header, "type")? {
        "text" => longest("interactive['header']['text']", string(header, "text")?, HEADER_MAX),
        "image" | "video" | "document" if kind != "list" => Ok(()),
        other => Err(Refusal::code(131_009, format!("A header of type {other} does not go with {kind}."))),
    }
}

fn buttons(action: &Value) -> Result<(), Refusal> {
    let buttons = list(action.get("buttons").unwrap_or(&Value::Null))?;
    if buttons.len() > BUTTONS_MAX {
        return Err(Refusal::code(131_009, "At most 3 buttons are allowed."));
    }
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for button in buttons {
        if string(button, "type")? != "reply" {
            return Err(Refusal::code(131_009, "A button must be of type reply."));
        }
        let reply = button.get("reply").ok_or_else(|| missing("button['reply']"))?;
        let (id, title) = (filled(reply, "id", 256)?, filled(reply, "title", 20)?);
        if !ids.insert(id) || !titles.insert(title) {
            return Err(Refusal::code(131_009, "Buttons must have ids and titles of their own."));
        }
    }
    Ok(())
}

fn sections(action: &Value) -> Result<(), Refusal> {
    filled(action, "button", 20)?;
    let sections = list(action.get("sections").unwrap_or(&Value::Null))?;
    if sections.len() > SECTIONS_MAX {
        return Err(Refusal::code(131_009, "At most 10 sections are allowed."));
    }
    let (mut rows, mut ids) = (0, HashSet::new());
    for section in sections {
        if sections.len() > 1 {
            filled(section, "title", 24)?;
        }
        for row in list(section.get("rows").unwrap_or(&Value::Null))? {
            rows += 1;
            let id = filled(row, "id", 200)?;
            filled(row, "title", 24)?;
            if row.get("description").is_some() {
                longest("row['description']", string(row, "description")?, 72)?;
            }
            if !ids.insert(id) {
                return Err(Refusal::code(131_009, "Rows must have ids of their own."));
            }
        }
    }
    if rows > ROWS_MAX {
        return Err(Refusal::code(131_009, "Total row count exceed max allowed count: 10."));
    }
    Ok(())
}

fn link(action: &Value) -> Result<(), Refusal> {
    let parameters = action.get("parameters").ok_or_else(|| missing("action['parameters']"))?;
    filled(parameters, "display_text", 20)?;
    let url = string(parameters, "url")?;
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    Err(invalid("Param url must be a URL."))
}

/// A text that is there, not empty and not too long.
fn filled<'a>(object: &'a Value, name: &str, most: usize) -> Result<&'a str, Refusal> {
    let text = string(object, name)?;
    if text.is_empty() {
        return Err(missing(name));
    }
    longest(name, text, most)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(content: &Value) -> Option<u32> {
        check(content).err().and_then(|refusal| refusal.code)
    }

    fn button(id: &str, title: &str) -> Value {
        json!({"type": "reply", "reply": {"id": id, "title": title}})
    }

    fn asking(buttons: &[Value]) -> Value {
        json!({"type": "button", "body": {"text": "?"}, "action": {"buttons": buttons}})
    }

    #[test]
    fn three_buttons_with_short_titles() {
        let (a, b, c, d) = (button("a", "A"), button("b", "B"), button("c", "C"), button("d", "D"));
        assert_eq!(code(&asking(&[a.clone(), b.clone(), c.clone()])), None);
        assert_eq!(code(&asking(&[a.clone(), b, c, d])), Some(131_009));
        assert_eq!(code(&asking(&[a.clone(), button("a", "B")])), Some(131_009));
        assert_eq!(code(&asking(&[button("a", &"x".repeat(21))])), Some(100));
        assert_eq!(code(&asking(&[button("", "A")])), Some(131_008));
        assert_eq!(code(&asking(&[])), Some(100));
        let mut long = asking(&[a]);
        long["footer"] = json!({"text": "x".repeat(61)});
        assert_eq!(code(&long), Some(100));
    }

    #[test]
    fn ten_rows_in_all() {
        let rows = |from: usize, to: usize| -> Vec<Value> {
            (from..to).map(|n| json!({"id": n.to_string(), "title": "row"})).collect()
        };
        let lists = |sections: Value| json!({"type": "list", "body": {"text": "?"}, "action": {"button": "Choose", "sections": sections}});
        assert_eq!(code(&lists(json!([{"rows": rows(0, 10)}]))), None);
        assert_eq!(code(&lists(json!([{"rows": rows(0, 11)}]))), Some(131_009));
        assert_eq!(code(&lists(json!([{"rows": rows(0, 1)}, {"rows": rows(1, 2)}]))), Some(131_008));
        let titled = json!([{"title": "a", "rows": rows(0, 6)}, {"title": "b", "rows": rows(6, 12)}]);
        assert_eq!(code(&lists(titled)), Some(131_009));
        assert_eq!(code(&json!({"type": "list", "body": {"text": "?"}, "action": {}})), Some(131_008));
        assert_eq!(code(&json!({"type": "poll", "body": {"text": "?"}, "action": {}})), Some(131_009));
    }
}
