//! Live sockets: Socket.IO at `/socket.io`, by websocket and by polling.
//!
//! A client shows its credentials when it connects and may do what they allow over REST, no more: the server puts its
//! socket into rooms, the client into none. A room is a token of [`shared::domain::access`] within the account, so an
//! event goes to the rooms that its thread names *now*, and whoever lost a thread hears no more of it.
//!
//! | file | what |
//! |---|---|
//! | `endpoint`, `wire`, `cord`, `refusal` | the library inside poem: upgrade, slow clients, `connect_error` with data |
//! | `entry`, `seats`, `pace`, `presence` | who is let in, how many, how much they may ask, who is known to be here |
//! | `inbound` | what clients send: `resume`, `typing` |
//! | `fanout`, `reader`, `emit`, `payload` | what clients get |
//!
//! Sockets drop things: a client that finds a gap, in `seq` or between a `threadUpdated` and what it holds, asks for the
//! rest with `resume`. Events come from [`shared::live`] and are emitted off every request's path.

mod cord;
mod emit;
mod endpoint;
mod entry;
mod fanout;
mod inbound;
mod pace;
mod payload;
mod presence;
mod reader;
mod refusal;
mod seats;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use poem::endpoint::{BoxEndpoint, TowerCompatExt as _};
use poem::{EndpointExt as _, Response};
use serde_json::Value;
use shared::config;
use shared::live::{LiveSubscriber, Missed};
use shared::presence::RedisPresence;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::{ParserConfig, SocketIo};
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::chat::Chat;
use crate::desk::Desk;
use crate::services::Services;

/// Largest packet that a client may send, in bytes.
const PACKET_MAX: usize = 64 * 1024;
/// Binary parts of an event; we have no use for any.
const BINARIES_MAX: usize = 4;
/// How long a connection may take to show its credentials, and a poll to become a websocket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long closing may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the sockets are, and what serving them takes.
struct Hall {
    io: SocketIo,
    chat: Chat,
    auth: Arc<Authenticator>,
    desk: Desk,
    config: config::Sockets,
    /// The longest that an answer to a client may take.
    patience: Duration,
    seats: seats::Seats,
    cords: cord::Cords,
    /// What the emitting side knows to have lost.
    missed: Arc<Missed>,
    closing: CancellationToken,
}

/// Opens the hall: the endpoint to be mounted at `/socket.io`, and what closes it. Who is there is told to `register`.
pub(crate) fn open(
    services: &Services,
    ears: LiveSubscriber,
    register: RedisPresence,
) -> (BoxEndpoint<'static, Response>, BoxFuture<'static, ()>) {
    let config = services.config.sockets.clone();
    let parser =
        ParserConfig::common().max_incoming_binary_buf_size(PACKET_MAX).max_incoming_binaries(BINARIES_MAX);
    let (service, io) = SocketIo::builder()
        .with_parser(parser)
        .ping_interval(config.ping_interval)
        .ping_timeout(config.ping_timeout)
        .connect_timeout(CONNECT_TIMEOUT)
        .upgrade_timeout(CONNECT_TIMEOUT)
        .max_buffer_size(config.buffer)
        .max_payload(PACKET_MAX as u64)
        .ws_max_message_size(PACKET_MAX)
        .ws_max_frame_size(PACKET_MAX)
        .build_svc();
    let hall = Arc::new(Hall {
        io: io.clone(),
        chat: services.chat.clone(),
        auth: Arc::clone(&services.auth),
        desk: services.desk.clone(),
        patience: services.config.http.request_timeout,
        seats: seats::Seats::new(&config),
        cords: cord::Cords::default(),
        missed: Arc::default(),
        closing: CancellationToken::new(),
        config,
    });
    // Weak: the library keeps what is given to it, and the hall keeps the library.
    let weak = Arc::downgrade(&hall);
    let enter = move |socket: SocketRef, auth: TryData<Value>| {
        let hall = weak.upgrade();
        async move { entry::enter(hall, socket, auth.0).await }
    };
    io.ns("/", seated.with(enter));
    fanout::start(&hall, ears);
    presence::start(&hall, register);
    let closing = Arc::clone(&hall);
    let endpoint = endpoint::SocketEndpoint { polling: service.clone().compat(), websocket: service, hall };
    (endpoint.boxed(), async move { closing.close().await }.boxed())
}

/// Everything was done at the entry, before the client knew that it is connected.
async fn seated() {}

impl Hall {
    /// Whether nobody is let in any more.
    fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Tells every client good-bye and ends the tasks of the hall.
    async fn close(&self) {
        self.closing.cancel();
        if tokio::time::timeout(CLOSE_TIMEOUT, self.io.close()).await.is_err() {
            tracing::warn!("some sockets did not close in time");
        }
    }
}
