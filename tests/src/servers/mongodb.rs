//! MongoDB for tests: a database of each test's own on the shared server, and a server of a test's own that may be
//! killed.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mongodb::bson::{Document, doc};
use shared::config::{self, Secret};
use shared::store::Store;

/// Longest wait for a start; one second is usual.
const START_MAX: Duration = Duration::from_secs(30);

/// The shared server: `BELLHOP_TEST_MONGODB`, else port 27100 of this machine.
pub fn shared_uri() -> String {
    told("BELLHOP_TEST_MONGODB").unwrap_or_else(|| uri(SocketAddr::from((Ipv4Addr::LOCALHOST, 27100)), true))
}

/// The URI of a server at `address`. Behind a proxy a client must connect directly, or it would go on to the
/// address that the server announces.
pub fn uri(address: SocketAddr, discover: bool) -> String {
    let topology = if discover { "replicaSet=secantus" } else { "directConnection=true" };
    format!("mongodb://{address}/?{topology}&w=majority&journal=true")
}

/// A database with all indexes that only one test uses. Dropping it deletes it.
#[derive(Debug)]
pub struct TestDatabase {
    uri: String,
    name: String,
    store: Store,
}

impl TestDatabase {
    /// A new database on the shared server.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn new() -> anyhow::Result<Self> {
        Self::on(&shared_uri()).await
    }

    /// A new database on the server at `uri`.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn on(uri: &str) -> anyhow::Result<Self> {
        let name = format!("test_{}", ulid::Ulid::new().to_string().to_lowercase());
        let store = connect(uri, &name).await?;
        store.ensure_indexes().await.with_context(|| format!("prepare a database on {uri}"))?;
        Ok(Self { uri: uri.to_owned(), name, store })
    }

    /// The database, with a pool of connections that all of the test shares.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The same database with a pool of its own, as another process has it.
    ///
    /// # Errors
    /// When the URI cannot be read.
    pub async fn another(&self) -> anyhow::Result<Store> {
        connect(&self.uri, &self.name).await
    }

    /// The same database through `address`, which leads to its server.
    ///
    /// # Errors
    /// When the URI cannot be read.
    pub async fn through(&self, address: SocketAddr) -> anyhow::Result<Store> {
        connect(&uri(address, false), &self.name).await
    }

    /// Where its server listens.
    ///
    /// # Errors
    /// When the URI names no address.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let rest = self.uri.strip_prefix("mongodb://").context("a mongodb:// URI")?;
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        host.parse().with_context(|| format!("{host} is no address"))
    }

    /// What to configure a process with.
    pub fn config(&self) -> config::Mongodb {
        config::Mongodb { uri: Secret::new(&self.uri), database: self.name.clone() }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (uri, name) = (self.uri.clone(), self.name.clone());
        // The test's own runtime is busy or ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { anyhow::Ok(connect(&uri, &name).await?.drop_test_database().await?) })
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            tracing::warn!(database = self.name, "a test's database is left behind");
        }
    }
}

async fn connect(uri: &str, name: &str) -> anyhow::Result<Store> {
    let config = config::Mongodb { uri: Secret::new(uri), database: name.to_owned() };
    Ok(Store::connect(&config).await?)
}

/// A server of one test, killed and removed when dropped. Acknowledged writes survive a kill.
///
/// Started from the program that `BELLHOP_TEST_SECANTUS_BIN` names.
#[derive(Debug)]
pub struct OwnMongodb {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl OwnMongodb {
    /// Starts an empty server and waits until it takes writes.
    ///
    /// # Errors
    /// When no program is named or it is not up in half a minute (with the end of its log).
    pub async fn start() -> anyhow::Result<Self> {
        let program = told("BELLHOP_TEST_SECANTUS_BIN")
            .context("BELLHOP_TEST_SECANTUS_BIN names no server; run the tests with dev/test")?;
        let folder = std::env::temp_dir().join(format!("bellhop-mongodb-{}", ulid::Ulid::new()));
        std::fs::create_dir_all(folder.join("data")).context("make the folder of a server")?;
        // So that no configuration of this machine is picked up.
        std::fs::write(folder.join("server.toml"), "").context("write the server's configuration")?;
        let mut server = Self { program: program.into(), folder, port: free_port()?, process: None };
        server.up().await?;
        Ok(server)
    }

    /// How clients find it.
    pub fn uri(&self) -> String {
        uri(self.address(), true)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The process id while it runs, for signals.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Ends it as a crash would (SIGKILL) and returns when it is gone. Its data stays.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().context("kill the server")?;
            process.wait().context("wait for the server's end")?;
        }
        Ok(())
    }

    /// Starts it on the same port with the data it has, and waits until it takes writes.
    ///
    /// # Errors
    /// As [`OwnMongodb::start`].
    pub async fn up(&mut self) -> anyhow::Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let log = std::fs::File::create(self.folder.join("output.log")).context("make the log")?;
        let process = Command::new(&self.program)
            .arg("--config")
            .arg(self.folder.join("server.toml"))
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .arg("--storage-path")
            .arg(self.folder.join("data"))
            .args(["--sync-on-commit", "--cache-size", "256M", "--log-level", "WARNING"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        self.process = Some(process);
        let deadline = Instant::now() + START_MAX;
        while !self.takes_writes().await {
            let exited = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if exited.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.join("output.log")).unwrap_or_default();
                bail!("the server did not start ({exited:?}): {log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn takes_writes(&self) -> bool {
        if tokio::net::TcpStream::connect(self.address()).await.is_err() {
            return false;
        }
        let Ok(client) = mongodb::Client::with_uri_str(self.uri()).await else { return false };
        let checks = client.database("test_health").collection::<Document>("checks");
        let update = doc! { "$inc": { "starts": 1 } };
        let written = checks.update_one(doc! { "_id": 1 }, update).upsert(true);
        tokio::time::timeout(Duration::from_secs(2), async move { written.await.is_ok() })
            .await
            .unwrap_or(false)
    }
}

impl Drop for OwnMongodb {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!("the server of a test is left behind: {error:#}");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A port below the range of outgoing connections, so that a killed server finds it free again.
fn free_port() -> anyhow::Result<u16> {
    (0..100)
        .map(|_| rand::random_range(20_000..32_000))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port")
}

#[expect(clippy::disallowed_methods, reason = "tests are told their servers by their environment")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
