//! What an error of a provider means: the table of `data/error_classes.toml`, reloadable while running.
//!
//! Codes change without notice, so no `match` in the program names one. An unknown code falls back to its
//! HTTP status and raises an alarm.

mod file;
mod rule;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use rule::{Class, Pace, Provider, Rule, Scope, Until};
pub use table::{Decision, Signal};

use table::Table;

const BUILT_IN: &str = include_str!("../../../data/error_classes.toml");

/// The classes in force; cheap to read from many tasks while they are reloaded.
#[derive(Debug)]
pub struct Classes {
    table: ArcSwap<Table>,
    override_path: Option<PathBuf>,
}

/// Why a table was not taken; the one in force stays.
#[derive(Debug, thiserror::Error)]
pub enum ClassesError {
    /// The override file could not be read.
    #[error("read error classes from {path}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The text is not a table of classes.
    #[error("parse error classes: {0}")]
    Parse(String),
}

impl Classes {
    /// The built-in table, with the rules of the file at `override_path` laid over it.
    pub fn load(override_path: Option<PathBuf>) -> Result<Self, ClassesError> {
        let table = read(override_path.as_ref())?;
        Ok(Self { table: ArcSwap::from_pointee(table), override_path })
    }

    /// The built-in table alone.
    pub fn built_in() -> Self {
        Self::load(None).expect("the built-in table is checked by a test")
    }

    /// Reads the override file again and returns the number of rules in force; after an error nothing changed.
    pub fn reload(&self) -> Result<usize, ClassesError> {
        let table = read(self.override_path.as_ref())?;
        let rules = table.rules();
        self.table.store(Arc::new(table));
        Ok(rules)
    }

    /// The rule for what `provider` answered.
    pub fn decide(&self, provider: Provider, signal: &Signal<'_>) -> Decision {
        self.table.load().decide(provider, signal)
    }
}

fn read(override_path: Option<&PathBuf>) -> Result<Table, ClassesError> {
    let mut table = Table::default();
    table.lay(file::parse(BUILT_IN)?)?;
    if let Some(path) = override_path {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ClassesError::Read { path: path.clone(), source })?;
        table.lay(file::parse(&text)?)?;
    }
    table.check()?;
    Ok(table)
}
