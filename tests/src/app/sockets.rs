//! Real Socket.IO clients: the npm `socket.io-client` in a child process, driven by lines of JSON.
//!
//! ```no_run
//! # async fn test(app: &tests::app::TestApp, thread: &str) {
//! use serde_json::json;
//! use tests::app::SocketClients;
//!
//! let mut clients = SocketClients::start().await;
//! clients.join("anna", app.url(), &app.agent("anna")).await;
//! let answer = clients.ask("anna", "resume", json!({ "threadId": thread, "afterSeq": 0 })).await;
//! # }
//! ```

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Caller, SOON};

/// Some clients in one process. Dropping it kills them.
pub struct SocketClients {
    _child: Child,
    commands: ChildStdin,
    heard: Arc<Heard>,
    acks: u64,
}

#[derive(Default)]
struct Heard {
    lines: Mutex<Vec<Value>>,
    more: Notify,
}

impl SocketClients {
    /// Starts the process; nobody is connected yet.
    ///
    /// # Panics
    /// When Node.js or the packages of `dev/install` are missing.
    pub async fn start() -> Self {
        let (child, commands, mut lines) = node("driver.cjs", &[]);
        let heard = Arc::new(Heard::default());
        let listening = Arc::clone(&heard);
        shared::task::spawn("clients", async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "event": line }));
                listening.lines.lock().push(line);
                listening.more.notify_waiters();
            }
        });
        let clients = Self { _child: child, commands, heard, acks: 0 };
        clients.hears("", "ready").await;
        clients
    }

    /// Begins to connect by websocket; what follows is heard.
    pub async fn connect(&mut self, id: &str, url: &str, auth: Value) {
        self.connect_by(id, url, auth, json!(["websocket"])).await;
    }

    /// As [`SocketClients::connect`], by these transports.
    pub async fn connect_by(&mut self, id: &str, url: &str, auth: Value, transports: Value) {
        let command =
            json!({ "op": "connect", "id": id, "url": url, "auth": auth, "transports": transports });
        self.command(command).await;
    }

    /// Connects `caller` and waits until it is.
    ///
    /// # Panics
    /// When it is not within [`SOON`].
    pub async fn join(&mut self, id: &str, url: &str, caller: &Caller) {
        self.connect(id, url, json!({ "token": caller.token() })).await;
        self.hears(id, "connect").await;
    }

    /// Any other command of the driver.
    ///
    /// # Panics
    /// When the process is gone.
    pub async fn command(&mut self, command: Value) {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.expect("the clients run");
    }

    /// Sends an event that is not acknowledged.
    pub async fn send(&mut self, id: &str, event: &str, data: Value) {
        self.command(json!({ "op": "emit", "id": id, "event": event, "data": data })).await;
    }

    /// Sends an event and waits for its acknowledgement.
    ///
    /// # Panics
    /// When there is none within [`SOON`].
    pub async fn ask(&mut self, id: &str, event: &str, data: Value) -> Value {
        self.acks += 1;
        let ack = self.acks;
        self.command(json!({ "op": "emit", "id": id, "event": event, "data": data, "ack": ack })).await;
        let answer = self.until(&format!("the answer to {event}"), |line| line["ack"] == ack).await;
        answer["data"].clone()
    }

    /// Waits for the first `event` of client `id`.
    ///
    /// # Panics
    /// As [`SocketClients::hears_where`].
    pub async fn hears(&self, id: &str, event: &str) -> Value {
        self.hears_where(id, event, |_| true).await
    }

    /// Waits for an `event` of client `id` with such data.
    ///
    /// # Panics
    /// When it does not come within [`SOON`], with everything that was heard.
    pub async fn hears_where(&self, id: &str, event: &str, such: impl Fn(&Value) -> bool) -> Value {
        let wanted = |line: &Value| line["id"] == id && line["event"] == event && such(&line["data"]);
        self.until(&format!("{event} at {id}"), wanted).await["data"].clone()
    }

    /// The data of every `event` that client `id` has heard so far.
    pub fn heard(&self, id: &str, event: &str) -> Vec<Value> {
        let lines = self.heard.lines.lock();
        let own = lines.iter().filter(|line| line["id"] == id && line["event"] == event);
        own.map(|line| line["data"].clone()).collect()
    }

    /// Everything that client `id` has heard so far, as one text.
    pub fn all_heard(&self, id: &str) -> String {
        let lines = self.heard.lines.lock();
        lines.iter().filter(|line| line["id"] == id).map(ToString::to_string).collect()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            loop {
                let more = self.heard.more.notified();
                if let Some(found) = self.heard.lines.lock().iter().find(|line| wanted(line)) {
                    return found.clone();
                }
                // A look now and then, since what comes right before the wait tells nobody.
                let _ = timeout(Duration::from_millis(50), more).await;
            }
        };
        match timeout(SOON, look).await {
            Ok(found) => found,
            Err(_) => panic!("{what} did not come in {SOON:?}; heard: {:#?}", self.heard.lines.lock()),
        }
    }
}

/// Runs `tests/clients/socketio/scenario.cjs` with `plan`; `act` is called for each of its cues.
///
/// # Panics
/// When the scenario fails, or takes too long.
pub async fn play(plan: &Value, mut act: impl AsyncFnMut(&str)) -> Value {
    let (_child, mut answers, mut lines) = node("scenario.cjs", &[plan.to_string()]);
    loop {
        let line = timeout(super::HEALED * 2, lines.next_line()).await.expect("the scenario goes on");
        let line = line.expect("its lines").expect("a verdict before its end");
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        if let Some(cue) = line["cue"].as_str() {
            act(cue).await;
            answers.write_all(b"done\n").await.expect("the scenario waits");
            continue;
        }
        assert!(line["ok"] == true, "{}", line["reason"]);
        return line;
    }
}

/// Starts a script of `tests/clients/socketio` with the packages that `dev/install` has put into the cache.
#[expect(clippy::disallowed_methods, reason = "tests are told their programs by their environment")]
fn node(script: &str, arguments: &[String]) -> (Child, ChildStdin, Lines<BufReader<ChildStdout>>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/socketio");
    let packages =
        std::env::var("BELLHOP_TEST_SOCKETIO").expect("BELLHOP_TEST_SOCKETIO, set by dev/with-servers");
    let mut command = Command::new("node");
    command.arg(folder.join(script)).args(arguments).env("NODE_PATH", packages).kill_on_drop(true);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("start node (Debian: apt-get install nodejs)");
    let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    (child, stdin, BufReader::new(stdout).lines())
}
