//! A small Socket.IO client by websocket: it shows its credentials, answers pings and notes when it hears a post. Five
//! hundred of them must cost little beside what they measure, so an event is not parsed further than that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long a socket may take to be let in.
const PATIENCE: Duration = Duration::from_secs(30);
/// Packets of Engine.IO and Socket.IO, as text.
const PING: &str = "2";
const PONG: &str = "3";
const CONNECT: &str = "40";
const REFUSED: &str = "44";
const NEW_MESSAGE: &str = "42[\"newMessage\",";
/// What the text of a post begins with, before its number.
const MARK: &str = "\"post-";
/// Digits of the number.
const DIGITS: usize = 8;

/// The text of post number `post`, about 120 characters.
pub(crate) fn text_of(post: usize) -> String {
    format!("post-{post:0DIGITS$} {}", crate::load::text())
}

/// The number of the post that an event shows, if it is a new message of ours.
fn post_in(event: &str) -> Option<usize> {
    let shown = event.strip_prefix(NEW_MESSAGE)?;
    let (_, after) = shown.split_once(MARK)?;
    after.get(..DIGITS)?.parse().ok()
}

/// A post arrived at a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) socket: usize,
    pub(crate) post: usize,
    pub(crate) at: Instant,
}

/// What all sockets hear. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ears {
    heard: Arc<Mutex<Vec<Heard>>>,
    lost: Arc<Mutex<Vec<String>>>,
}

impl Ears {
    /// How much was heard since it was last taken.
    pub(crate) fn count(&self) -> usize {
        self.heard.lock().len()
    }

    /// What was heard since it was last taken.
    pub(crate) fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.heard.lock())
    }

    /// Fails when a socket lost its connection.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let lost = self.lost.lock();
        match lost.first() {
            None => Ok(()),
            Some(first) => bail!("{} sockets lost their connection, the first by: {first}", lost.len()),
        }
    }
}

/// A connected socket; dropping it ends its connection without a word.
#[derive(Debug)]
pub(crate) struct Socket(JoinHandle<()>);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Socket {
    /// Connects number `number` with the credentials `auth`; it listens from now on.
    pub(crate) async fn open(
        to: SocketAddr,
        number: usize,
        auth: &Value,
        ears: &Ears,
    ) -> anyhow::Result<Self> {
        let entered = tokio::time::timeout(PATIENCE, enter(to, auth)).await;
        let stream = entered.context("a socket waits too long for its entry")??;
        let ears = ears.clone();
        Ok(Self(shared::task::spawn("socket", async move {
            let Err(error) = listen(stream, number, &ears).await;
            ears.lost.lock().push(format!("{error:#}"));
        })))
    }
}

async fn enter(to: SocketAddr, auth: &Value) -> anyhow::Result<Stream> {
    let url = format!("ws://{to}/socket.io/?EIO=4&transport=websocket");
    let (mut stream, _) = connect_async(url).await.context("open a websocket")?;
    next(&mut stream).await?; // what the server says of itself
    stream.send(Message::text(format!("{CONNECT}{auth}"))).await?;
    loop {
        let packet = next(&mut stream).await?;
        if packet.starts_with(CONNECT) {
            return Ok(stream);
        }
        if packet.starts_with(REFUSED) {
            bail!("a socket was refused: {packet}");
        }
    }
}

async fn listen(mut stream: Stream, socket: usize, ears: &Ears) -> anyhow::Result<std::convert::Infallible> {
    loop {
        let packet = next(&mut stream).await?;
        if let Some(post) = post_in(&packet) {
            ears.heard.lock().push(Heard { socket, post, at: Instant::now() });
        }
    }
}

/// The next packet that is no ping.
async fn next(stream: &mut Stream) -> anyhow::Result<tokio_tungstenite::tungstenite::Utf8Bytes> {
    loop {
        match stream.next().await.context("the connection was closed")?? {
            Message::Text(packet) if packet.as_str() == PING => stream.send(Message::text(PONG)).await?,
            Message::Text(packet) => return Ok(packet),
            Message::Close(frame) => bail!("the server said good-bye: {frame:?}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_recognised_in_the_shapes_of_both_apis() {
        let text = text_of(42);
        let desk =
            format!(r#"42["newMessage",{{"message":{{"_id":"x","content":"{text}"}},"type":"team"}}]"#);
        let chat = format!(r#"42["newMessage",{{"message":{{"messageId":"x","body":"{text}"}}}}]"#);
        assert_eq!([post_in(&desk), post_in(&chat)], [Some(42); 2]);
        let thread = format!(r#"42["threadUpdated",{{"thread":{{"lastMessage":{{"body":"{text}"}}}}}}]"#);
        assert_eq!([post_in(&thread), post_in(r#"42["newMessage",{"message":{}}]"#)], [None; 2]);
    }
}
