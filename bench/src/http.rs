//! A small HTTP/1.1 client with connections that stay open: the load must cost little beside what it measures.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest head of an answer, in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).context("the answer is no JSON")
    }

    /// The answer, when its status is one of `wanted`.
    pub(crate) fn expect(self, wanted: &[u16]) -> anyhow::Result<Self> {
        let shown = || String::from_utf8_lossy(&self.body[..self.body.len().min(500)]).into_owned();
        ensure!(wanted.contains(&self.status), "answered {}: {}", self.status, shown());
        Ok(self)
    }
}

/// The bytes of a request.
pub(crate) fn request(
    method: &str,
    host: SocketAddr,
    path: &str,
    bearer: Option<&str>,
    body: Option<&[u8]>,
) -> Vec<u8> {
    let bearer = bearer.map(|token| format!("Bearer {token}"));
    let bearer = bearer.as_deref().map(|value| ("authorization", value));
    request_with(method, host, path, bearer.as_slice(), body)
}

/// The bytes of a request with these headers.
pub(crate) fn request_with(
    method: &str,
    host: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if let Some(body) = body {
        let head = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body);
    } else {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// One open connection, one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("connect to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(4096) })
    }

    /// Whether the server has not closed it for having been idle too long.
    fn is_open(&self) -> bool {
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Sends `bytes` and reads the answer.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(bytes).await.context("write a request")?;
        self.read.clear();
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.read.len() < HEAD_MAX, "the head of an answer is too long");
            self.fill().await?;
        };
        let (status, length) = parse_head(&self.read[..head])?;
        let Some(length) = length else {
            return Ok(Answer { status, body: self.chunks(head).await? });
        };
        while self.read.len() < head + length {
            self.fill().await?;
        }
        Ok(Answer { status, body: self.read[head..head + length].to_vec() })
    }

    /// The body that begins at `at` and comes in chunks.
    async fn chunks(&mut self, mut at: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.read[at..].windows(2).position(|two| two == b"\r\n") {
                    break at + end;
                }
                self.fill().await?;
            };
            let size = std::str::from_utf8(&self.read[at..end]).context("the size of a chunk is no text")?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                .context("the size of a chunk is no number")?;
            let (from, to) = (end + 2, end + 2 + size);
            while self.read.len() < to + 2 {
                self.fill().await?;
            }
            body.extend_from_slice(&self.read[from..to]);
            at = to + 2;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.read).await.context("read an answer")?;
        ensure!(read > 0, "the connection was closed");
        Ok(())
    }
}

/// Status, and length unless the body comes in chunks.
fn parse_head(head: &[u8]) -> anyhow::Result<(u16, Option<usize>)> {
    let text = std::str::from_utf8(head).context("the head of an answer is no text")?;
    let status = text.get(9..12).and_then(|digits| digits.parse().ok()).context("no status line")?;
    let header = |wanted: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).next()
    };
    match header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => Ok((status, Some(length))),
        None if status == 204 => Ok((status, Some(0))),
        None if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) => {
            Ok((status, None))
        }
        None => bail!("an answer of unknown length"),
    }
}

/// A pool of connections to one address.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
}

impl Client {
    /// For `address`; connections are opened as they are needed.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Where it sends to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends bytes made by [`request`].
    pub(crate) async fn send(&self, bytes: &[u8]) -> anyhow::Result<Answer> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) if connection.is_open() => connection,
            _ => Connection::open(self.address).await?,
        };
        let answer = connection.send(bytes).await?;
        self.idle.lock().push(connection);
        Ok(answer)
    }

    /// Sends a request and returns the answer, whatever its status.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let body = body.map(serde_json::to_vec).transpose()?;
        self.send(&request(method, self.address, path, bearer, body.as_deref())).await
    }

    /// Asks with GET and expects 200 with JSON.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call("GET", path, None, None).await?.expect(&[200])?.json()
    }

    /// The names of Elasticsearch's indices that begin with `prefix`; its list comes in chunks, which needs a client
    /// that knows them.
    pub(crate) async fn indices(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let url = format!("http://{}/_cat/indices/{prefix}*?format=json&h=index", self.address);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let rows: Vec<Value> = client.get(url).send().await?.error_for_status()?.json().await?;
        Ok(rows.iter().filter_map(|row| row["index"].as_str().map(str::to_owned)).collect())
    }

    /// Opens connections until `count` are idle.
    pub(crate) async fn warm(&self, count: usize) -> anyhow::Result<()> {
        while self.idle.lock().len() < count {
            let connection = Connection::open(self.address).await?;
            self.idle.lock().push(connection);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_length_are_read_whatever_the_case_of_the_names() {
        let head = b"HTTP/1.1 201 Created\r\nContent-Length: 12\r\nx: y\r\n\r\n";
        assert_eq!(parse_head(head).unwrap(), (201, Some(12)));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(parse_head(chunked).unwrap(), (200, None));
        assert!(parse_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
