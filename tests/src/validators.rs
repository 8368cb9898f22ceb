//! The providers' own signature code: the npm packages `twilio` and `standardwebhooks`, asked in a child process.
//!
//! Our code and the simulator's could agree on a mistake; these packages are what the other side runs.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long one answer may take; the first loads the packages.
const PATIENCE: Duration = Duration::from_secs(30);

/// The packages, loaded. Dropping it ends them.
pub struct Validators {
    _child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Validators {
    /// Starts the process.
    ///
    /// # Panics
    /// When Node.js or the packages of `dev/install` are missing.
    #[expect(clippy::disallowed_methods, reason = "tests are told their programs by their environment")]
    pub fn start() -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/validators/validate.cjs");
        let packages = std::env::var("BELLHOP_TEST_VALIDATORS")
            .expect("BELLHOP_TEST_VALIDATORS, set by dev/with-servers");
        let mut command = Command::new("node");
        command.arg(script).env("NODE_PATH", packages).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("start node (Debian: apt-get install nodejs)");
        let (questions, answers) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Self { _child: child, questions, answers: BufReader::new(answers).lines() }
    }

    /// Asks one question in the form that `tests/clients/validators/validate.cjs` tells.
    ///
    /// # Panics
    /// When the package gives up on the question, or takes too long.
    pub async fn ask(&mut self, question: &Value) -> Value {
        self.questions.write_all(format!("{question}\n").as_bytes()).await.expect("the validators run");
        let line = timeout(PATIENCE, self.answers.next_line()).await.expect("an answer in time");
        let line = line.expect("readable").expect("the validators run");
        let reply: Value = serde_json::from_str(&line).expect("JSON");
        assert!(reply["error"].is_null(), "{question} was answered {reply}");
        reply["answer"].clone()
    }

    /// As [`Validators::ask`], for a signature.
    ///
    /// # Panics
    /// When the answer is no text.
    pub async fn sign(&mut self, question: &Value) -> String {
        self.ask(question).await.as_str().expect("a signature").to_owned()
    }

    /// As [`Validators::ask`], for a verdict.
    ///
    /// # Panics
    /// When the answer is neither true nor false.
    pub async fn accepts(&mut self, question: &Value) -> bool {
        self.ask(question).await.as_bool().expect("a verdict")
    }
}
