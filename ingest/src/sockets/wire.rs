//! The upgraded connection as the library writes to it: it breaks when its cord is pulled or when the client takes
//! nothing for too long, and refusals get their data on the way out.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::cord::Cord;
use super::refusal;

/// A websocket's connection.
pub(super) struct Wire<S> {
    stream: S,
    /// Keeps the cord on its hook.
    _cord: Arc<Cord>,
    // One for each direction: reading and writing are different tasks, each with a waker of its own.
    cut_read: Cut,
    cut_write: Cut,
    /// How long a write may stand still.
    patience: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
    /// What was taken over and is not written yet, and how much of it is.
    unsent: Option<(Vec<u8>, usize)>,
}

/// Whether the cord was pulled.
struct Cut(Option<Pin<Box<WaitForCancellationFutureOwned>>>);

impl Cut {
    fn of(cord: &Cord) -> Self {
        Self(Some(Box::pin(cord.token().cancelled_owned())))
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let waiting = self.0.as_mut().is_some_and(|cut| cut.as_mut().poll(cx).is_pending());
        if waiting {
            return Ok(());
        }
        self.0 = None;
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client was too slow"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, cord: Arc<Cord>, patience: Duration) -> Self {
        let (cut_read, cut_write) = (Cut::of(&cord), Cut::of(&cord));
        Self { stream, _cord: cord, cut_read, cut_write, patience, stuck: None, unsent: None }
    }

    /// Passes on what came of a write; one that stands still too long fails.
    fn moved<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stuck = None;
            return result;
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, sent)) = &mut self.unsent {
            let result = Pin::new(&mut self.stream).poll_write(cx, &bytes[*sent..]);
            if let Poll::Ready(Ok(n)) = &result {
                *sent += n;
                let (all, none) = (*sent == bytes.len(), *n == 0);
                if all {
                    self.unsent = None;
                } else if none {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
            }
            ready!(self.moved(cx, result))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut_read.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.cut_write.check(cx)?;
        ready!(self.poll_unsent(cx))?;
        if let Some(rewritten) = refusal::with_data(buf) {
            self.unsent = Some((rewritten, 0));
            // Begun at once; what is left goes out before anything else.
            if let Poll::Ready(result) = self.poll_unsent(cx) {
                result?;
            }
            return Poll::Ready(Ok(buf.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.moved(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut_write.check(cx)?;
        ready!(self.poll_unsent(cx))?;
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.moved(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A cut connection is closed without a last word.
        if self.cut_write.check(cx).is_ok() {
            ready!(self.poll_unsent(cx))?;
        }
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.moved(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let mut wire = Wire::new(ours, Cord::loose(), Duration::from_millis(20));
        let error = wire.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_pulled_cord_ends_reading_and_writing() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let cord = Cord::loose();
        let (mut read, mut write) =
            tokio::io::split(Wire::new(ours, Arc::clone(&cord), Duration::from_secs(20)));
        let reading = shared::task::spawn("test", async move { read.read_u8().await });
        write.write_all(b"x").await.unwrap();
        cord.pull();
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(write.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
