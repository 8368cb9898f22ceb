//! The sockets: accepts connections and ends them as the faults ask, by RST where a real network would.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use shared::task;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::reply::Abort;
use super::{Sim, route};

const BACKLOG: u32 = 1024;
/// How long answers in progress may take once the simulator stops.
const DRAIN: Duration = Duration::from_secs(2);
/// Wait after a failed accept, such as one without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What is written where HTTP was expected: the start of a TLS alert and noise.
const NOT_HTTP: &[u8] = &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x50, 0x00, 0xff, 0xfe, b'\r', b'\n'];

/// # Errors
/// When the address cannot be bound.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the simulator stops; then no new connection is taken.
pub(super) async fn run(sim: Arc<Sim>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                task::spawn("simulator-connection", serve(sim.clone(), stream, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(sim: Arc<Sim>, stream: TcpStream, mut stop: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "set TCP_NODELAY");
    }
    let ending: Mutex<Option<Abort>> = Mutex::new(None);
    let service = service_fn(|request| async {
        let answered = route::handle(&sim, request).await;
        if let Err(abort) = &answered {
            *ending.lock() = Some(*abort);
        }
        answered
    });
    let mut connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let served = tokio::select! {
        served = &mut connection => Some(served),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if served.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        let _late = tokio::time::timeout(DRAIN, &mut connection).await;
    }
    let stream = connection.into_parts().io.into_inner();
    let abort = *ending.lock();
    if let Some(abort) = abort
        && let Err(error) = end(stream, abort).await
    {
        tracing::debug!(%error, "end a connection");
    }
}

async fn end(mut stream: TcpStream, abort: Abort) -> io::Result<()> {
    match abort {
        Abort::Reset => stream.set_zero_linger(),
        Abort::Close => stream.shutdown().await,
        Abort::NotHttp => {
            stream.write_all(NOT_HTTP).await?;
            stream.shutdown().await
        }
    }
}
