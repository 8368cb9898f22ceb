//! One Redis connection that opens on first use, opens again after it broke, and never waits longer than told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisResult};
use tokio::time::{Instant, timeout_at};

use super::QueueError;

/// The longest wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A shared, reconnecting connection. Clones share the connection.
///
/// Redis's own connection manager is not used: it answers the first call after an outage with the outage's
/// error, and it keeps a connection whose peer has silently gone. Here a broken connection is replaced and the
/// call sent once more within its time, and a call that timed out gives its connection up.
/// Invariant: every command sent through a link may run twice.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    client: Client,
    timeout: Duration,
    slot: Mutex<Slot>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Slot {
    generation: u64,
    open: Option<Open>,
}

#[derive(Clone)]
struct Open {
    generation: u64,
    client_id: Option<i64>,
    connection: MultiplexedConnection,
}

/// What is sent: one command or a pipeline.
enum Request<'a> {
    One(&'a Cmd),
    Many(&'a Pipeline),
}

impl Request<'_> {
    async fn run<T: FromRedisValue>(&self, connection: &mut MultiplexedConnection) -> RedisResult<T> {
        match self {
            Request::One(command) => command.query_async(connection).await,
            Request::Many(pipeline) => pipeline.query_async(connection).await,
        }
    }
}

impl Link {
    /// A link to `url` whose calls take at most `timeout`, connecting included. Opens nothing yet.
    ///
    /// # Errors
    /// [`QueueError::Url`] when the URL cannot be read; never because Redis is away.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, QueueError> {
        let client = Client::open(url).map_err(|_| QueueError::Url)?;
        let (slot, connecting) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { client, timeout, slot, connecting })))
    }

    /// Sends one command.
    ///
    /// # Errors
    /// [`QueueError`] when Redis is away, late, or refuses.
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, QueueError> {
        self.send(Request::One(command)).await
    }

    /// Sends a pipeline, or a transaction when it is atomic, in one round trip.
    ///
    /// # Errors
    /// As [`Link::command`]; without a transaction a part of the commands may have run.
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, QueueError> {
        self.send(Request::Many(pipeline)).await
    }

    /// Redis's number for the open connection, by which another connection can unblock it.
    pub fn client_id(&self) -> Option<i64> {
        self.0.slot.lock().open.as_ref().and_then(|open| open.client_id)
    }

    /// Gives the connection up; the next call opens a new one.
    pub fn close(&self) {
        self.0.slot.lock().open = None;
    }

    async fn send<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, QueueError> {
        let late = || QueueError::Timeout(self.0.timeout);
        let deadline = Instant::now() + self.0.timeout;
        let mut again = true;
        loop {
            let mut open = timeout_at(deadline, self.open()).await.map_err(|_| late())??;
            match timeout_at(deadline, request.run(&mut open.connection)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => match QueueError::from(error) {
                    error @ QueueError::Away(_) => {
                        self.forget(open.generation);
                        if !std::mem::take(&mut again) {
                            return Err(error);
                        }
                    }
                    error => return Err(error),
                },
                Err(_) => {
                    self.forget(open.generation);
                    return Err(late());
                }
            }
        }
    }

    async fn open(&self) -> Result<Open, QueueError> {
        if let Some(open) = self.current() {
            return Ok(open);
        }
        let _one_at_a_time = self.0.connecting.lock().await;
        if let Some(open) = self.current() {
            return Ok(open);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.0.timeout.min(CONNECT_TIMEOUT)))
            .set_response_timeout(None); // the caller's deadline rules
        let mut connection = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
        // An access list may forbid it; the number is a convenience.
        let client_id = redis::cmd("CLIENT").arg("ID").query_async(&mut connection).await.ok();
        let mut slot = self.0.slot.lock();
        slot.generation += 1;
        let open = Open { generation: slot.generation, client_id, connection };
        slot.open = Some(open.clone());
        Ok(open)
    }

    fn current(&self) -> Option<Open> {
        self.0.slot.lock().open.clone()
    }

    fn forget(&self, generation: u64) {
        let mut slot = self.0.slot.lock();
        if slot.open.as_ref().is_some_and(|open| open.generation == generation) {
            slot.open = None;
        }
    }
}

impl fmt::Debug for Link {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("timeout", &self.0.timeout).finish_non_exhaustive()
    }
}
