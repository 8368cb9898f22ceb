//! What is measured: our programs on the servers that the environment names, in a database, Redis prefix and
//! index prefix of their own that are removed at the end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use mongodb::bson::doc;
use shared::config::{Mongodb, Secret};
use shared::queue::{Queue, Wakeups};
use shared::store::Store;

use crate::http::Client;
use crate::process::{Pid, Program, free_port, output};

/// How long a program may take to become ready.
const READY: Duration = Duration::from_secs(60);
/// Entries that a stream takes, more than any run makes, so that Redis's share of the work is whole.
const STREAM_CAP: usize = 1_000_000;

/// The servers, by URL.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Servers {
    /// MongoDB's connection string; dev/with-servers sets it.
    #[arg(long, env = "BELLHOP_TEST_MONGODB", global = true, default_value = "")]
    pub(crate) mongodb: String,
    /// Redis's URL.
    #[arg(long, env = "BELLHOP_TEST_REDIS", global = true, default_value = "")]
    pub(crate) redis: String,
    /// Elasticsearch's URL.
    #[arg(long, env = "BELLHOP_TEST_ELASTICSEARCH", global = true, default_value = "")]
    pub(crate) elasticsearch: String,
}

impl Servers {
    /// Fails with the way out when one is not named.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let all = [&self.mongodb, &self.redis, &self.elasticsearch];
        ensure!(all.iter().all(|url| !url.is_empty()), "no servers are named: start with dev/bench");
        Ok(())
    }

    fn port(url: &str) -> Option<u16> {
        let (_, rest) = url.split_once("://")?;
        rest.split(['/', '?']).next()?.rsplit_once(':')?.1.parse().ok()
    }
}

/// One ingest and where it is reached.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) client: Client,
    program: Program,
}

impl Ingest {
    /// Its process.
    pub(crate) fn pid(&self) -> anyhow::Result<Pid> {
        self.program.pid().context("ingest has ended")
    }
}

/// Our programs and the servers below them.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Names the database and the prefixes.
    pub(crate) name: String,
    pub(crate) servers: Servers,
    pub(crate) ingests: Vec<Ingest>,
    pub(crate) store: Store,
    pub(crate) wakeups: Wakeups,
    pub(crate) elasticsearch: Client,
    pub(crate) simulator: Option<Client>,
    programs: Vec<(&'static str, Program)>,
    env: Vec<(String, String)>,
    bin: PathBuf,
    logs: PathBuf,
}

impl Stack {
    /// Prepares the settings and the doors; no program runs yet. `extra` are settings as `NAME=value`.
    pub(crate) async fn prepare(servers: &Servers, extra: &[(String, String)]) -> anyhow::Result<Self> {
        servers.check()?;
        let name = format!("bench_{}", ulid::Ulid::new().to_string().to_lowercase());
        let prefix = name.replace('_', "-");
        let bin = std::env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
        let mut env = settings(servers, &name, &prefix);
        env.extend(extra.iter().cloned());
        let store = Self::door(&servers.mongodb, &name).await?;
        store.check_writable().await.context("mongodb takes no write")?;
        let wakeups = Wakeups::new(&servers.redis, &prefix, STREAM_CAP)?;
        let elasticsearch = Client::new(address(&servers.elasticsearch)?);
        let logs = bin.join("../bench").join(&name);
        Ok(Self {
            name,
            servers: servers.clone(),
            ingests: Vec::new(),
            store,
            wakeups,
            elasticsearch,
            simulator: None,
            programs: Vec::new(),
            env,
            bin,
            logs,
        })
    }

    /// The database of the same server in which raw loops work.
    pub(crate) async fn floor_store(&self) -> anyhow::Result<Store> {
        Self::door(&self.servers.mongodb, &format!("{}_floor", self.name)).await
    }

    /// The prefix of keys and indices.
    pub(crate) fn prefix(&self) -> String {
        self.name.replace('_', "-")
    }

    async fn door(uri: &str, database: &str) -> anyhow::Result<Store> {
        let config = Mongodb { uri: Secret::new(uri), database: database.to_owned() };
        Ok(Store::connect(&config).await?)
    }

    /// Starts an ingest; `path` is another build of it. The first one is where webhooks go.
    pub(crate) async fn start_ingest(
        &mut self,
        path: Option<PathBuf>,
        extra: &[(String, String)],
    ) -> anyhow::Result<()> {
        let (public, admin) = (free_port()?, free_port()?);
        let mut env = self.env.clone();
        env.extend_from_slice(extra);
        env.push(setting("HTTP__LISTEN", format!("127.0.0.1:{public}")));
        env.push(setting("HTTP__ADMIN_LISTEN", format!("127.0.0.1:{admin}")));
        env.push(setting("PUBLIC_URL", format!("http://127.0.0.1:{public}")));
        let path = path.unwrap_or_else(|| self.bin.join("ingest"));
        let name = format!("ingest-{}", self.ingests.len());
        let mut program = Program::start(&name, &path, &["serve".to_owned()], &env, &self.logs)?;
        ready(&mut program, admin, "/readyz").await?;
        let client = Client::new(SocketAddr::from(([127, 0, 0, 1], public)));
        self.ingests.push(Ingest { client, program });
        Ok(())
    }

    /// Starts workers for `queues` (all when empty), with the public URL of the first ingest.
    pub(crate) async fn start_workers(&mut self, queues: &str) -> anyhow::Result<()> {
        let port = free_port()?;
        let mut env = self.env.clone();
        env.push(setting("WORKERS__LISTEN", format!("127.0.0.1:{port}")));
        if let Some(ingest) = self.ingests.first() {
            env.push(setting("PUBLIC_URL", format!("http://{}", ingest.client.address())));
        }
        if let Some(simulator) = &self.simulator {
            let url = format!("http://{}", simulator.address());
            env.push(setting("WHATSAPP__BASE_URL", format!("{url}/whatsapp/v23.0")));
        }
        let mut args = vec!["run".to_owned()];
        if !queues.is_empty() {
            args.extend(["--queues".to_owned(), queues.to_owned()]);
        }
        let mut program = Program::start("workers", &self.bin.join("workers"), &args, &env, &self.logs)?;
        ready(&mut program, port, "/readyz").await?;
        self.programs.push(("workers", program));
        Ok(())
    }

    /// Starts the providers, which send their statuses to the first ingest.
    pub(crate) async fn start_simulator(&mut self) -> anyhow::Result<()> {
        let port = free_port()?;
        let base = self.ingests.first().context("the simulator needs an ingest")?.client.address();
        let flags = [format!("--listen=127.0.0.1:{port}"), format!("--webhook-base=http://{base}")];
        let path = self.bin.join("simulator");
        let mut program = Program::start("simulator", &path, &flags, &simulator_settings(), &self.logs)?;
        ready(&mut program, port, "/_sim/healthz").await?;
        self.simulator = Some(Client::new(SocketAddr::from(([127, 0, 0, 1], port))));
        self.programs.push(("simulator", program));
        Ok(())
    }

    /// Stops the program called `name`.
    pub(crate) async fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        if let Some(place) = self.programs.iter().position(|(known, _)| *known == name) {
            self.programs.remove(place).1.stop().await?;
        }
        Ok(())
    }

    /// A token of the account `bench`.
    pub(crate) async fn token(&self, sub: &str, role: &str) -> anyhow::Result<String> {
        let args = ["token", "--account", ACCOUNT, "--sub", sub, "--role", role, "--ttl", "24h"];
        output(&self.bin.join("ingest"), &args, &self.env).await
    }

    /// Runs a command of `workers` to its end; answers what it prints.
    pub(crate) async fn command(&self, args: &[&str]) -> anyhow::Result<String> {
        output(&self.bin.join("workers"), args, &self.env).await
    }

    /// The processes whose CPU counts, by name.
    pub(crate) fn processes(&self) -> Vec<(&'static str, Pid)> {
        let mut all: Vec<_> =
            self.ingests.iter().filter_map(|i| i.program.pid()).map(|pid| ("ingest", pid)).collect();
        all.extend(self.programs.iter().filter_map(|(name, program)| Some((*name, program.pid()?))));
        let servers = [
            ("mongodb", &self.servers.mongodb),
            ("redis", &self.servers.redis),
            ("elasticsearch", &self.servers.elasticsearch),
        ];
        for (name, url) in servers {
            all.extend(Servers::port(url).and_then(Pid::listening_on).map(|pid| (name, pid)));
        }
        all.push(("client", Pid(std::process::id())));
        all
    }

    /// Deletes every waiting job, in the ledger and in Redis.
    pub(crate) async fn forget_jobs(&self) -> anyhow::Result<()> {
        self.store.raw().collection::<mongodb::bson::Document>("jobs").delete_many(doc! {}).await?;
        self.clear_redis().await
    }

    async fn clear_redis(&self) -> anyhow::Result<()> {
        let mut redis = self.redis().await?;
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("{}:*", self.prefix())).query_async(&mut redis).await?;
        if !keys.is_empty() {
            redis::cmd("DEL").arg(keys).query_async::<()>(&mut redis).await?;
        }
        Ok(())
    }

    /// A connection to Redis.
    pub(crate) async fn redis(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.servers.redis.as_str())?;
        client.get_multiplexed_async_connection().await.context("connect to redis")
    }

    /// Entries in all streams: waiting and in the hands of workers.
    pub(crate) async fn streamed(&self) -> anyhow::Result<usize> {
        let lengths = Queue::ALL.map(|queue| self.wakeups.len(queue));
        Ok(futures::future::try_join_all(lengths).await?.into_iter().sum())
    }

    /// Jobs that will still do something by themselves.
    pub(crate) async fn unfinished(&self) -> anyhow::Result<u64> {
        let jobs = self.store.raw().collection::<mongodb::bson::Document>("jobs");
        let open = doc! { "state": { "$in": ["queued", "running", "unknown"] } };
        Ok(jobs.count_documents(open).await?)
    }

    /// Waits until no job is left to do; answers how long that took.
    pub(crate) async fn drained(&mut self, patience: Duration) -> anyhow::Result<Duration> {
        let started = Instant::now();
        loop {
            let emptied = started.elapsed();
            // Counting reads the whole ledger: only once the streams, which cost nothing to look at, are empty.
            if self.streamed().await? == 0 {
                if self.unfinished().await? == 0 {
                    return Ok(emptied);
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            ensure!(
                started.elapsed() < patience,
                "{} jobs are left after {patience:?}",
                self.unfinished().await?
            );
            for (_, program) in &mut self.programs {
                program.check()?;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops the programs and removes what they stored.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        for (_, program) in std::mem::take(&mut self.programs) {
            program.stop().await?;
        }
        for ingest in std::mem::take(&mut self.ingests) {
            ingest.program.stop().await?;
        }
        self.clear_redis().await?;
        self.drop_indices().await?;
        self.store.drop_test_database().await?;
        self.floor_store().await?.drop_test_database().await?;
        std::fs::remove_dir_all(&self.logs).context("remove the logs")
    }

    /// Deletes the indices, those of raw loops too.
    pub(crate) async fn drop_indices(&self) -> anyhow::Result<()> {
        for index in self.elasticsearch.indices(&self.prefix()).await? {
            self.elasticsearch.call("DELETE", &format!("/{index}"), None, None).await?.expect(&[200, 404])?;
        }
        Ok(())
    }
}

/// The one sender number, and what the simulator and our programs know each other by.
const PHONE_NUMBER_ID: &str = "100000000000001";
const CREDENTIAL: &str = "bench-credential";

fn simulator_settings() -> Vec<(String, String)> {
    ["ACCESS_TOKEN", "APP_SECRET", "VERIFY_TOKEN"]
        .map(|name| (format!("SIMULATOR_{name}"), CREDENTIAL.to_owned()))
        .into_iter()
        .chain([("SIMULATOR_PHONE_NUMBER_ID".to_owned(), PHONE_NUMBER_ID.to_owned())])
        .collect()
}

/// The account in which everything happens.
pub(crate) const ACCOUNT: &str = "bench";

fn setting(key: &str, value: impl Into<String>) -> (String, String) {
    (format!("BELLHOP_{key}"), value.into())
}

fn settings(servers: &Servers, database: &str, prefix: &str) -> Vec<(String, String)> {
    vec![
        setting("MONGODB__URI", &servers.mongodb),
        setting("MONGODB__DATABASE", database),
        setting("REDIS__URL", &servers.redis),
        setting("REDIS__PREFIX", prefix),
        setting("REDIS__STREAM_CAP", STREAM_CAP.to_string()),
        setting("ELASTICSEARCH__URL", &servers.elasticsearch),
        setting("ELASTICSEARCH__PREFIX", format!("{prefix}-")),
        setting("AUTH__HS256_SECRET", format!("{}{}", ulid::Ulid::new(), ulid::Ulid::new())),
        setting("HTTP__RATE_LIMIT", "1000000/s"),
        // Our own limits are not what is measured.
        setting("DELIVERY__WHATSAPP_RATE", "100000/s"),
        setting("DELIVERY__WHATSAPP_PAIR_RATE", "100000/s"),
        setting("DELIVERY__WHATSAPP_PAIR_BURST", "10000"),
        setting("HTTP__RATE_BURST", "1000000"),
        setting("WHATSAPP__PHONE_NUMBER_ID", PHONE_NUMBER_ID),
        setting("WHATSAPP__ACCESS_TOKEN", CREDENTIAL),
        setting("WHATSAPP__APP_SECRET", CREDENTIAL),
        setting("WHATSAPP__VERIFY_TOKEN", CREDENTIAL),
    ]
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    host.and_then(|host| host.parse().ok()).with_context(|| format!("{url} is not http://address:port"))
}

async fn ready(program: &mut Program, port: u16, path: &str) -> anyhow::Result<()> {
    let client = Client::new(SocketAddr::from(([127, 0, 0, 1], port)));
    let started = Instant::now();
    loop {
        program.check()?;
        if matches!(client.call("GET", path, None, None).await, Ok(answer) if answer.status == 200) {
            return Ok(());
        }
        ensure!(started.elapsed() < READY, "a program is not ready after {READY:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
