//! The three layers — defaults, file, environment — and the search for keys that nobody knows.

use std::collections::BTreeSet;
use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::DEFAULTS;
use super::error::Problem;
use super::reader::variable;

/// Merges the layers; a layer that cannot be read and every unknown key is a problem.
pub(super) fn merge(file: Option<&Path>, env: &[(String, String)]) -> (Figment, Vec<Problem>) {
    let known = known_keys();
    let mut problems = Vec::new();
    let mut layers = Figment::from(Toml::string(DEFAULTS));
    if let Some(path) = file {
        match read_file(path, &known) {
            Ok((text, unknown)) => {
                layers = layers.merge(Toml::string(&text));
                problems.extend(unknown);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let (values, unknown) = from_env(env, &known);
    problems.extend(unknown);
    (layers.merge(EnvLayer(values)), problems)
}

/// The path of every key, as the defaults file lists them.
pub(super) fn known_keys() -> BTreeSet<String> {
    let table: toml::Table =
        toml::from_str(DEFAULTS).expect("the built-in defaults are TOML: a test loads them");
    let mut keys = BTreeSet::new();
    leaves("", &table, &mut keys);
    keys
}

fn leaves(prefix: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => leaves(&path, inner, keys),
            _ => {
                keys.insert(path);
            }
        }
    }
}

fn read_file(path: &Path, known: &BTreeSet<String>) -> Result<(String, Vec<Problem>), Problem> {
    let name = path.display().to_string();
    let problem = |message: String| Problem { name: name.clone(), message };
    let text = std::fs::read_to_string(path).map_err(|e| problem(format!("cannot be read: {}", e.kind())))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        problem(format!("is not TOML, near line {line}"))
    })?;
    let mut keys = BTreeSet::new();
    leaves("", &table, &mut keys);
    let unknown = keys.difference(known).map(|key| problem(format!("unknown key {key}")));
    Ok((text.clone(), unknown.collect()))
}

/// Names that are ours by prefix and yet no setting: what Kubernetes injects for a service called
/// `bellhop`, and what the tests and the development commands use.
fn is_foreign(name: &str) -> bool {
    name.contains("_PORT")
        || name.contains("_SERVICE_")
        || name.starts_with("BELLHOP_TEST_")
        || name == "BELLHOP_CACHE"
}

fn from_env(env: &[(String, String)], known: &BTreeSet<String>) -> (Dict, Vec<Problem>) {
    let (mut values, mut problems) = (Dict::new(), Vec::new());
    for (name, value) in env.iter().filter(|(name, _)| name.starts_with("BELLHOP_")) {
        match known.iter().find(|key| variable(key) == *name) {
            Some(_) if value.is_empty() => {}
            Some(key) => insert(&mut values, key, value),
            None if is_foreign(name) => {}
            None => problems.push(Problem { name: name.clone(), message: "unknown setting".into() }),
        }
    }
    (values, problems)
}

/// Sets `key` (`a.b.c`) in nested tables.
fn insert(table: &mut Dict, key: &str, value: &str) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), Value::from(value));
        }
        Some((head, rest)) => {
            let inner = table.entry(head.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

struct EnvLayer(Dict);

impl Provider for EnvLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}
