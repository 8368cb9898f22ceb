//! Elasticsearch for tests: the one all tests share, and one of a test's own that may be killed and wiped.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Longest wait for a start; 15–50 s is usual on two busy cores.
const START_MAX: Duration = Duration::from_secs(180);
/// Longest wait for a killed process to be gone.
const STOP_MAX: Duration = Duration::from_secs(20);

/// The shared server: `BELLHOP_TEST_ELASTICSEARCH`, else `http://127.0.0.1:9290`. Use a prefix of your own on it.
pub fn shared_url() -> String {
    told("BELLHOP_TEST_ELASTICSEARCH").unwrap_or_else(|| "http://127.0.0.1:9290".to_owned())
}

/// An Elasticsearch of one test, killed and removed when dropped.
///
/// Started from `BELLHOP_TEST_ELASTICSEARCH_HOME` with the Java of `BELLHOP_TEST_JAVA_HOME`, as
/// `BELLHOP_TEST_ELASTICSEARCH_USER` where the tests run as root (Elasticsearch refuses root).
pub struct OwnElasticsearch {
    home: PathBuf,
    folder: PathBuf,
    port: u16,
    transport_port: u16,
    /// The process, which leads a group of its own: launcher and server.
    process: Option<std::process::Child>,
}

impl OwnElasticsearch {
    /// Starts a server with an empty data folder and waits until it takes writes.
    ///
    /// # Errors
    /// When the programs are not named or found, or the server is not up in three minutes (with the end of its log).
    pub async fn start() -> anyhow::Result<Self> {
        let home = told("BELLHOP_TEST_ELASTICSEARCH_HOME")
            .context("BELLHOP_TEST_ELASTICSEARCH_HOME names no Elasticsearch; run the tests with dev/test")?;
        let folder = std::env::temp_dir().join(format!("bellhop-elasticsearch-{}", ulid::Ulid::new()));
        let (port, transport_port) = (free_port()?, free_port()?);
        let mut server = Self { home: home.into(), folder, port, transport_port, process: None };
        server.restart().await?;
        Ok(server)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash would (SIGKILL) and returns when nothing of it runs. Its data stays.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let group = format!("-{}", process.id());
        Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status()
            .context("run kill")?;
        process.wait().context("wait for elasticsearch")?;
        let deadline = Instant::now() + STOP_MAX;
        // The server is the launcher's child: its port tells when it is gone too.
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            ensure!(Instant::now() < deadline, "elasticsearch still listens after SIGKILL");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Removes all its data; it must have been killed.
    pub fn wipe(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "kill it before wiping its data");
        match std::fs::remove_dir_all(self.folder.join("data")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("wipe elasticsearch")
            }
            _ => Ok(()),
        }
    }

    /// Starts it on the same port with the data it has, and waits until it takes writes.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.lay_out()?;
        self.process = Some(self.launch()?);
        let deadline = Instant::now() + START_MAX;
        while !self.is_up().await {
            let exited = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if exited.is_some() || Instant::now() > deadline {
                bail!("elasticsearch did not start ({exited:?}): {}", self.end_of_log());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn lay_out(&self) -> anyhow::Result<()> {
        for part in ["data", "logs", "tmp"] {
            std::fs::create_dir_all(self.folder.join(part)).context("make the folder of elasticsearch")?;
        }
        let config = self.folder.join("config");
        if !config.exists() {
            run(Command::new("cp").arg("-r").arg(self.home.join("config")).arg(&config))?;
            // Its garbage collector and error logs would go below the programs, which may not be writable.
            let options = config.join("jvm.options");
            let text = std::fs::read_to_string(&options).context("read jvm.options")?;
            let logs = self.folder.join("logs");
            let moved = text.replace("=logs/", &format!("={}/", logs.display()));
            std::fs::write(&options, moved).context("write jvm.options")?;
        }
        match user() {
            Some(user) => run(Command::new("chown").arg("-R").arg(format!("{user}:")).arg(&self.folder)),
            None => Ok(()),
        }
    }

    fn launch(&self) -> anyhow::Result<std::process::Child> {
        use std::os::unix::process::CommandExt;

        let program = self.home.join("bin/elasticsearch");
        let mut command = match user() {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([
                    format!("--reuid={user}"),
                    format!("--regid={user}"),
                    "--clear-groups".to_owned(),
                ]);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        let log = std::fs::File::create(self.folder.join("output.log")).context("make the log")?;
        for setting in [
            "discovery.type=single-node".to_owned(),
            "network.host=127.0.0.1".to_owned(),
            format!("http.port={}", self.port),
            format!("transport.port={}", self.transport_port),
            format!("path.data={}", self.folder.join("data").display()),
            format!("path.logs={}", self.folder.join("logs").display()),
            "xpack.security.enabled=false".to_owned(),
            "cluster.routing.allocation.disk.threshold_enabled=false".to_owned(),
        ] {
            command.arg("-E").arg(setting);
        }
        if let Some(java) = told("BELLHOP_TEST_JAVA_HOME") {
            command.env("ES_JAVA_HOME", java);
        }
        command
            .env("ES_JAVA_OPTS", "-Xms512m -Xmx512m")
            .env("ES_PATH_CONF", self.folder.join("config"))
            .env("ES_TMPDIR", self.folder.join("tmp"))
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("start elasticsearch")
    }

    async fn is_up(&self) -> bool {
        let health = format!("{}/_cluster/health?wait_for_status=yellow&timeout=1s", self.url());
        let request = reqwest::Client::new().get(health).timeout(Duration::from_secs(3)).send();
        request.await.is_ok_and(|response| response.status().is_success())
    }

    fn end_of_log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("output.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(15).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for OwnElasticsearch {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!("elasticsearch of a test is left behind: {error:#}");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The user who must run it, when the tests run as root.
fn user() -> Option<String> {
    told("BELLHOP_TEST_ELASTICSEARCH_USER").filter(|_| is_root())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// A port below the range of outgoing connections, so that a killed server finds it free again.
fn free_port() -> anyhow::Result<u16> {
    (0..100)
        .map(|_| rand::random_range(20_000..32_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free port")
}

#[expect(clippy::disallowed_methods, reason = "tests are told their servers by their environment")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
