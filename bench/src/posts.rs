//! HTTP posts with the workers stopped, against raw transactions at the same number of callers.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Options;
use crate::floor::Floor;
use crate::load::{self, HttpPoster, Slice, Spread};
use crate::process::Pid;
use crate::report::{Report, median, number};
use crate::stack::Stack;
use crate::town::Town;

/// Threads that are posted to.
pub(crate) const THREADS: usize = 1_000;

/// An ingest with the threads that only it writes: another process would make its cached copies stale.
struct Variant {
    label: String,
    town: Arc<Town>,
}

/// Slices of one level: those of the floor and those of each variant, round by round.
struct Level {
    callers: usize,
    spread: Spread,
    floor: Vec<Slice>,
    ours: Vec<Vec<Slice>>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    let mut variants = Vec::new();
    for (label, path, extra) in wanted(options) {
        stack.start_ingest(path, &extra).await?;
        let number = variants.len();
        let town = Arc::new(Town::build(&stack, number, &format!("v{number}-"), THREADS).await?);
        variants.push(Variant { label, town });
    }
    for (ingest, variant) in stack.ingests.iter().zip(&variants) {
        variant.town.visit(ingest, options.kind).await?;
    }
    stack.forget_jobs().await?;
    let floor = Floor::build(&stack, 0, &variants[0].town, options.kind).await?;
    let mut levels: Vec<(usize, Spread)> = options.callers.iter().map(|n| (*n, Spread::All)).collect();
    levels.extend(options.callers.iter().max().map(|most| (*most, Spread::Hot)));
    let mut report = Report::new("posts", &COLUMNS);
    report.note(format!("kind {}, {THREADS} threads, {} rounds", options.kind.as_str(), options.rounds));
    for (callers, spread) in levels {
        let level = measure(options, &stack, &variants, &floor, callers, spread).await?;
        describe(&mut report, &level, &variants);
        stack.forget_jobs().await?;
        floor.forget_jobs().await?;
    }
    stack.end().await?;
    Ok(report)
}

/// A name, the program to measure if it is not the usual one, and its settings.
type Wanted = (String, Option<PathBuf>, Vec<(String, String)>);

/// The ingests to compare: builds × settings.
fn wanted(options: &Options) -> Vec<Wanted> {
    let mut settings: Vec<String> =
        options.slots.iter().map(|slots| format!("BELLHOP_COMMIT__SLOTS={slots}")).collect();
    settings.extend(options.variants.iter().cloned());
    if settings.is_empty() {
        settings.push(String::new());
    }
    let builds: Vec<Option<PathBuf>> = match &options.ingest[..] {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let mut all = Vec::new();
    for (number, build) in builds.iter().enumerate() {
        for settings in &settings {
            let pairs = settings.split(';').filter_map(|pair| pair.split_once('='));
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let mut label = if builds.len() > 1 { format!("build {number} ") } else { "ours ".to_owned() };
            label.push_str(settings.trim_start_matches("BELLHOP_"));
            all.push((label.trim().to_owned(), build.clone(), pairs));
        }
    }
    all
}

async fn measure(
    options: &Options,
    stack: &Stack,
    variants: &[Variant],
    floor: &Arc<Floor>,
    callers: usize,
    spread: Spread,
) -> anyhow::Result<Level> {
    let slice = if spread == Spread::Hot { options.slice * 2 } else { options.slice };
    let processes = stack.processes();
    let mut raw = floor.posters(callers, spread);
    let mut ours = Vec::new();
    for (ingest, variant) in stack.ingests.iter().zip(variants) {
        ours.push(HttpPoster::several(callers, ingest, &variant.town, spread, options.kind).await?);
    }
    let mut level =
        Level { callers, spread, floor: Vec::new(), ours: variants.iter().map(|_| Vec::new()).collect() };
    // One unmeasured turn each: caches, connections, pools.
    load::run(&mut raw, options.slice / 3, &[]).await?;
    for posters in &mut ours {
        load::run(posters, options.slice / 3, &[]).await?;
    }
    for round in 0..options.rounds {
        // Who is first changes, so that what one leaves behind does not always hit the same.
        let floor_first = round % 2 == 0;
        if floor_first {
            level.floor.push(load::run(&mut raw, slice, &processes).await?);
        }
        for (number, posters) in ours.iter_mut().enumerate() {
            let counted = own(&processes, stack, number)?;
            level.ours[number].push(load::run(posters, slice, &counted).await?);
        }
        if !floor_first {
            level.floor.push(load::run(&mut raw, slice, &processes).await?);
        }
    }
    Ok(level)
}

/// The processes without the ingests of other variants.
fn own(
    all: &[(&'static str, Pid)],
    stack: &Stack,
    number: usize,
) -> anyhow::Result<Vec<(&'static str, Pid)>> {
    let pid = stack.ingests[number].pid()?;
    Ok(all.iter().copied().filter(|(name, other)| *name != "ingest" || *other == pid).collect())
}

const COLUMNS: [&str; 11] = [
    "callers",
    "who",
    "msg/s",
    "raw/s",
    "ratio",
    "p50 ms",
    "p99 ms",
    "raw p50",
    "raw p99",
    "CPU ms/msg: ingest + mongodb + redis + client",
    "raw: mongodb + client",
];

fn describe(report: &mut Report, level: &Level, variants: &[Variant]) {
    let hot = level.spread == Spread::Hot;
    let callers = if hot { format!("{} hot", level.callers) } else { level.callers.to_string() };
    let wanted = match (level.callers, hot) {
        (_, true) => Some(8.0),
        (1 | 8, _) => Some(0.85),
        (32, _) => Some(1.3),
        (64, _) => Some(1.8),
        _ => None,
    };
    let of = |slices: &[Slice], figure: fn(&Slice) -> f64| median(slices.iter().map(figure));
    let raw = &level.floor;
    for (variant, ours) in variants.iter().zip(&level.ours) {
        let ratio = median(ours.iter().zip(raw).map(|(ours, raw)| ours.rate() / raw.rate()));
        report.row(vec![
            callers.clone(),
            variant.label.clone(),
            number(of(ours, Slice::rate)),
            number(of(raw, Slice::rate)),
            number(ratio),
            number(of(ours, |s| s.ms(50.0))),
            number(of(ours, |s| s.ms(99.0))),
            number(of(raw, |s| s.ms(50.0))),
            number(of(raw, |s| s.ms(99.0))),
            ["ingest", "mongodb", "redis", "client"]
                .map(|name| number(median(ours.iter().map(|s| s.cpu_ms(name)))))
                .join(" + "),
            ["mongodb", "client"].map(|name| number(median(raw.iter().map(|s| s.cpu_ms(name))))).join(" + "),
        ]);
        if let Some(wanted) = wanted {
            report.at_least(format!("{callers} callers, {}: ratio to raw", variant.label), wanted, ratio);
        }
    }
}
