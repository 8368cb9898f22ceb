//! Whether a message of type `template` fits the template it names: count, names and format of its parameters.

use std::collections::BTreeSet;

use serde_json::Value;

use super::judge::Refusal;
use super::templates::{Catalogue, Template};

/// Characters of a body with its parameters filled in.
const BODY_MAX: usize = 1024;

/// The template that `sent` (the object `template` of a send) names, if all its parameters fit.
///
/// # Errors
/// Meta's code for the first thing that is wrong.
pub(super) fn check(catalogue: &Catalogue, sent: &Value) -> Result<Template, Refusal> {
    let name = sent["name"].as_str().unwrap_or_default();
    let language = sent["language"]["code"].as_str().unwrap_or_default();
    let missing = || Refusal::code(132_001, format!("template name ({name}) does not exist in {language}"));
    let template = catalogue.find(name, language).ok_or_else(missing)?;
    match template.status.as_str() {
        "APPROVED" => {}
        "PAUSED" => return Err(Refusal::code(132_015, "template is paused due to low quality")),
        "DISABLED" => return Err(Refusal::code(132_016, "template is disabled permanently")),
        _ => return Err(missing()),
    }
    header(&template, sent)?;
    body(&template, sent)?;
    buttons(&template, sent)?;
    Ok(template)
}

/// The parameters that a send brings for a component.
fn parameters<'a>(sent: &'a Value, kind: &str) -> &'a [Value] {
    let components = sent["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    let component = components.iter().find(|one| is_kind(one, kind));
    component.and_then(|one| one["parameters"].as_array()).map(Vec::as_slice).unwrap_or_default()
}

fn is_kind(component: &Value, kind: &str) -> bool {
    component["type"].as_str().is_some_and(|given| given.eq_ignore_ascii_case(kind))
}

fn header(template: &Template, sent: &Value) -> Result<(), Refusal> {
    let given = parameters(sent, "header");
    let Some(header) = template.component("HEADER") else {
        return counted("header", given.len(), 0);
    };
    let format = header["format"].as_str().unwrap_or("TEXT");
    if format == "TEXT" {
        return texts(template, "header", header["text"].as_str().unwrap_or_default(), given).map(|_| ());
    }
    counted("header", given.len(), 1)?;
    let kind = given[0]["type"].as_str().unwrap_or("UNKNOWN");
    if !kind.eq_ignore_ascii_case(format) {
        let received = kind.to_ascii_uppercase();
        return Err(Refusal::code(
            132_012,
            format!("header: Format mismatch, expected {format}, received {received}"),
        ));
    }
    let media = &given[0][kind];
    if format != "LOCATION" && media["id"].is_null() && media["link"].is_null() {
        return Err(Refusal::code(132_012, format!("header: {kind} needs an id or a link")));
    }
    Ok(())
}

fn body(template: &Template, sent: &Value) -> Result<(), Refusal> {
    let text = template.component("BODY").and_then(|body| body["text"].as_str()).unwrap_or_default();
    let filled = texts(template, "body", text, parameters(sent, "body"))?;
    if filled.chars().count() > BODY_MAX {
        return Err(Refusal::code(132_005, "Translated text too long"));
    }
    Ok(())
}

/// Fills the placeholders of `text`.
fn texts(template: &Template, part: &str, text: &str, given: &[Value]) -> Result<String, Refusal> {
    let wanted = placeholders(text);
    counted(part, given.len(), wanted.len())?;
    let is_named = template.parameter_format == "NAMED";
    let mut filled = text.to_owned();
    for (place, parameter) in given.iter().enumerate() {
        let name = match (is_named, parameter["parameter_name"].as_str()) {
            (true, Some(name)) if wanted.contains(name) => name.to_owned(),
            (true, name) => {
                let said =
                    name.map_or("is missing or empty".to_owned(), |name| format!("{name} is not expected"));
                return Err(Refusal::code(132_000, format!("{part}: Parameter name {said}")));
            }
            (false, _) => (place + 1).to_string(),
        };
        let value = match parameter["type"].as_str().unwrap_or_default() {
            "text" => parameter["text"].as_str(),
            kind @ ("currency" | "date_time") => parameter[kind]["fallback_value"].as_str(),
            _ => None,
        };
        let value = value.ok_or_else(|| {
            Refusal::code(
                132_012,
                format!("{part}: Format mismatch at parameter {}, expected TEXT", place + 1),
            )
        })?;
        if value.is_empty() {
            return Err(Refusal::code(
                131_008,
                format!("{part}: Parameter of type text is missing text value"),
            ));
        }
        if value.contains(['\n', '\t']) || value.contains("     ") {
            return Err(Refusal::code(
                132_018,
                "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
            ));
        }
        filled = filled.replace(&format!("{{{{{name}}}}}"), value);
    }
    Ok(filled)
}

fn counted(part: &str, given: usize, wanted: usize) -> Result<(), Refusal> {
    if given == wanted {
        return Ok(());
    }
    Err(Refusal::code(
        132_000,
        format!(
            "{part}: number of localizable_params ({given}) does not match the expected number of params ({wanted})"
        ),
    ))
}

/// What stands between `{{` and `}}`, each once.
fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name.trim()).collect()
}

fn buttons(template: &Template, sent: &Value) -> Result<(), Refusal> {
    let known =
        template.component("BUTTONS").and_then(|all| all["buttons"].as_array()).cloned().unwrap_or_default();
    let components = sent["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    let given: Vec<&Value> = components.iter().filter(|one| is_kind(one, "button")).collect();
    for one in &given {
        let button = index(one).and_then(|index| known.get(index));
        let Some(button) = button else {
            return Err(Refusal::code(132_000, "button: there is no button at this index"));
        };
        button_fits(button, one)?;
    }
    for (place, button) in known.iter().enumerate() {
        if needs_parameter(button) && !given.iter().any(|one| index(one) == Some(place)) {
            let kind = button["type"].as_str().unwrap_or_default();
            let said = format!("Button at index {place} of type {kind} requires a parameter");
            return Err(Refusal::code(131_008, said));
        }
    }
    Ok(())
}

/// Meta takes the index as a number and as a text.
fn index(component: &Value) -> Option<usize> {
    match &component["index"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|number| usize::try_from(number).ok()),
    }
}

fn needs_parameter(button: &Value) -> bool {
    match button["type"].as_str().unwrap_or_default() {
        "URL" => button["url"].as_str().is_some_and(|url| url.contains("{{")),
        "COPY_CODE" => true,
        _ => false,
    }
}

fn button_fits(button: &Value, given: &Value) -> Result<(), Refusal> {
    let kind = button["type"].as_str().unwrap_or_default();
    let sub_type = given["sub_type"].as_str().unwrap_or_default();
    if !kind.eq_ignore_ascii_case(sub_type) {
        return Err(Refusal::code(
            132_012,
            format!("button: Format mismatch, expected {kind}, received {sub_type}"),
        ));
    }
    let parameter = &given["parameters"][0];
    let field = match kind {
        "URL" if needs_parameter(button) => "text",
        "COPY_CODE" => "coupon_code",
        "QUICK_REPLY" => "payload",
        _ => return counted("button", given["parameters"].as_array().map_or(0, Vec::len), 0),
    };
    match parameter[field].as_str() {
        Some(value) if !value.is_empty() => Ok(()),
        _ => Err(Refusal::code(132_012, format!("button: the parameter needs {field}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(sent: &Value) -> Option<u32> {
        let catalogue = Catalogue::new(Template::of_development());
        check(&catalogue, sent).err().and_then(|refusal| refusal.code)
    }

    fn sent(name: &str, components: Value) -> Value {
        json!({"name": name, "language": {"code": "en"}, "components": components})
    }

    fn text(value: &str) -> Value {
        json!({"type": "text", "text": value})
    }

    #[test]
    fn positional_parameters_are_counted() {
        let body = |parameters: &[Value]| json!([{"type": "body", "parameters": parameters}]);
        assert_eq!(code(&sent("booking_confirmed", body(&[text("Eva"), text("B1")]))), None);
        assert_eq!(code(&sent("booking_confirmed", body(&[text("Eva")]))), Some(132_000));
        assert_eq!(code(&sent("booking_confirmed", body(&[text("a"), text("b"), text("c")]))), Some(132_000));
        assert_eq!(code(&sent("booking_confirmed", json!([]))), Some(132_000));
        let image = json!({"type": "image", "image": {"id": "1"}});
        assert_eq!(code(&sent("booking_confirmed", body(&[text("a"), image]))), Some(132_012));
        assert_eq!(code(&sent("booking_confirmed", body(&[text("a"), text("b\nc")]))), Some(132_018));
        assert_eq!(
            code(&sent("booking_confirmed", body(&[text("a"), text(&"x".repeat(1024))]))),
            Some(132_005)
        );
    }

    #[test]
    fn named_parameters_need_their_names() {
        let named = |name: &str, value: &str| json!({"type": "text", "parameter_name": name, "text": value});
        let body = |parameters: &[Value]| json!([{"type": "body", "parameters": parameters}]);
        assert_eq!(code(&sent("room_ready", body(&[named("room", "12"), named("guest_name", "Eva")]))), None);
        assert_eq!(code(&sent("room_ready", body(&[named("room", "12"), text("Eva")]))), Some(132_000));
        assert_eq!(code(&sent("room_ready", body(&[named("room", "12"), named("x", "Eva")]))), Some(132_000));
    }

    #[test]
    fn headers_and_buttons_have_their_format() {
        let header = |parameter: Value| json!([{"type": "header", "parameters": [parameter]}]);
        let image = json!({"type": "image", "image": {"link": "https://example.com/a.jpg"}});
        assert_eq!(code(&sent("welcome_picture", header(image.clone()))), None);
        assert_eq!(code(&sent("welcome_picture", header(text("x")))), Some(132_012));
        assert_eq!(
            code(&sent("welcome_picture", header(json!({"type": "image", "image": {}})))),
            Some(132_012)
        );
        assert_eq!(code(&sent("welcome_picture", json!([]))), Some(132_000));
        let check_in = |button: Value| json!([{"type": "header", "parameters": [text("Eva")]}, button]);
        let url = |parameter: Value| json!({"type": "button", "sub_type": "url", "index": "0", "parameters": [parameter]});
        assert_eq!(code(&sent("check_in", check_in(url(text("B1"))))), None);
        assert_eq!(
            code(&sent("check_in", check_in(url(json!({"type": "payload", "payload": "x"}))))),
            Some(132_012)
        );
        assert_eq!(
            code(&sent("check_in", json!([{"type": "header", "parameters": [text("Eva")]}]))),
            Some(131_008)
        );
        let reply = json!([{"type": "body", "parameters": [text("noon")]},
            {"type": "button", "sub_type": "quick_reply", "index": 1, "parameters": [{"type": "payload", "payload": "no"}]}]);
        assert_eq!(code(&sent("late_checkout", reply)), None);
    }

    #[test]
    fn only_approved_templates_are_sent() {
        for (name, wanted) in [
            ("nothing", 132_001),
            ("pending_template", 132_001),
            ("rejected_template", 132_001),
            ("paused_template", 132_015),
            ("disabled_template", 132_016),
        ] {
            assert_eq!(code(&sent(name, json!([]))), Some(wanted), "{name}");
        }
        assert_eq!(code(&json!({"name": "hello_world", "language": {"code": "en"}})), Some(132_001));
        assert_eq!(code(&json!({"name": "hello_world", "language": {"code": "en_US"}})), None);
    }
}
