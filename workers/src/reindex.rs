//! `workers reindex`: fills the search indices anew, with a bar for people, lines for logs, JSON for machines.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use shared::config::{Config, Rate};
use shared::domain::time::rfc3339;
use shared::reindex::ReindexRequest;
use shared::search::{IndexKind, SearchIndex};
use shared::store::{Phase, ReindexPart, ReindexRow, Store};
use tokio_util::sync::CancellationToken;

use crate::context::process_name;

/// Between two lines where there is no terminal.
const LINE_PAUSE: Duration = Duration::from_secs(5);

/// What to rebuild.
#[derive(Debug, Args)]
pub struct ReindexArgs {
    /// Which index.
    #[arg(long, value_enum, default_value = "all")]
    index: Which,
    /// Documents of one read, 1 to 2000.
    #[arg(long, default_value_t = 500, value_parser = batch)]
    batch: usize,
    /// At most so many documents per time, such as 1000/s; as fast as it goes by default.
    #[arg(long)]
    rate: Option<Rate>,
    /// For machines: one object at the end, and no progress.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Titles, guest names, ids of threads.
    Threads,
    /// Texts and ids of messages.
    Messages,
    /// Both.
    All,
}

fn batch(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=shared::reindex::BATCH_MAX).contains(n));
    number.ok_or_else(|| format!("must be a number from 1 to {}", shared::reindex::BATCH_MAX))
}

/// Rebuilds until it is done or `stop`, and prints what was done.
///
/// # Errors
/// When a rebuild is at work already, a server is away for long, or it was stopped.
pub async fn reindex(config: &Config, args: ReindexArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let store = Store::connect(&config.mongodb).await.context("prepare mongodb")?;
    let elastic = &config.elasticsearch;
    let index = SearchIndex::new(elastic.url.expose(), &elastic.prefix).context("prepare elasticsearch")?;
    let kinds = match args.index {
        Which::Threads => vec![IndexKind::Threads],
        Which::Messages => vec![IndexKind::Messages],
        Which::All => IndexKind::ALL.to_vec(),
    };
    let linger = index.search_timeout() + Duration::from_secs(1);
    let request = ReindexRequest {
        kinds,
        batch: args.batch,
        rate: args.rate,
        linger,
        ..ReindexRequest::new(process_name())
    };
    let mut shown = Shown::choose(args.json);
    let row = shared::reindex::reindex(&store, &index, &request, &stop, |row| shown.update(row)).await;
    shown.end();
    let row = row?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", as_json(&row))?;
        return Ok(());
    }
    for part in &row.parts {
        let target = part.target.as_deref().unwrap_or_default();
        writeln!(
            out,
            "{}: {} documents in {target}, {} rejected",
            part.index.name(),
            part.copied,
            part.rejected
        )?;
    }
    Ok(())
}

/// How progress is shown.
enum Shown {
    Bar(ProgressBar),
    Lines { last: Option<Instant>, phases: Vec<Phase> },
    Nothing,
}

impl Shown {
    fn choose(json: bool) -> Self {
        if json {
            return Self::Nothing;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: None, phases: Vec::new() };
        }
        let style = ProgressStyle::with_template("{msg:9} {wide_bar} {pos}/{len} {per_sec} {eta}");
        Self::Bar(ProgressBar::new(0).with_style(style.expect("the template is well-formed")))
    }

    fn update(&mut self, row: &ReindexRow) {
        let Some(part) = current(row) else { return };
        match self {
            Self::Nothing => {}
            Self::Bar(bar) => {
                bar.set_message(part.index.name());
                // An estimate of the total may be low.
                bar.set_length(done(part).max(u64::try_from(part.total).unwrap_or(0)));
                bar.set_position(done(part));
            }
            Self::Lines { last, phases } => {
                let now: Vec<Phase> = row.parts.iter().map(|part| part.phase).collect();
                if *phases != now || last.is_none_or(|last| last.elapsed() >= LINE_PAUSE) {
                    (*last, *phases) = (Some(Instant::now()), now);
                    let (name, done, total) = (part.index.name(), done(part), part.total);
                    // Nobody may be reading; the work goes on.
                    let _ = writeln!(std::io::stderr(), "{name}: {:?}, {done} of about {total}", part.phase);
                }
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// The index at work: the first that is being filled, else the last that was.
fn current(row: &ReindexRow) -> Option<&ReindexPart> {
    let filling = row.parts.iter().find(|part| matches!(part.phase, Phase::Waiting | Phase::Copying));
    filling.or(row.parts.last())
}

fn done(part: &ReindexPart) -> u64 {
    u64::try_from(part.copied + part.rejected).unwrap_or(0)
}

fn as_json(row: &ReindexRow) -> Value {
    let indices = row.parts.iter().map(|part| {
        json!({
            "index": part.index,
            "phase": part.phase,
            "target": part.target,
            "copied": part.copied,
            "rejected": part.rejected,
        })
    });
    json!({
        "reindexId": row.id,
        "state": row.state,
        "resumed": row.is_resumed(),
        "indices": indices.collect::<Vec<_>>(),
        "startedAt": rfc3339(row.started_at),
    })
}
