//! The admin port: `/metrics`, `/healthz`, `/readyz` with each dependency. No credentials: keep it private.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::web::Data;
use poem::{Endpoint, EndpointExt as _, Response, Route, get, handler};

use super::health::Health;

/// The endpoints of the admin port.
pub(crate) fn routes(health: Arc<Health>) -> impl Endpoint {
    Route::new()
        .at("/metrics", get(metrics_text))
        .at("/healthz", get(alive))
        .at("/readyz", get(ready))
        .data(health)
}

#[handler]
fn metrics_text() -> Response {
    Response::builder().content_type("text/plain; version=0.0.4").body(shared::telemetry::render())
}

#[handler]
fn alive() -> &'static str {
    "ok"
}

#[handler]
async fn ready(health: Data<&Arc<Health>>) -> Response {
    let report = health.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Response::builder().status(status).content_type("application/json").body(report.to_json().to_string())
}
