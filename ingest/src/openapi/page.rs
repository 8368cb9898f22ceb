//! `/docs`: the document as one page for people. Rendered here, without a script, so that it works without
//! the internet and under the strictest content policy.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::schemas::{operations, ref_name};

/// The page's own look; allowed by its place in the page, nothing else is.
const STYLE: &str = include_str!("page.css");

/// What browsers may load for the page: nothing but its style.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// Renders `document` as a page.
pub fn reference_page(document: &Value) -> String {
    let title = text(&document["info"], "title");
    let version = text(&document["info"], "version");
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} API</title><style>{STYLE}</style></head><body><nav><h1>{title} {version}</h1>"
    );
    let groups = groups(document);
    for (tag, members) in &groups {
        put(&mut page, format_args!("<h2>{}</h2><ul>", escape(tag)));
        for (path, method, operation) in members {
            let (id, label) = (text(operation, "operationId"), escape(path));
            put(
                &mut page,
                format_args!("<li><a href=\"#{id}\"><b class=\"{method}\">{method}</b> {label}</a></li>"),
            );
        }
        page.push_str("</ul>");
    }
    page.push_str("<h2>Schemas</h2><ul>");
    for (name, _) in component_schemas(document) {
        put(&mut page, format_args!("<li><a href=\"#schema-{0}\">{0}</a></li>", escape(name)));
    }
    let about = text(&document["info"], "description");
    put(
        &mut page,
        format_args!("</ul></nav><main><p>{about}</p><p>As <a href=\"/openapi.json\">openapi.json</a>.</p>"),
    );
    for (_, members) in &groups {
        for (path, method, operation) in members {
            put_operation(&mut page, path, method, operation);
        }
    }
    for (name, schema) in component_schemas(document) {
        put_schema(&mut page, name, schema);
    }
    page.push_str("</main></body></html>\n");
    page
}

fn put(page: &mut String, piece: std::fmt::Arguments<'_>) {
    page.write_fmt(piece).expect("a String takes every text");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A text of `value`, safe to show; empty when it has none.
fn text(value: &Value, name: &str) -> String {
    escape(value.get(name).and_then(Value::as_str).unwrap_or_default())
}

type Member<'d> = (&'d str, &'d str, &'d Value);

/// The operations by their first tag, in the document's order.
fn groups(document: &Value) -> Vec<(String, Vec<Member<'_>>)> {
    let mut groups: Vec<(String, Vec<Member<'_>>)> = Vec::new();
    for member in operations(document) {
        let tag = member.2.pointer("/tags/0").and_then(Value::as_str).unwrap_or("Other").to_owned();
        match groups.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, members)) => members.push(member),
            None => groups.push((tag, vec![member])),
        }
    }
    groups
}

fn component_schemas(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten()
}

fn put_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let (id, summary) = (text(operation, "operationId"), text(operation, "summary"));
    put(page, format_args!("<section id=\"{id}\"><h3>{summary}</h3><p><b class=\"{method}\">{method}</b> "));
    put(page, format_args!("<code>{}</code> <small>{id}</small></p>", escape(path)));
    put(page, format_args!("<p>{}</p>", text(operation, "description")));
    let schemes = operation.get("security").and_then(Value::as_array).into_iter().flatten();
    let schemes: Vec<String> = schemes
        .filter_map(Value::as_object)
        .map(|all| all.keys().map(String::as_str).collect::<Vec<_>>().join(" + "))
        .collect();
    if !schemes.is_empty() {
        put(page, format_args!("<p>Credentials: {}</p>", escape(&schemes.join(" or "))));
    }
    put_parameters(page, operation);
    if let Some(body) = operation.get("requestBody") {
        put(page, format_args!("<h4>Body</h4><p>{}</p>", content(body)));
    }
    page.push_str("<h4>Answers</h4><table>");
    for (status, answer) in operation.get("responses").and_then(Value::as_object).into_iter().flatten() {
        let (description, body) = (text(answer, "description"), content(answer));
        put(page, format_args!("<tr><td>{status}</td><td>{description}</td><td>{body}</td></tr>"));
    }
    page.push_str("</table></section>");
}

fn put_parameters(page: &mut String, operation: &Value) {
    let Some(parameters) = operation.get("parameters").and_then(Value::as_array) else { return };
    page.push_str("<h4>Parameters</h4><table>");
    for parameter in parameters {
        let (name, place) = (text(parameter, "name"), text(parameter, "in"));
        let needed = if parameter["required"] == true { "required" } else { "" };
        let (kind, description) = (kind(&parameter["schema"]), text(parameter, "description"));
        put(
            page,
            format_args!(
                "<tr><td><code>{name}</code></td><td>{place} {needed}</td><td>{kind}</td><td>{description}</td></tr>"
            ),
        );
    }
    page.push_str("</table>");
}

/// The media types and schemas of a body.
fn content(body: &Value) -> String {
    let types = body.get("content").and_then(Value::as_object).into_iter().flatten();
    let shown =
        types.map(|(media, value)| format!("<code>{}</code> {}", escape(media), kind(&value["schema"])));
    shown.collect::<Vec<_>>().join(", ")
}

/// A schema in a few words, with a link to what it refers to.
fn kind(schema: &Value) -> String {
    if let Some(name) = ref_name(schema) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    for several in ["allOf", "oneOf", "anyOf"] {
        if let Some(parts) = schema.get(several).and_then(Value::as_array) {
            let shown: Vec<String> = parts.iter().map(kind).filter(|part| !part.is_empty()).collect();
            return shown.join(if several == "allOf" { " " } else { " or " });
        }
    }
    let mut shown = match (schema.get("items"), schema.get("additionalProperties")) {
        (Some(items), _) => format!("array of {}", kind(items)),
        (None, Some(values @ Value::Object(_))) => format!("map to {}", kind(values)),
        _ => text(schema, "type"),
    };
    let limits =
        ["format", "pattern", "minLength", "maxLength", "minimum", "maximum", "maxItems", "default", "enum"];
    for (name, value) in limits.iter().filter_map(|name| Some((name, schema.get(*name)?))) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        put(&mut shown, format_args!(" <small>{name} {}</small>", escape(&value)));
    }
    if schema["nullable"] == true {
        shown.push_str(" <small>or null</small>");
    }
    shown
}

fn put_schema(page: &mut String, name: &str, schema: &Value) {
    let (name, description) = (escape(name), text(schema, "description"));
    put(page, format_args!("<section id=\"schema-{name}\"><h3>{name}</h3><p>{description}</p>"));
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    if properties.is_empty() {
        put(page, format_args!("<p>{}</p>", kind(schema)));
    }
    let required = schema.as_object().map(super::schemas::required).unwrap_or_default();
    page.push_str("<table>");
    for (field, property) in properties {
        let needed = if required.contains(field) { "required" } else { "" };
        let (field, description) = (escape(field), text(property, "description"));
        let kind = kind(property);
        put(
            page,
            format_args!(
                "<tr><td><code>{field}</code></td><td>{needed}</td><td>{kind}</td><td>{description}</td></tr>"
            ),
        );
    }
    page.push_str("</table></section>");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_shows_every_operation_and_escapes_texts() {
        let page = reference_page(crate::openapi::document());
        for (path, _, operation) in operations(crate::openapi::document()) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.contains(&format!("<section id=\"{id}\">")) && page.contains(path), "{id}");
        }
        for outside in ["<script", " src=", "href=\"http", "href='http", "url(", "@import"] {
            assert!(!page.contains(outside), "the page loads nothing: {outside}");
        }
        let page = reference_page(&json!({"info": {"title": "<script>x</script>"}}));
        assert!(!page.contains("<script>x") && page.contains("&lt;script&gt;"));
    }
}
