//! The product as the programs that are shipped: ingest and workers as child processes that can be killed, on a
//! database, a Redis prefix and search indices of their own, with a simulator in this process.
//!
//! The programs are those beside the test binary: `cargo build --release --bins` makes them.

mod crew;
mod looks;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ingest::auth::{TokenRequest, issue};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use shared::config::Config;
use shared::domain::actor::Role;
use shared::domain::ids::{AccountId, Uid};
use shared::search::SearchIndex;
use shared::store::Store;

use super::ACCOUNT;
use super::setup::{SHORT, shared_redis};
use crate::servers::elasticsearch::shared_url;
use crate::servers::mongodb::TestDatabase;
use crate::simulator::{Simulator, SimulatorConfig};

pub use self::crew::Worker;

/// How long the product may take to heal.
pub const HEALED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(25);

/// The programs of one test. Dropping it kills them and deletes what they stored.
pub struct Programs {
    /// The three providers, whose record judges what was sent.
    pub simulator: Simulator,
    database: TestDatabase,
    config: Config,
    env: Vec<(String, String)>,
    client: Client,
    token: String,
    ingest: Option<Child>,
    replica: Option<Child>,
    workers: Option<Child>,
}

impl Programs {
    /// Nothing runs yet. `settings` are more `BELLHOP_*` variables.
    ///
    /// # Panics
    /// When a server is away.
    pub async fn new(settings: &[(&str, &str)]) -> Self {
        let mut plan = SimulatorConfig::default();
        plan.settings.rewrite_callbacks = true;
        let simulator = Simulator::start(plan);
        let database = TestDatabase::new().await.expect("a database on BELLHOP_TEST_MONGODB");
        let prefix = format!("t-{}-", ulid::Ulid::new().to_string().to_lowercase());
        let mongodb = database.config();
        let listen = free_address();
        let own = [
            ("BELLHOP_HTTP__LISTEN", listen.clone()),
            ("BELLHOP_HTTP__ADMIN_LISTEN", free_address()),
            ("BELLHOP_WORKERS__LISTEN", free_address()),
            ("BELLHOP_PUBLIC_URL", format!("http://{listen}")),
            ("BELLHOP_MONGODB__URI", mongodb.uri.expose().to_owned()),
            ("BELLHOP_MONGODB__DATABASE", mongodb.database),
            ("BELLHOP_REDIS__URL", shared_redis()),
            ("BELLHOP_REDIS__PREFIX", prefix.clone()),
            ("BELLHOP_ELASTICSEARCH__URL", shared_url()),
            ("BELLHOP_ELASTICSEARCH__PREFIX", prefix),
            ("BELLHOP_WHATSAPP__BASE_URL", simulator.whatsapp_base_url()),
            ("BELLHOP_TWILIO__BASE_URL", simulator.twilio_base_url()),
            ("BELLHOP_GUEST__URL", simulator.guest_url()),
        ];
        let texts = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let env: Vec<_> = SHORT.iter().map(texts).chain(own).chain(settings.iter().map(texts)).collect();
        let config = Config::load(None, env.iter().cloned()).expect("a configuration");
        simulator.set_webhook_base(format!("http://{listen}"));
        let programs = Self {
            client: Client::builder().no_proxy().build().expect("an HTTP client"),
            token: token(&config, "admin", Role::Admin),
            simulator,
            database,
            config,
            env,
            ingest: None,
            replica: None,
            workers: None,
        };
        programs.index().ensure().await.expect("search indices");
        programs
    }

    /// Sets a variable for what is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The database, to look behind the curtain.
    pub fn store(&self) -> &Store {
        self.database.store()
    }

    /// The search indices, likewise.
    ///
    /// # Panics
    /// When the URL is malformed.
    pub fn index(&self) -> SearchIndex {
        let elastic = &self.config.elasticsearch;
        SearchIndex::new(elastic.url.expose(), &elastic.prefix).expect("a handle")
    }

    /// Starts ingest, with failpoints where `armed` says so, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start_ingest(&mut self, armed: Option<&str>) {
        self.ingest = Some(self.start("ingest", "serve", armed));
        let url = format!("http://{}/readyz", self.config.http.admin_listen);
        self.ready(&url, "ingest").await;
    }

    /// Starts a second ingest beside the first, waits until it is ready, and answers where it listens.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start_replica(&mut self) -> String {
        let (listen, admin) = (free_address(), free_address());
        let mut child = self.program("ingest", "serve");
        child.env("BELLHOP_HTTP__LISTEN", &listen).env("BELLHOP_HTTP__ADMIN_LISTEN", &admin);
        self.replica = Some(spawn(child));
        self.ready(&format!("http://{admin}/readyz"), "the replica").await;
        format!("http://{listen}")
    }

    /// Kills the second ingest as `kill -9` does.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill_replica(&mut self) {
        if let Some(mut child) = self.replica.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("an end");
        }
    }

    /// Where the first ingest listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.config.http.listen)
    }

    /// A token of somebody of the account.
    pub fn token(&self, uid: &str, role: Role) -> String {
        token(&self.config, uid, role)
    }

    /// Starts workers for all queues, with failpoints where `armed` says so, and waits until they are ready.
    ///
    /// # Panics
    /// When they do not become ready.
    pub async fn start_workers(&mut self, armed: Option<&str>) {
        self.workers = Some(self.start("workers", "run", armed));
        let url = format!("http://{}/readyz", self.config.workers.listen);
        self.ready(&url, "workers").await;
    }

    /// Waits until the workers have died by themselves.
    ///
    /// # Panics
    /// When they live on.
    pub async fn workers_died(&mut self) {
        let deadline = Instant::now() + HEALED;
        while self.workers.as_mut().is_some_and(|child| child.try_wait().expect("a status").is_none()) {
            assert!(Instant::now() < deadline, "the workers were to die at their failpoint");
            tokio::time::sleep(LOOK).await;
        }
        self.workers = None;
    }

    /// Kills the workers as `kill -9` does.
    ///
    /// # Panics
    /// When they cannot be killed.
    pub fn kill_workers(&mut self) {
        if let Some(mut child) = self.workers.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("an end");
        }
    }

    fn start(&self, program: &str, command: &str, armed: Option<&str>) -> Child {
        let mut child = self.program(program, command);
        if let Some(armed) = armed {
            child.env("FP", armed);
        }
        spawn(child)
    }

    fn program(&self, program: &str, command: &str) -> Command {
        let mut child = Command::new(beside_the_tests(program));
        child.arg(command).env_clear().envs(self.env.iter().cloned()).env("BELLHOP_LOG__FILTER", "warn");
        child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        child
    }

    /// Runs `workers` with these arguments to its end, with failpoints where `armed` says so.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn command(&self, arguments: &[&str], armed: Option<&str>) -> std::process::Output {
        let mut command = tokio::process::Command::new(beside_the_tests("workers"));
        command.args(arguments).env_clear().envs(self.env.iter().cloned()).stdin(Stdio::null());
        if let Some(armed) = armed {
            command.env("FP", armed);
        }
        command.output().await.unwrap_or_else(|error| panic!("start workers: {error}"))
    }

    async fn ready(&self, url: &str, what: &str) {
        let deadline = Instant::now() + HEALED;
        loop {
            if let Ok(answer) = self.client.get(url).send().await
                && answer.status().is_success()
            {
                return;
            }
            assert!(Instant::now() < deadline, "{what} did not become ready");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes a thread whose guest has `phone`; answers its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn whatsapp_thread(&mut self, phone: &str) -> String {
        let id = ulid::Ulid::new().to_string();
        let reservation = json!({ "guestName": "Guest", "guestPhone": phone });
        self.call("PUT", &format!("/chat/reservations/{id}"), &reservation).await;
        let thread = json!({ "threadId": id, "reservationId": id, "participantIds": ["guest"] });
        self.call("POST", "/chat/threads", &thread).await;
        id
    }

    /// Posts a WhatsApp message as a client that does not give up: where ingest died, it is started again (as it
    /// should be) and the same request is sent again. Answers the stored message and how often ingest died.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn post_stubbornly(&mut self, thread: &str, id: &str) -> (Value, u32) {
        let body = json!({ "messageId": id, "body": format!("text of {id}"), "type": "whatsapp-message" });
        let path = format!("/chat/threads/{thread}/messages");
        let (mut deaths, deadline) = (0, Instant::now() + HEALED);
        loop {
            match self.try_call("POST", &path, &body).await {
                Some((status, answer)) if status.is_success() => return (answer, deaths),
                // The transaction of the dead one holds the thread until the server ends it.
                Some((StatusCode::SERVICE_UNAVAILABLE, _)) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                Some((status, answer)) => panic!("{path} was answered {status}: {answer}"),
                None => {}
            }
            let ended = self.ingest.as_mut().expect("ingest was started").wait().expect("an end");
            assert!(!ended.success(), "ingest was to die, not to stop");
            deaths += 1;
            self.start_ingest(None).await;
        }
    }

    /// A request as the admin, which must succeed; answers the body.
    ///
    /// # Panics
    /// When it is refused or not answered.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_call(method, path, body).await.expect("an answer");
        assert!(status.is_success(), "{path} was answered {status}: {answer}");
        answer
    }

    /// `None` when there was no answer.
    async fn try_call(&self, method: &str, path: &str, body: &Value) -> Option<(StatusCode, Value)> {
        let method = method.parse().expect("a method");
        let url = format!("http://{}{path}", self.config.http.listen);
        let request = self.client.request(method, url).bearer_auth(&self.token).json(body);
        let answer = request.timeout(Duration::from_secs(20)).send().await.ok()?;
        let status = answer.status();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).expect("JSON")))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for mut child in [self.ingest.take(), self.replica.take(), self.workers.take()].into_iter().flatten()
        {
            // It may be dead already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(mut child: Command) -> Child {
    match child.spawn() {
        Ok(running) => running,
        Err(error) => panic!("start {:?}: {error}; cargo build --release --bins", child.get_program()),
    }
}

fn token(config: &Config, uid: &str, role: Role) -> String {
    let request = TokenRequest {
        account: AccountId::parse(ACCOUNT).expect("an account id"),
        uid: Uid::parse(uid).expect("a user id"),
        role,
        conversation: None,
        name: None,
        ttl: Duration::from_secs(3600),
    };
    issue(&config.auth, &request).expect("a token")
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

/// Where a program of the workspace lies that was built with the tests.
///
/// # Panics
/// When the tests do not know where they lie themselves.
pub fn beside_the_tests(program: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("the path of the tests");
    let folder = tests.parent().expect("a folder");
    // Tests lie in `deps`, programs of ours (dev/chaos) beside the others.
    let folder = if folder.ends_with("deps") { folder.parent().expect("target/release") } else { folder };
    folder.join(program)
}
