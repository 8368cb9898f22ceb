//! Walks through the schemas of a document.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The name behind a `$ref` to a component schema.
pub(super) fn ref_name(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")
}

/// The component schema called `name`.
pub(super) fn component<'d>(document: &'d Value, name: &str) -> Option<&'d Value> {
    document.pointer("/components/schemas")?.get(name)
}

/// Every operation: path, method, object.
pub(super) fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document.get("paths").and_then(Value::as_object);
    paths.into_iter().flatten().flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// The names of all component schemas that request bodies reach.
pub(super) fn reached_from_requests(document: &Value) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    for (_, _, operation) in operations(document) {
        if let Some(body) = operation.get("requestBody") {
            reach(document, body, &mut reached);
        }
    }
    reached
}

fn reach(document: &Value, value: &Value, reached: &mut BTreeSet<String>) {
    if let Some(name) = ref_name(value)
        && reached.insert(name.to_owned())
        && let Some(schema) = component(document, name)
    {
        reach(document, schema, reached);
    }
    match value {
        Value::Object(object) => object.values().for_each(|inner| reach(document, inner, reached)),
        Value::Array(items) => items.iter().for_each(|inner| reach(document, inner, reached)),
        _ => {}
    }
}

/// The names that `schema` requires.
pub(super) fn required(schema: &Map<String, Value>) -> BTreeSet<String> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
