//! A server that reads whole requests, counts them, and then misbehaves as told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECOND: Duration = Duration::from_secs(1);

/// What the server does with a connection once it has read a whole request.
#[derive(Clone)]
pub(super) enum Script {
    Reply(String),
    ResetUnread,
    ResetAfterRead,
    Hang,
    Huge,
    Drip,
    /// Replies to the first request of a connection, closes at the second.
    CloseOnReuse(String),
    /// Replies to the first request of a connection, then closes it without having said so.
    CloseIdle(String),
}

/// A server on a port of its own, which counts the requests that it read.
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    requests: Arc<AtomicUsize>,
    /// The last request, as text.
    pub(super) last: Arc<parking_lot::Mutex<String>>,
}

impl Server {
    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (requests, last) = (Arc::new(AtomicUsize::new(0)), Arc::<parking_lot::Mutex<String>>::default());
        let (count, text) = (requests.clone(), last.clone());
        crate::task::spawn("test-server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                crate::task::spawn(
                    "test-connection",
                    serve(stream, script.clone(), count.clone(), text.clone()),
                );
            }
        });
        Self { addr, requests, last }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self) -> url::Url {
        format!("http://{}/v24.0", self.addr).parse().unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    requests: Arc<AtomicUsize>,
    last: Arc<parking_lot::Mutex<String>>,
) -> std::io::Result<()> {
    if matches!(script, Script::ResetUnread) {
        return reset(&stream);
    }
    for turn in 0.. {
        let Some(request) = read_request(&mut stream).await else { return Ok(()) };
        requests.fetch_add(1, Ordering::SeqCst);
        *last.lock() = request;
        match &script {
            Script::Reply(reply) => stream.write_all(reply.as_bytes()).await?,
            Script::CloseOnReuse(reply) if turn == 0 => stream.write_all(reply.as_bytes()).await?,
            Script::CloseIdle(reply) => return stream.write_all(reply.as_bytes()).await,
            Script::CloseOnReuse(_) | Script::ResetUnread => return Ok(()),
            Script::ResetAfterRead => return reset(&stream),
            Script::Hang => tokio::time::sleep(60 * SECOND).await,
            Script::Huge => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                for _ in 0..1_600 {
                    stream.write_all(b"10000\r\n").await?;
                    stream.write_all(&[b'x'; 65_536]).await?;
                    stream.write_all(b"\r\n").await?;
                }
            }
            Script::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\n").await?;
                for _ in 0..600 {
                    stream.write_all(b" ").await?;
                    tokio::time::sleep(SECOND).await;
                }
            }
        }
    }
    Ok(())
}

fn reset(stream: &TcpStream) -> std::io::Result<()> {
    #[expect(deprecated, reason = "a zero linger sends RST and does not block")]
    stream.set_linger(Some(Duration::ZERO))
}

/// One request with its body; none at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_string();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        let mut chunk = [0u8; 4_096];
        match stream.read(&mut chunk).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
}

pub(super) fn reply(status: &str, headers: &str, body: &str) -> Script {
    Script::Reply(raw_reply(status, headers, body))
}

pub(super) fn raw_reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}
