//! The snippets of docs/API.md, run as they stand, and what they print against the answers that stand below them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tests::app::{HS256_SECRET, TestApp, beside_the_tests};

/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of this test's own, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("bellhop-docs-{}", ulid::Ulid::new()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The fenced snippets of a page, in their order, as language and text.
fn snippets(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(snippet)) => found.push(snippet),
            (None, Some((language, text))) => open = Some((language, format!("{text}{line}\n"))),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last snippet has no end");
    found
}

/// A snippet of bash with the answer below it.
struct Step {
    command: String,
    /// Empty where the page shows none.
    answer: String,
}

/// The steps of `page`. Scripts of Node.js are saved in `folder` under the name in their first line.
fn steps(page: &str, folder: &Path) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut may_be_answered = false;
    for (language, text) in snippets(page) {
        match language.as_str() {
            "bash" => steps.push(Step { command: text, answer: String::new() }),
            "js" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("// ")).expect("its name");
                std::fs::write(folder.join(name), &text).unwrap();
            }
            "json" | "text" if may_be_answered => steps.last_mut().unwrap().answer = text,
            other => panic!("nobody runs this snippet in {other:?}, and it answers none: {text}"),
        }
        may_be_answered = language == "bash";
    }
    steps
}

/// What stands between the outputs of two steps.
const MARK: char = '\u{1e}';

/// Runs the steps in `folder` as one script, as a reader does in one shell. Answers what each printed.
#[expect(clippy::disallowed_methods, reason = "tests are told their programs by their environment")]
async fn run(app: &TestApp, folder: &Path, steps: &[Step]) -> Vec<String> {
    let mut script = String::from("set -euo pipefail\n");
    for step in steps {
        script += &format!("{}printf '{MARK}'\n", step.command);
    }
    let programs = beside_the_tests("ingest").parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-c", &script]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    bash.env("PATH", path).env("NODE_PATH", std::env::var("BELLHOP_TEST_SOCKETIO").unwrap());
    // Of the configuration `ingest token` needs the secret alone; anything else that this shell has set is not ours.
    for name in std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("BELLHOP_")) {
        bash.env_remove(name);
    }
    bash.env("BELLHOP", app.url()).env("BELLHOP_AUTH__HS256_SECRET", HS256_SECRET);
    let done = tokio::time::timeout(PATIENCE, bash.output()).await.expect("the snippets end").unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && err.is_empty(), "{}\n{out}\n{err}", done.status);
    out.split_terminator(MARK).map(str::to_owned).collect()
}

/// Whether a line is as the page shows it, where `…` stands for anything but nothing.
fn is_as_shown(line: &str, shown: &str) -> bool {
    let Some((before, after)) = shown.split_once('…') else { return line == shown };
    let Some(rest) = line.strip_prefix(before) else { return false };
    rest.char_indices().any(|(at, hidden)| is_as_shown(&rest[at + hidden.len_utf8()..], after))
}

#[tokio::test]
async fn the_flows_of_the_api_page_work_as_they_stand() {
    let app = TestApp::full().await;
    let folder = Folder::new();
    let steps = steps(include_str!("../../docs/API.md"), &folder.0);
    assert!(steps.iter().filter(|step| !step.answer.is_empty()).count() > 8, "the page lost its answers");
    let printed = run(&app, &folder.0, &steps).await;
    assert_eq!(printed.len(), steps.len());
    let wrong = steps.iter().zip(&printed).filter(|(step, printed)| {
        let (lines, shown): (Vec<_>, Vec<_>) = (printed.lines().collect(), step.answer.lines().collect());
        lines.len() != shown.len() || !lines.iter().zip(shown).all(|(line, shown)| is_as_shown(line, shown))
    });
    let wrong: Vec<String> = wrong
        .map(|(step, printed)| {
            format!("{}\nis shown as\n{}\nand prints\n{printed}", step.command, step.answer)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_what_differs_every_time_may_differ() {
    assert!(is_as_shown(r#"{"id":"x","n":1}"#, r#"{"id":"…","n":1}"#));
    for other in [r#"{"id":"","n":1}"#, r#"{"id":"x","n":2}"#, r#"{"id":"x","n":1}}"#] {
        assert!(!is_as_shown(other, r#"{"id":"…","n":1}"#), "{other}");
    }
}
