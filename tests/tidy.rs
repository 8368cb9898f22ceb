//! Rules about the tree that no compiler knows: what may depend on what, sizes, names that must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file without its inline tests, in lines.
const LINES_MAX: usize = 400;

/// Files that may be longer, and why.
const LONG: &[(&str, &str)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below `folder` whose name ends with one of `endings`, as paths from the workspace.
fn files(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let skipped = matches!(name, "target" | ".git" | ".bellhop" | "node_modules" | "Cargo.lock");
            if path.is_dir() && !skipped {
                folders.push(path);
            } else if !skipped && endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path.strip_prefix(root()).expect("below").display().to_string());
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<String> {
    ["shared", "ingest", "workers", "tests", "bench"]
        .iter()
        .flat_map(|folder| files(folder, &[".rs"]))
        .collect()
}

/// The names in the `[dependencies]` of a crate.
fn dependencies(krate: &str) -> BTreeSet<String> {
    let manifest: toml::Table = toml::from_str(&read(&format!("{krate}/Cargo.toml"))).expect("a manifest");
    let table = manifest["dependencies"].as_table().expect("dependencies");
    table.keys().cloned().collect()
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    let forbidden = [
        (
            "shared",
            &["ingest", "workers", "tests", "bench", "poem", "poem-openapi", "apalis", "apalis-core", "clap"]
                [..],
        ),
        ("ingest", &["workers", "tests", "bench", "apalis", "apalis-core"][..]),
        ("workers", &["ingest", "tests", "bench", "poem-openapi"][..]),
        ("tests", &["bench"][..]),
    ];
    for (krate, others) in forbidden {
        let has = dependencies(krate);
        for other in others {
            assert!(!has.contains(*other), "{krate} must not depend on {other}");
        }
    }
}

#[test]
fn ingest_never_writes_to_the_search_index() {
    for file in files("ingest/src", &[".rs"]) {
        let text = read(&file);
        for writer in ["Batcher", ".bulk(", "IndexOp", ".ensure()"] {
            assert!(!text.contains(writer), "{file} uses {writer}: the index is the workers'");
        }
    }
}

/// The lines of a file before its inline tests.
fn own_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests =
        lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
    tests.unwrap_or(lines.len())
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let mut long = BTreeSet::new();
    for file in rust_files() {
        let lines = own_lines(&read(&file));
        if lines > LINES_MAX {
            assert!(
                LONG.iter().any(|(known, _)| *known == file),
                "{file} has {lines} lines: split it by step"
            );
            long.insert(file);
        }
    }
    for (known, reason) in LONG {
        assert!(long.contains(*known), "{known} is short now, it needs no exception ({reason})");
    }
}

#[test]
fn every_file_begins_with_what_it_is() {
    for file in rust_files() {
        let text = read(&file);
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! ") && first.len() > 12, "{file} begins with {first:?}");
    }
}

#[test]
fn names_that_say_nothing_are_not_used() {
    for file in rust_files() {
        let name = Path::new(&file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let nothing = ["util", "utils", "common", "helper", "helpers", "misc", "manager", "data"];
        assert!(!nothing.contains(&name), "{file}");
    }
}

#[test]
fn no_test_is_ignored_and_none_is_retried() {
    let (ignored, retries) = (concat!("#[ign", "ore"), concat!("retr", "ies ="));
    for file in rust_files() {
        assert!(!read(&file).contains(ignored), "{file} ignores a test");
    }
    for file in files(".", &[".toml"]) {
        assert!(!(file.contains("nextest") && read(&file).contains(retries)), "{file}");
    }
}

#[test]
fn tasks_are_spawned_and_the_environment_is_read_in_one_place() {
    let spawn = [concat!("tokio::sp", "awn("), concat!("tokio::task::sp", "awn(")];
    for file in rust_files() {
        let text = read(&file);
        for call in spawn {
            let allowed = file == "shared/src/task.rs";
            assert!(allowed || !text.contains(call), "{file}: use shared::task::spawn");
        }
    }
}

#[test]
fn every_setting_is_explained_where_it_stands() {
    let manual = read("shared/bellhop.default.toml");
    let lines: Vec<&str> = manual.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        let is_setting = line.contains(" = ") && !line.starts_with('#');
        if is_setting {
            let above = n.checked_sub(1).map_or("", |above| lines[above]);
            assert!(above.starts_with("# ") && above.len() > 4, "no comment above: {line}");
        }
    }
    assert!(lines.iter().filter(|line| line.starts_with("# ")).count() > 40);
}

/// Words in backticks, or targets of links, that look like a path of this tree.
fn named_paths(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let quoted = text.split('`').skip(1).step_by(2).map(str::to_owned);
    let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned);
    for word in quoted.chain(linked) {
        let path = word.split(['#', ':']).next().unwrap_or_default().trim_start_matches("./");
        let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        let top = ["shared/", "ingest/", "workers/", "tests/", "bench/", "docs/", "dev/", "openapi/", ".ci/"];
        if plain && top.iter().any(|top| path.starts_with(top)) {
            found.insert(path.trim_end_matches('/').to_owned());
        }
    }
    found
}

#[test]
fn every_path_that_a_document_names_is_there() {
    let mut documents = files("docs", &[".md"]);
    documents.extend(["README.md", "CHANGELOG.md"].map(str::to_owned));
    for document in documents {
        for path in named_paths(&read(&document)) {
            let beside = Path::new(&document).parent().expect("a folder").join(&path);
            let there = root().join(&path).exists() || root().join(beside).exists();
            assert!(there, "{document} names {path}, which is not there");
        }
    }
}

#[test]
fn every_relative_link_of_a_document_leads_somewhere() {
    let mut documents = files("docs", &[".md"]);
    documents.extend(["README.md", "CHANGELOG.md"].map(str::to_owned));
    for document in documents {
        let text = read(&document);
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let folder = Path::new(&document).parent().expect("a folder");
            assert!(root().join(folder).join(target).exists(), "{document} links to {target}");
        }
    }
}

#[test]
fn every_job_file_is_a_registered_job_with_a_kind() {
    let registered: BTreeSet<String> =
        workers::registry::Registry::all().names().into_iter().map(str::to_owned).collect();
    let jobs = files("workers/src/jobs", &[".rs"]);
    let named = jobs.iter().filter_map(|file| Path::new(file).file_stem()?.to_str());
    let named: BTreeSet<String> = named.filter(|name| *name != "mod").map(str::to_owned).collect();
    assert_eq!(named, registered, "a job is a file of its name and a line in the registry");
    let kinds = read("shared/src/domain/jobs.rs");
    let tests: String = files("tests/e2e/jobs", &[".rs"]).iter().map(|file| read(file)).collect();
    for name in &registered {
        assert!(kinds.contains(&format!("name: \"{name}\"")), "{name} has no JobKind");
        let constant = name.to_ascii_uppercase();
        assert!(tests.contains(name) || tests.contains(&constant), "no test of {name} in tests/e2e/jobs");
    }
}

#[test]
fn the_tree_names_no_machine() {
    let endings = [".rs", ".toml", ".md", ".yml", ".yaml", ".sh", ".json", ".py", "Dockerfile", ".txt"];
    let mut all = files(".", &endings);
    all.extend(files("dev", &[""]));
    all.extend(files(".ci", &[""]));
    let forbidden =
        [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    for file in all.into_iter().filter(|file| !file.starts_with("target")) {
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for place in forbidden {
            assert!(!text.contains(place), "{file} names {place}");
        }
    }
}
