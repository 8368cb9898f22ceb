//! What a message costs in a small and in a large store: the whole way, from the post until everything that follows
//! is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mongodb::bson::Document;

use crate::Options;
use crate::load::{self, HttpPoster, Kind, Meter, Spread};
use crate::posts::THREADS;
use crate::report::{Report, median, number};
use crate::stack::Stack;
use crate::town::Town;

const CALLERS: usize = 64;
/// Measurements at each size.
const LOOKS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(900);
/// The processes that serve a message.
const SERVING: [&str; 5] = ["ingest", "workers", "mongodb", "redis", "elasticsearch"];

/// What one measurement found, per message.
struct Cost {
    /// CPU milliseconds of each of [`SERVING`].
    cpu_ms: [f64; SERVING.len()],
    /// Milliseconds of the clock.
    wall_ms: f64,
}

impl Cost {
    fn cpu(&self) -> f64 {
        self.cpu_ms.iter().sum()
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    stack.start_ingest(None, &[]).await?;
    let town = Arc::new(Town::build(&stack, 0, "t", THREADS).await?);
    stack.start_workers("").await?;
    stack.drained(PATIENCE).await?;
    let mut ours = HttpPoster::several(CALLERS, &stack.ingests[0], &town, Spread::All, Kind::Message).await?;
    let mut report = Report::new(
        "growth",
        &[
            "stored",
            "CPU ms/msg",
            "of it: ingest + workers + mongodb + redis + elasticsearch",
            "ms/msg by the clock",
        ],
    );
    let mut costs = Vec::new();
    for size in &options.stored {
        while stored(&stack).await? < *size {
            load::run(&mut ours, options.slice, &[]).await?;
            stack.drained(PATIENCE).await?;
        }
        let mut seen = Vec::with_capacity(LOOKS);
        for _ in 0..LOOKS {
            seen.push(measure(options, &mut stack, &mut ours).await?);
        }
        let parts = |i: usize| number(median(seen.iter().map(|cost| cost.cpu_ms[i])));
        let cpu = median(seen.iter().map(Cost::cpu));
        let wall = median(seen.iter().map(|cost| cost.wall_ms));
        let split: Vec<String> = (0..SERVING.len()).map(parts).collect();
        report.row(vec![size.to_string(), number(cpu), split.join(" + "), number(wall)]);
        costs.push((cpu, wall));
    }
    if let [(cpu, wall), .., (cpu_last, wall_last)] = costs[..] {
        report.at_most("CPU per message, last size to first", 1.2, cpu_last / cpu);
        report.at_most("time per message, last size to first", 1.2, wall_last / wall);
    }
    stack.end().await?;
    Ok(report)
}

async fn stored(stack: &Stack) -> anyhow::Result<usize> {
    let messages = stack.store.raw().collection::<Document>("messages");
    Ok(messages.estimated_document_count().await? as usize)
}

async fn measure(options: &Options, stack: &mut Stack, ours: &mut Vec<HttpPoster>) -> anyhow::Result<Cost> {
    let meter = Meter::start(&stack.processes());
    let (before, started) = (stored(stack).await?, Instant::now());
    load::run(ours, options.slice, &[]).await?;
    stack.drained(PATIENCE).await?;
    let wall = started.elapsed();
    let messages =
        stored(stack).await?.checked_sub(before).filter(|n| *n > 0).context("nothing was stored")?;
    let seen = meter.read();
    let cpu_of =
        |name: &str| seen.iter().filter(|(known, _)| *known == name).map(|(_, secs)| secs).sum::<f64>();
    Ok(Cost {
        cpu_ms: SERVING.map(|name| cpu_of(name) * 1e3 / messages as f64),
        wall_ms: wall.as_secs_f64() * 1e3 / messages as f64,
    })
}
