//! What ingest and Redis hold after many messages.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::Options;
use crate::load::{self, HttpPoster, Kind, Spread};
use crate::posts::THREADS;
use crate::process::Pid;
use crate::report::{Report, number};
use crate::stack::Stack;
use crate::town::Town;

const CALLERS: usize = 64;
/// Looks on the way.
const LOOKS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(900);
/// How much of Redis's growth is its own affair, in MiB.
const REDIS_NOISE_MIB: f64 = 2.0;

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    stack.start_ingest(None, &[]).await?;
    stack.start_simulator().await?;
    let town = Arc::new(Town::build(&stack, 0, "t", THREADS).await?);
    stack.start_workers("").await?;
    stack.drained(PATIENCE).await?;
    let mut report = Report::new(
        "memory",
        &[
            "messages",
            "ingest MiB",
            "ingest peak",
            "ingest files",
            "workers MiB",
            "workers files",
            "redis MiB",
        ],
    );
    let ingest = stack.ingests[0].pid()?;
    let workers = named(&stack, "workers")?;
    let mut ours = HttpPoster::several(CALLERS, &stack.ingests[0], &town, Spread::All, Kind::Message).await?;
    let mut messages = 0;
    let mut redis = vec![redis_mib(&stack).await?];
    let mut peak = 0.0_f64;
    for look in 0..=LOOKS {
        while messages < options.messages * look / LOOKS {
            messages += load::run(&mut ours, options.slice, &[]).await?.done as usize;
        }
        stack.drained(PATIENCE).await?;
        redis.push(redis_mib(&stack).await?);
        peak = peak.max(ingest.resident_mib().1);
        report.row(vec![
            messages.to_string(),
            number(ingest.resident_mib().0),
            number(ingest.resident_mib().1),
            ingest.open_files().to_string(),
            number(workers.resident_mib().0),
            workers.open_files().to_string(),
            number(redis[look + 1]),
        ]);
    }
    report.at_most("ingest's peak of resident memory, MiB", 100.0, peak);
    // The first look is before the first message: streams and groups are made with it.
    let growth = redis.last().unwrap_or(&0.0) - redis[1];
    report.at_most("growth of Redis once the streams are empty, MiB", REDIS_NOISE_MIB, growth);
    stack.end().await?;
    Ok(report)
}

fn named(stack: &Stack, name: &str) -> anyhow::Result<Pid> {
    let found = stack.processes().into_iter().find(|(known, _)| *known == name);
    found.map(|(_, pid)| pid).with_context(|| format!("{name} has ended"))
}

async fn redis_mib(stack: &Stack) -> anyhow::Result<f64> {
    let mut redis = stack.redis().await?;
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut redis).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let bytes: f64 = used.and_then(|text| text.trim().parse().ok()).context("redis tells no used_memory")?;
    Ok(bytes / 1024.0 / 1024.0)
}
