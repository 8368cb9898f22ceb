//! Mends what poem-openapi cannot say: closed request schemas, where null is taken, the exact version, and
//! that an operation without a scheme is open to all. A reference stands alone in its `allOf`: generators of clients
//! drop whole schemas over a second member that only describes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schemas;

/// The version whose rules the document keeps; the generator writes 3.0.0 and uses nothing beyond it.
const VERSION: &str = "3.0.3";

/// Schemes that must come together, which the generator can only list as alternatives: with the first, the
/// others.
const TOGETHER: [(&str, &[&str]); 1] = [("supportToken", &["supportSession", "deviceId"])];

/// Mends a generated document.
pub(super) fn mend(mut document: Value) -> Value {
    document["openapi"] = json!(VERSION);
    unwrap_descriptions(&mut document);
    let types = component_types(&document);
    for name in schemas::reached_from_requests(&document) {
        if let Some(schema) = document.pointer_mut("/components/schemas").and_then(|all| all.get_mut(&name)) {
            close(schema, &types);
        }
    }
    mend_operations(&mut document);
    document
}

/// Takes members that only describe out of every `allOf`; the description stands beside it already.
fn unwrap_descriptions(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(parts) = object.get_mut("allOf").and_then(Value::as_array_mut) {
                parts.retain(|part| {
                    part.as_object().is_none_or(|part| part.keys().any(|key| key != "description"))
                });
            }
            object.values_mut().for_each(unwrap_descriptions);
        }
        Value::Array(values) => values.iter_mut().for_each(unwrap_descriptions),
        _ => {}
    }
}

/// The `type` of every component schema.
fn component_types(document: &Value) -> BTreeMap<String, String> {
    let all = document.pointer("/components/schemas").and_then(Value::as_object);
    let typed = all.into_iter().flatten().map(|(name, schema)| {
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or("object");
        (name.clone(), kind.to_owned())
    });
    typed.collect()
}

/// Refuses unknown fields in every object of `schema`, and lets optional fields be null. Members of an
/// `allOf` are left open: each sees the fields of the others.
fn close(schema: &mut Value, types: &BTreeMap<String, String>) {
    let Some(object) = schema.as_object_mut() else { return };
    let required = schemas::required(object);
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties.iter_mut() {
            close(property, types);
            if !required.contains(name) {
                make_nullable(property, types);
            }
        }
        object.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(inner) {
            close(inner, types);
        }
    }
}

/// `nullable` only counts beside `type`, so a reference is wrapped together with the type it refers to.
fn make_nullable(property: &mut Value, types: &BTreeMap<String, String>) {
    if let Some(name) = schemas::ref_name(property) {
        let kind = types.get(name).cloned().unwrap_or_else(|| "object".to_owned());
        *property = json!({ "type": kind, "nullable": true, "allOf": [property.clone()] });
        return;
    }
    let Some(object) = property.as_object_mut() else { return };
    if let Some(kind) = wrapped_type(object, types) {
        object.insert("type".into(), Value::String(kind));
    }
    if object.contains_key("type") {
        object.insert("nullable".into(), Value::Bool(true));
        if let Some(values) = object.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
    }
}

/// The type of a reference that is wrapped in `allOf` for the sake of a description.
fn wrapped_type(object: &Map<String, Value>, types: &BTreeMap<String, String>) -> Option<String> {
    let parts = object.get("allOf").filter(|_| !object.contains_key("type"))?.as_array()?;
    parts.iter().find_map(schemas::ref_name).and_then(|name| types.get(name).cloned())
}

fn mend_operations(document: &mut Value) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let items = paths.into_iter().flatten().filter_map(|(_, item)| item.as_object_mut());
    for operation in items.flatten().filter_map(|(_, operation)| operation.as_object_mut()) {
        let security = operation.entry("security").or_insert_with(|| json!([]));
        for alternative in security.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            for (first, others) in TOGETHER {
                if alternative.contains_key(first) {
                    alternative.extend(others.iter().map(|other| ((*other).to_owned(), json!([]))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended() -> Value {
        mend(json!({
            "openapi": "3.0.0",
            "paths": {
                "/a": {"post": {
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/In"}}}},
                    "security": [{"supportToken": []}],
                }},
                "/b": {"get": {"responses": {}}},
            },
            "components": {"schemas": {
                "In": {"type": "object", "required": ["body"], "properties": {
                    "body": {"type": "string"},
                    "kind": {"$ref": "#/components/schemas/Kind"},
                    "inner": {"allOf": [{"$ref": "#/components/schemas/Inner"}, {"description": "d"}], "description": "d"},
                    "size": {"type": "string", "enum": ["s"]},
                    "list": {"type": "array", "items": {"$ref": "#/components/schemas/Inner"}},
                    "any": {},
                }},
                "Kind": {"type": "string", "enum": ["x"]},
                "Inner": {"type": "object", "properties": {"map": {"type": "object", "additionalProperties": {"type": "string"}}}},
                "Out": {"type": "object", "properties": {"a": {"type": "string"}}},
            }},
        }))
    }

    #[test]
    fn request_schemas_are_closed_and_say_where_null_is_taken() {
        let document = mended();
        assert_eq!(document["openapi"], "3.0.3");
        let schema = |name: &str| document["components"]["schemas"][name].clone();
        assert_eq!(schema("In")["additionalProperties"], false);
        assert_eq!(schema("Inner")["additionalProperties"], false);
        assert_eq!(schema("Inner")["properties"]["map"]["additionalProperties"], json!({"type": "string"}));
        assert!(schema("Out").get("additionalProperties").is_none(), "answers may grow");
        let property = |name: &str| schema("In")["properties"][name].clone();
        assert_eq!(property("body"), json!({"type": "string"}));
        let kind =
            json!({"type": "string", "nullable": true, "allOf": [{"$ref": "#/components/schemas/Kind"}]});
        assert_eq!(property("kind"), kind);
        assert_eq!(
            (property("inner")["type"].clone(), property("inner")["nullable"].clone()),
            (json!("object"), json!(true))
        );
        assert_eq!(property("inner")["allOf"], json!([{"$ref": "#/components/schemas/Inner"}]));
        assert_eq!(property("size")["enum"], json!(["s", null]));
        assert_eq!(property("any"), json!({}));
    }

    #[test]
    fn security_is_as_it_is_enforced() {
        let document = mended();
        let all = json!([{"supportToken": [], "supportSession": [], "deviceId": []}]);
        assert_eq!(document["paths"]["/a"]["post"]["security"], all);
        assert_eq!(document["paths"]["/b"]["get"]["security"], json!([]));
    }
}
