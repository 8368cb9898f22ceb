//! A `redis-server` of a test's own, on a free port, in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep};
use ulid::Ulid;

/// The longest wait for a server to answer or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the port of another is tried when somebody was quicker.
const PORT_TRIES: usize = 5;

/// A running (or stopped) Redis. Dropping it kills the process and deletes its folder.
///
/// It keeps its port over restarts. Without further arguments it persists nothing.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not come up in 20 seconds.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`RedisServer::start`], with further arguments such as `["--appendonly", "yes"]`.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut tries = 1;
        loop {
            let mut server = Self::new(arguments)?;
            match server.up().await {
                Ok(()) => return Ok(server),
                Err(_) if tries < PORT_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// A server that is not running yet: its URL is known, nobody answers there. [`RedisServer::up`] starts it.
    ///
    /// # Errors
    /// When no port or folder can be had.
    pub fn new(arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("bellhop-redis-{}", Ulid::new()));
        fs::create_dir_all(&folder).context("create the folder of a redis-server")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Ok(Self { port, folder, arguments, child: None })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id while it runs, for signals.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub async fn connection(&self) -> anyhow::Result<MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// Starts the process and waits until it answers; nothing happens when it runs.
    ///
    /// # Errors
    /// When it ends at once or does not answer in 20 seconds.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = fs::File::create(self.folder.join("redis.log"))?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(&self.folder)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start redis-server (Debian: apt-get install redis-server)")?;
        self.child = Some(child);
        self.wait_for_answer().await
    }

    /// Stops it in order, keeping its folder.
    ///
    /// # Errors
    /// When it does not end in 20 seconds.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if self.child.is_none() {
            return Ok(());
        }
        if let Ok(mut connection) = self.connection().await {
            // The answer is the end of the connection.
            let _: Result<(), _> = redis::cmd("SHUTDOWN").query_async(&mut connection).await;
        }
        let deadline = Instant::now() + PATIENCE;
        while let Some(child) = &mut self.child {
            if child.try_wait()?.is_some() {
                self.child = None;
            } else if Instant::now() > deadline {
                bail!("redis-server on port {} does not stop", self.port);
            } else {
                sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    /// Ends it with SIGKILL, keeping its folder.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Stops it and starts it on the same port and folder: it has what its arguments made it persist.
    ///
    /// # Errors
    /// As [`RedisServer::stop`] and [`RedisServer::up`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.up().await
    }

    /// Kills it and starts it on the same port with nothing in it.
    ///
    /// # Errors
    /// As [`RedisServer::up`].
    pub async fn restart_empty(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        fs::remove_dir_all(&self.folder)?;
        fs::create_dir_all(&self.folder)?;
        self.up().await
    }

    /// Deletes all keys.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn flushall(&self) -> anyhow::Result<()> {
        Ok(redis::cmd("FLUSHALL").query_async(&mut self.connection().await?).await?)
    }

    async fn wait_for_answer(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!("redis-server ended with {status}: {}", self.log());
            }
            if let Ok(mut connection) = self.connection().await
                && redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("redis-server on port {} does not answer: {}", self.port, self.log());
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("redis.log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
