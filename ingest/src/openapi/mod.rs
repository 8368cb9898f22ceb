//! The OpenAPI document: generated from the handlers, mended where the generator falls short, and the same
//! bytes wherever it is shown — `ingest openapi`, `/openapi.json`, `openapi/openapi.json`.

mod page;
mod patch;
mod schemas;

use std::sync::LazyLock;

use poem_openapi::{LicenseObject, OpenApi, OpenApiService};
use serde_json::Value;

pub(crate) use page::POLICY as PAGE_POLICY;
pub use page::reference_page;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let generated = service(crate::api::all()).spec();
    let document = serde_json::from_str(&generated).expect("poem-openapi writes JSON");
    patch::mend(document)
});

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&*DOCUMENT).expect("a JSON value can be written");
    text.push('\n');
    text
});

/// The endpoints as one service.
pub(crate) fn service<T: OpenApi>(api: T) -> OpenApiService<T, ()> {
    OpenApiService::new(api, "Bellhop", env!("CARGO_PKG_VERSION"))
        .description(
            "Conversations with guests and customers: messages, their delivery by WhatsApp and SMS, \
             the support desk, and the operation of it all.",
        )
        .license(LicenseObject::new("MIT OR Apache-2.0"))
        .server("/")
}

/// The document as a value.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The document as text, pretty-printed and ended by a line break.
pub fn spec() -> &'static str {
    &TEXT
}
