//! The listeners: accepts connections, and stops without dropping a request that runs.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{IntoEndpoint, Server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The pause after a failed accept, most often for want of file descriptors: they do not come back sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a listener serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once.
    pub(crate) connections_max: usize,
    /// After which a connection without a request is closed.
    pub(crate) idle_timeout: Duration,
    /// How long running requests may go on once it is stopped.
    pub(crate) grace: Duration,
}

/// A listener that serves until it is stopped.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

impl Listening {
    /// Binds `address` and serves `endpoint` there.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) async fn start<E>(
        name: &'static str,
        address: SocketAddr,
        limits: Limits,
        endpoint: E,
    ) -> io::Result<Self>
    where
        E: IntoEndpoint + Send + 'static,
        E::Endpoint: 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let door = Door { listener, address, room: Arc::new(Semaphore::new(limits.connections_max)) };
        let server = Server::new_with_acceptor(door).name(name).idle_timeout(limits.idle_timeout);
        let served = shared::task::spawn(name, async move {
            server.run_with_graceful_shutdown(endpoint, stopped, Some(limits.grace)).await
        });
        tracing::info!(listener.name = name, listener.address = %address, "{name} listens on {address}");
        Ok(Self { address, stop, served })
    }

    /// Accepts nothing any more, lets running requests end, and returns when they have or the grace is over.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        match self.served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "listener ended with an error"),
            Err(error) => tracing::warn!(%error, "listener's task ended"),
        }
    }
}

/// Accepts connections, a bounded number at once, without Nagle's delay.
struct Door {
    listener: TcpListener,
    address: SocketAddr,
    room: Arc<Semaphore>,
}

impl Acceptor for Door {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.address.into())]
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        let permit = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                // A connection that is gone already shows itself on its first read.
                let _ = stream.set_nodelay(true);
                let connection = Connection { stream, _room: permit };
                Ok((connection, LocalAddr(self.address.into()), RemoteAddr(peer.into()), Scheme::HTTP))
            }
            Err(error) => {
                metrics::counter!("http_accept_errors_total").increment(1);
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                Err(error)
            }
        }
    }
}

/// A connection and its place among those open at once.
struct Connection {
    stream: TcpStream,
    _room: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
