//! HTTP posts with all workers live, against raw transactions, and whether the workers keep up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Options;
use crate::floor::Floor;
use crate::load::{self, HttpPoster, Kind, Slice, Spread};
use crate::posts::THREADS;
use crate::report::{Report, median, number};
use crate::stack::Stack;
use crate::town::Town;

const CALLERS: usize = 64;
/// How long the workers may take for what a slice left behind.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the backlog is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// One turn of ours: the posts, and what the workers made of them.
struct Turn {
    slice: Slice,
    /// Entries in all streams, looked at evenly through the slice.
    backlog: Vec<usize>,
    /// From the end of the slice until nothing was left to do.
    rest: Duration,
}

impl Turn {
    /// Messages per second, counted until the last follow-up was done.
    fn whole_rate(&self) -> f64 {
        self.slice.done as f64 / (self.slice.secs + self.rest.as_secs_f64())
    }

    /// How much longer the backlog was in the second half of the slice than in the first, in entries.
    fn growth(&self) -> f64 {
        let mean = |part: &[usize]| part.iter().sum::<usize>() as f64 / part.len().max(1) as f64;
        let (first, second) = self.backlog.split_at(self.backlog.len() / 2);
        mean(second) - mean(first)
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut report = Report::new("live", &COLUMNS);
    for kind in [Kind::Message, Kind::Whatsapp] {
        measure(options, kind, &mut report).await?;
    }
    Ok(report)
}

const COLUMNS: [&str; 9] = [
    "kind",
    "msg/s",
    "raw/s",
    "ratio",
    "p50 ms",
    "p99 ms",
    "backlog growth in a slice",
    "done/s until drained",
    "CPU ms/msg until the slice's end: ingest + workers + mongodb + redis + elasticsearch + simulator + client",
];

async fn measure(options: &Options, kind: Kind, report: &mut Report) -> anyhow::Result<()> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    stack.start_ingest(None, &[]).await?;
    stack.start_simulator().await?;
    let town = Arc::new(Town::build(&stack, 0, "t", THREADS).await?);
    let floor = Floor::build(&stack, 0, &town, kind).await?;
    stack.start_workers("").await?;
    stack.drained(PATIENCE).await?;
    let mut raw = floor.posters(CALLERS, Spread::All);
    let ingest = &stack.ingests[0];
    let mut ours = HttpPoster::several(CALLERS, ingest, &town, Spread::All, kind).await?;
    load::run(&mut raw, options.slice / 3, &[]).await?;
    load::run(&mut ours, options.slice / 3, &[]).await?;
    stack.drained(PATIENCE).await?;
    let (mut raws, mut turns) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        raws.push(load::run(&mut raw, options.slice, &[]).await?);
        turns.push(turn(options, &mut stack, &mut ours).await?);
    }
    let of = |figure: fn(&Slice) -> f64| median(turns.iter().map(|turn| figure(&turn.slice)));
    let ratio = median(turns.iter().zip(&raws).map(|(turn, raw)| turn.slice.rate() / raw.rate()));
    let growth = median(turns.iter().map(Turn::growth));
    report.row(vec![
        kind.as_str().to_owned(),
        number(of(Slice::rate)),
        number(median(raws.iter().map(Slice::rate))),
        number(ratio),
        number(of(|s| s.ms(50.0))),
        number(of(|s| s.ms(99.0))),
        number(growth),
        number(median(turns.iter().map(Turn::whole_rate))),
        ["ingest", "workers", "mongodb", "redis", "elasticsearch", "simulator", "client"]
            .map(|name| number(median(turns.iter().map(|turn| turn.slice.cpu_ms(name)))))
            .join(" + "),
    ]);
    report.at_least(format!("{}: ratio to raw with all workers live", kind.as_str()), 0.7, ratio);
    // Entries that stand for a tenth of a second of work are noise.
    let noise = (of(Slice::rate) * 0.2).round();
    report.at_most(format!("{}: growth of the backlog, entries", kind.as_str()), noise, growth);
    stack.end().await
}

async fn turn(options: &Options, stack: &mut Stack, ours: &mut Vec<HttpPoster>) -> anyhow::Result<Turn> {
    let length = options.slice * 2;
    let processes = stack.processes();
    let started = Instant::now();
    let looks = async {
        let mut backlog = Vec::new();
        while started.elapsed() + LOOK < length {
            tokio::time::sleep(LOOK).await;
            backlog.push(stack.streamed().await?);
        }
        anyhow::Ok(backlog)
    };
    let (slice, backlog) = tokio::join!(load::run(ours, length, &processes), looks);
    let (slice, backlog) = (slice?, backlog?);
    let rest = stack.drained(PATIENCE).await?;
    Ok(Turn { slice, backlog, rest })
}
