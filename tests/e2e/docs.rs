//! The snippets of docs/API.md, run as they stand.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
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

/// Runs the snippets in `folder`: scripts of Node.js are saved under the name in their first line, the rest is one
/// script of bash. Answers what it printed.
#[expect(clippy::disallowed_methods, reason = "tests are told their programs by their environment")]
async fn run(app: &TestApp, folder: &Path, page: &str) -> String {
    let mut script = String::from("set -euo pipefail\n");
    for (language, text) in snippets(page) {
        match language.as_str() {
            "bash" => script += &text,
            "js" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("// ")).expect("its name");
                std::fs::write(folder.join(name), &text).unwrap();
            }
            other => panic!("a snippet in {other:?} is not run by anybody"),
        }
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
    assert!(done.status.success(), "{}\n{out}\n{err}", done.status);
    out.into_owned()
}

#[tokio::test]
async fn the_flows_of_the_api_page_work_as_they_stand() {
    let app = TestApp::full().await;
    let page = include_str!("../../docs/API.md");
    let folder = Folder::new();
    let printed = run(&app, &folder.0, page).await;
    let room = printed.lines().find(|line| line.contains("unread_count")).expect("the list of rooms");
    let room: serde_json::Value = serde_json::from_str(room).unwrap();
    assert_eq!(room["unread_count"], 1);
    let heard = "customer: Where is my parcel?\nagent: It comes tomorrow, Carla.\n";
    assert!(printed.contains(heard), "both sides of the chat, and no note: {printed}");
    let found = printed.lines().find(|line| line.contains("highlights")).expect("a room that is found");
    let found: serde_json::Value = serde_json::from_str(found).unwrap();
    let highlights = ["<em>Where</em> is my <em>parcel</em>?"];
    assert_eq!(found, json!({ "threadId": room["_id"], "highlights": highlights }));
    assert!(printed.contains("201 queued\n") && printed.contains("\ndelivered\n"), "{printed}");
    assert!(printed.contains(r#"{"state":"delivered","attempts":["ok"]}"#), "{printed}");
}
