//! A mail server of a test's own (aiosmtpd, see `smtp.py`): it records what it took and misbehaves on demand.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

const PROGRAM: &str = include_str!("smtp.py");

/// A mail whose text the server took, whether or not it said so.
#[derive(Debug, Clone, Deserialize)]
pub struct ReceivedMail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Decoded.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub plain: String,
    /// The body as HTML.
    pub html: String,
    /// Who signed in.
    pub user: Option<String>,
}

impl ReceivedMail {
    /// The header called `name`.
    ///
    /// # Panics
    /// When there is not exactly one.
    pub fn header(&self, name: &str) -> &str {
        let fits = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        let found: Vec<&str> = self.headers.iter().filter(fits).map(|(_, value)| value.as_str()).collect();
        assert_eq!(found.len(), 1, "{name}: {:?}", self.headers);
        found[0].trim()
    }
}

/// A running (or stopped) mail server. Dropping it ends the process.
pub struct SmtpServer {
    port: u16,
    password: bool,
    child: Option<Child>,
    mails: Arc<Mutex<Vec<ReceivedMail>>>,
}

impl SmtpServer {
    /// Starts a server that takes every mail.
    ///
    /// # Panics
    /// When Python or aiosmtpd is missing (`dev/install` brings it).
    pub fn start() -> Self {
        let mut server = Self::stopped();
        server.up();
        server
    }

    /// Starts a server that wants to be signed in to, with what stands in its URL.
    ///
    /// # Panics
    /// As [`SmtpServer::start`].
    pub fn with_password() -> Self {
        let mut server = Self::stopped();
        server.password = true;
        server.up();
        server
    }

    /// A server that does not run yet: its URL is known, nobody answers there.
    ///
    /// # Panics
    /// When no port is free.
    pub fn stopped() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        Self { port, password: false, child: None, mails: Arc::default() }
    }

    /// For `BELLHOP_SMTP__URL`.
    pub fn url(&self) -> String {
        let user = if self.password { "user%40acme:p%2Fs%3Aw@" } else { "" };
        format!("smtp://{user}127.0.0.1:{}", self.port)
    }

    /// Starts the process and waits until it listens.
    ///
    /// # Panics
    /// As [`SmtpServer::start`].
    pub fn up(&mut self) {
        let told = start(self.port, self.password, &self.mails);
        self.child = Some(told.expect("a mail server (dev/install)"));
    }

    /// Ends it with SIGKILL; what it took stays known.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Answers the next `times` recipients with `text`, such as `450 4.2.1 later`.
    pub fn refuse_recipient(&mut self, text: &str, times: u32) {
        self.tell(&json!({ "stage": "rcpt", "action": "answer", "text": text, "times": times }));
    }

    /// Answers the end of the next `times` mails with `text`.
    pub fn refuse_mail(&mut self, text: &str, times: u32) {
        self.tell(&json!({ "stage": "data", "action": "answer", "text": text, "times": times }));
    }

    /// At the next recipient: `drop` the connection, or `hang`.
    pub fn misbehave_before(&mut self, action: &str) {
        self.tell(&json!({ "stage": "rcpt", "action": action, "times": 1 }));
    }

    /// Takes the next mail and then, instead of an answer: `drop` or `hang`.
    pub fn misbehave_after(&mut self, action: &str) {
        self.tell(&json!({ "stage": "data", "action": action, "times": 1 }));
    }

    /// What it took, in this order.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        self.mails.lock().clone()
    }

    /// The one mail it took.
    ///
    /// # Panics
    /// When there is none or more than one.
    pub fn only_mail(&self) -> ReceivedMail {
        let mut mails = self.mails();
        assert_eq!(mails.len(), 1, "{mails:#?}");
        mails.remove(0)
    }

    /// To whom it was asked to bring mails, sorted.
    pub fn recipients(&self) -> Vec<String> {
        let mut all: Vec<String> = self.mails().into_iter().flat_map(|mail| mail.to).collect();
        all.sort();
        all
    }

    fn tell(&mut self, order: &serde_json::Value) {
        let input = self.child.as_mut().and_then(|child| child.stdin.as_mut()).expect("the server runs");
        writeln!(input, "{order}").expect("the server listens to its test");
        // An order is read by another thread than the next mail; the kit's calls take far longer.
        input.flush().expect("the server listens to its test");
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::disallowed_methods, reason = "tests are told their servers by their environment")]
fn packages() -> String {
    std::env::var("BELLHOP_TEST_AIOSMTPD_HOME").unwrap_or_default()
}

fn start(port: u16, password: bool, mails: &Arc<Mutex<Vec<ReceivedMail>>>) -> anyhow::Result<Child> {
    #[derive(Deserialize)]
    struct Listens {
        port: u16,
    }
    let mut child = Command::new("python3")
        .args(["-c", PROGRAM, &port.to_string(), if password { "password" } else { "open" }])
        .env("PYTHONPATH", packages())
        .env("PYTHONWARNINGS", "ignore")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("start python3")?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let first = lines.next().context("aiosmtpd is missing")??;
    let listens: Listens = serde_json::from_str(&first)?;
    anyhow::ensure!(listens.port == port, "another port");
    let mails = Arc::clone(mails);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let mail = serde_json::from_str(&line).expect("a mail as smtp.py shows it");
            mails.lock().push(mail);
        }
    });
    Ok(child)
}
