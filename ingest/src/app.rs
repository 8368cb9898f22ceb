//! Ingest as a whole: its endpoints on their ports, and how it stops.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use futures::future::BoxFuture;
use poem::endpoint::{BoxEndpoint, make_sync};
use poem::{Endpoint, EndpointExt as _, Response, Route};
use shared::config::Config;
use shared::live::LiveSubscriber;
use shared::presence::RedisPresence;

use crate::http::{Edge, Gate, Limits, Listening, Routes, admin_routes};
use crate::openapi;
use crate::services::Services;
use crate::sockets;
use crate::unheard::Unheard;

/// Connections of the admin port at once.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Ingest before it listens.
pub struct App {
    services: Arc<Services>,
    ears: LiveSubscriber,
    presence: RedisPresence,
}

impl App {
    /// Prepares everything; nothing listens yet and no server need be there.
    ///
    /// # Errors
    /// As [`Services::start`].
    pub async fn new(config: Config) -> anyhow::Result<Self> {
        let redis = &config.redis;
        let (live, ears) =
            shared::live::connect(redis.url.expose(), &redis.prefix).context("prepare redis")?;
        let presence = RedisPresence::new(redis.url.expose(), &redis.prefix).context("prepare presence")?;
        let services = Services::start(config, live).await?;
        Ok(Self { services, ears, presence })
    }

    /// What handlers work with.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Listens on the public and the admin port.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn start(self) -> anyhow::Result<Running> {
        let Self { services, ears, presence } = self;
        let (sockets, before_close) = sockets::open(&services, ears, presence);
        let config = Arc::clone(&services.config);
        let limits = Limits {
            connections_max: config.http.connections_max,
            idle_timeout: config.http.idle_timeout,
            grace: config.shutdown.grace,
        };
        let admin = admin_routes(Arc::clone(&services.health));
        let admin_limits = Limits { connections_max: ADMIN_CONNECTIONS_MAX, ..limits };
        let admin = Listening::start("admin", config.http.admin_listen, admin_limits, admin)
            .await
            .context("listen on BELLHOP_HTTP__ADMIN_LISTEN")?;
        let public = public_routes(&services, sockets);
        let public = Listening::start("public", config.http.listen, limits, public)
            .await
            .context("listen on BELLHOP_HTTP__LISTEN")?;
        Ok(Running { services, public, admin, before_close })
    }
}

fn public_routes(
    services: &Arc<Services>,
    sockets: BoxEndpoint<'static, Response>,
) -> impl Endpoint<Output = Response> + 'static {
    let names = Routes::of(openapi::document());
    let names = names.with_page("/openapi.json", "openapi").with_page("/docs", "docs");
    let names = names.with_open("/socket.io", "socket.io");
    let page = openapi::reference_page(openapi::document());
    let routes = Route::new()
        .at(
            "/openapi.json",
            make_sync(|_| Response::builder().content_type("application/json").body(openapi::spec())),
        )
        .at(
            "/docs",
            make_sync(move |_| {
                let response = Response::builder().content_type("text/html; charset=utf-8");
                response.header("content-security-policy", openapi::PAGE_POLICY).body(page.clone())
            }),
        )
        .nest_no_strip("/socket.io", sockets)
        .nest("/", openapi::service(crate::api::all()));
    let sessions = services.desk.known_sessions();
    let gate = Gate::start(&services.config, Arc::clone(&services.auth), sessions, names);
    let inner = routes.data(Arc::clone(services)).map_to_response();
    Edge { gate, inner: Unheard { services: Arc::clone(services), inner } }
}

/// Ingest while it listens.
pub struct Running {
    services: Arc<Services>,
    public: Listening,
    admin: Listening,
    before_close: BoxFuture<'static, ()>,
}

impl Running {
    /// Where the public port really is.
    pub fn public(&self) -> SocketAddr {
        self.public.address
    }

    /// Where the admin port really is.
    pub fn admin(&self) -> SocketAddr {
        self.admin.address
    }

    /// Stops: not ready → wait for load balancers → close sockets → accept nothing, let requests end → end.
    pub async fn stop(self) {
        self.services.health.stop();
        tokio::time::sleep(self.services.config.shutdown.drain).await;
        self.before_close.await;
        self.public.stop().await;
        self.admin.stop().await;
        tracing::info!("ingest stopped");
    }
}
