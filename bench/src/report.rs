//! What a benchmark has to say: tables for people and one JSON file for programs.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};
use shared::domain::time::{Time, rfc3339};

/// A figure that a target exists for.
#[derive(Debug)]
struct Check {
    what: String,
    wanted: String,
    seen: f64,
    met: bool,
}

/// The result of one benchmark.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    checks: Vec<Check>,
    notes: Vec<String>,
}

impl Report {
    /// An empty report with the columns of its table.
    pub(crate) fn new(name: &'static str, columns: &[&'static str]) -> Self {
        let columns = columns.to_vec();
        Self { name, columns, rows: Vec::new(), checks: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row of the table.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Adds a figure that should be at least `wanted`.
    pub(crate) fn at_least(&mut self, what: impl Into<String>, wanted: f64, seen: f64) {
        let wanted_text = format!("≥ {wanted}");
        self.checks.push(Check { what: what.into(), wanted: wanted_text, seen, met: seen >= wanted });
    }

    /// Adds a figure that should be at most `wanted`.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, wanted: f64, seen: f64) {
        let wanted_text = format!("≤ {wanted}");
        self.checks.push(Check { what: what.into(), wanted: wanted_text, seen, met: seen <= wanted });
    }

    /// Adds a sentence.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints the tables and writes `target/bench/{name}.json` beside the programs.
    pub(crate) fn publish(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.text().as_bytes()).context("write to standard output")?;
        let folder =
            std::env::current_exe()?.parent().context("a program lies in a folder")?.join("../bench");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.json", self.name));
        std::fs::write(&path, serde_json::to_vec_pretty(&self.json())?).context("write the JSON file")
    }

    fn text(&self) -> String {
        let mut text = format!("\n## {} · {} · {} cores\n\n", self.name, rfc3339(Time::now()), cores());
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|i| {
                let cells = self.rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
                cells.chain([self.columns[i].chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let line = |cells: &[&str]| {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("| {} |\n", padded.join(" | "))
        };
        text.push_str(&line(&self.columns));
        text.push_str(&line(&widths.iter().map(|_| "---").collect::<Vec<_>>()));
        for row in &self.rows {
            text.push_str(&line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        text.push('\n');
        for check in &self.checks {
            let verdict = if check.met { "met   " } else { "MISSED" };
            // Writing to a String cannot fail.
            let _ =
                writeln!(text, "{verdict} {}: {} (wanted {})", check.what, number(check.seen), check.wanted);
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }

    fn json(&self) -> Value {
        let row = |cells: &Vec<String>| -> Value {
            self.columns.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), json!(cell))).collect()
        };
        let check = |c: &Check| json!({ "what": c.what, "wanted": c.wanted, "seen": c.seen, "met": c.met });
        json!({
            "name": self.name,
            "at": rfc3339(Time::now()),
            "cores": cores(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A figure with three digits that matter.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle of `values`; 0 when there are none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between() {
        assert_eq!([median([3.0, 1.0, 2.0]), median([4.0, 1.0]), median([])], [2.0, 2.5, 0.0]);
    }
}
