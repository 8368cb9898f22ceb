//! docker-compose.yml is loaded by Compose's own loader and keeps what this project promises about it.
//!
//! The loader needs Go; where `dev/install` found none, the services and their commands are checked all the same.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// Whether `dev/compose-check` accepts the file, and what it says.
fn check(file: &Path) -> (bool, String) {
    let output =
        Command::new(root().join("dev/compose-check")).arg(file).output().expect("dev/compose-check runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// What the check says about the committed file with one text replaced by another.
fn check_changed(name: &str, from: &str, to: &str) -> (bool, String) {
    let text =
        std::fs::read_to_string(root().join("docker-compose.yml")).expect("docker-compose.yml is there");
    assert!(text.contains(from), "docker-compose.yml no longer holds {from:?}");
    let file = std::env::temp_dir().join(format!("bellhop-compose-{}-{name}.yml", std::process::id()));
    std::fs::write(&file, text.replacen(from, to, 1)).expect("the temporary folder is writable");
    let checked = check(&file);
    std::fs::remove_file(&file).expect("the file was just written");
    checked
}

#[test]
fn the_compose_file_is_valid_and_has_one_workers_service_per_queue() {
    let (valid, said) = check(&root().join("docker-compose.yml"));
    assert!(valid, "{said}");
    assert!(said.contains("one for each of 7 queues"), "{said}");
}

#[test]
fn a_queue_without_a_workers_service_is_found() {
    let (valid, said) = check_changed("missing", r#""--queues", "sms""#, r#""--queues", "email""#);
    assert!(!valid, "{said}");
    assert!(said.contains("queue sms has 0 workers services, not one"), "{said}");
    assert!(said.contains("queue email has 2 workers services, not one"), "{said}");
}

#[test]
fn a_service_that_takes_two_queues_is_found() {
    let (valid, said) = check_changed("double", r#""--queues", "sms""#, r#""--queues", "sms,email""#);
    assert!(!valid, "{said}");
    assert!(said.contains("one queue per service"), "{said}");
}
