//! Metrics and health of a workers process, on its own port.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::{Data, Json};
use poem::{EndpointExt, IntoResponse, Route, Server, get, handler};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// How long a dependency may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

#[handler]
fn healthz() -> &'static str {
    "ok"
}

#[handler]
fn metrics() -> impl IntoResponse {
    shared::telemetry::render().with_header("content-type", "text/plain; version=0.0.4")
}

/// Each dependency; only MongoDB is needed to be ready.
#[handler]
async fn readyz(ctx: Data<&Context>) -> impl IntoResponse {
    async fn up<T, E>(check: impl Future<Output = Result<T, E>>) -> bool {
        matches!(tokio::time::timeout(PATIENCE, check).await, Ok(Ok(_)))
    }
    let (mongodb, redis, elasticsearch) =
        tokio::join!(up(ctx.store.check_writable()), up(ctx.wakeups.ping()), up(ctx.index.health()));
    let status = if mongodb { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body =
        json!({ "ready": mongodb, "mongodb": mongodb, "redis": redis, "elasticsearch": elasticsearch });
    Json(body).with_status(status)
}

/// Serves until `stop`; answers the bound address once it listens.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(ctx: Context, listen: SocketAddr, stop: CancellationToken) -> anyhow::Result<SocketAddr> {
    let acceptor = TcpListener::bind(listen).into_acceptor().await.context("bind workers.listen")?;
    let bound = acceptor.local_addr().first().and_then(|a| a.as_socket_addr().copied()).unwrap_or(listen);
    let app = Route::new()
        .at("/healthz", get(healthz))
        .at("/readyz", get(readyz))
        .at("/metrics", get(metrics))
        .data(ctx);
    shared::task::spawn("admin", async move {
        let server = Server::new_with_acceptor(acceptor);
        let stopped = async move { stop.cancelled().await };
        if let Err(error) =
            server.run_with_graceful_shutdown(app, stopped, Some(Duration::from_secs(1))).await
        {
            tracing::error!(%error, "the admin listener failed");
        }
    });
    Ok(bound)
}
