//! The document: the committed, the printed and the served one are the same bytes, and it says what is enforced.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::app::TestApp;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/openapi.json");

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap();
        item.iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    all.collect()
}

#[tokio::test]
async fn the_committed_document_is_served_byte_for_byte() {
    let app = TestApp::ingest_only().await;
    let served = app.nobody().get("/openapi.json").expect(200).await;
    assert_eq!(served.header("content-type"), "application/json");
    assert!(served.text == ingest::openapi::spec());
    let committed = std::fs::read_to_string(COMMITTED).expect("openapi/openapi.json; dev/openapi writes it");
    assert!(committed == served.text, "openapi/openapi.json is not what the code says; run dev/openapi");
    let page = app.nobody().get("/docs").expect(200).await;
    assert!(page.header("content-type").starts_with("text/html"));
    for (name, operation) in operations(&served.body) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.text.contains(id), "{name} is not on the page");
    }
}

#[test]
fn every_operation_has_an_id_a_summary_a_tag_and_its_refusals() {
    let document = ingest::openapi::document();
    assert_eq!(document["openapi"], "3.0.3");
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(document) {
        let text = |field: &str| operation[field].as_str().unwrap_or_default().to_owned();
        let id = text("operationId");
        assert!(id.contains('.') && ids.insert(id.clone()), "{name}: {id}");
        assert!(text("summary").ends_with('.'), "{name}: the summary is a sentence: {}", text("summary"));
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        for status in ["400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503"] {
            let (form, schema) = match name.contains("/api/conversation-v2/") {
                true => ("application/json", "DeskProblem"),
                false => ("application/problem+json", "Problem"),
            };
            let body = &responses[status]["content"][form]["schema"];
            assert_eq!(body["$ref"], format!("#/components/schemas/{schema}"), "{name} {status}");
        }
        let own = ["/webhooks/", "/email/", "/healthz", "/readyz", "/support/session"];
        let open = own.iter().any(|path| name.contains(path));
        assert_eq!(operation["security"].as_array().unwrap().is_empty(), open, "{name}");
    }
    assert!(ids.len() >= 15, "{ids:?}");
}

#[test]
fn a_customers_three_credentials_belong_together() {
    let document = ingest::openapi::document();
    let path = &document["paths"]["/api/conversation-v2/support/user/message"];
    let all = serde_json::json!([{ "supportToken": [], "supportSession": [], "deviceId": [] }]);
    for method in ["get", "post"] {
        assert_eq!(path[method]["security"], all, "{method}");
    }
    let schemes = &document["components"]["securitySchemes"];
    for (scheme, header) in
        [("supportToken", "support-token"), ("supportSession", "support_session"), ("deviceId", "device-id")]
    {
        assert_eq!((&schemes[scheme]["in"], &schemes[scheme]["name"]), (&"header".into(), &header.into()));
    }
}

#[test]
fn every_request_schema_is_closed() {
    let document = ingest::openapi::document();
    let mut waiting: Vec<Value> = operations(document)
        .iter()
        .filter_map(|(_, operation)| {
            operation.pointer("/requestBody/content/application~1json/schema").cloned()
        })
        .collect();
    assert!(waiting.len() >= 6);
    let (mut seen, mut objects) = (BTreeSet::new(), 0);
    while let Some(schema) = waiting.pop() {
        if let Some(name) = schema["$ref"].as_str() {
            if seen.insert(name.to_owned()) {
                waiting.push(document.pointer(name.trim_start_matches('#')).expect("a schema").clone());
            }
            continue;
        }
        if let Some(properties) = schema["properties"].as_object() {
            objects += 1;
            assert_eq!(schema["additionalProperties"], false, "{schema}");
            waiting.extend(properties.values().cloned());
        }
        waiting.extend(schema["allOf"].as_array().into_iter().flatten().cloned());
        waiting.extend(schema.get("items").cloned());
    }
    assert!(objects >= 6);
}
