//! From a post until a search finds it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::Options;
use crate::latency::{at_rate, now_ms};
use crate::load::histogram;
use crate::posts::THREADS;
use crate::report::{Report, number};
use crate::stack::{ACCOUNT, Stack};
use crate::town::Town;

/// Posts per second.
const RATE: u32 = 20;
/// How often the index is asked for all that it has not shown yet: what is seen is late by half of it.
const LOOK: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_secs(120);
/// Found messages that one search returns; far more than arrive between two looks.
const PAGE: usize = 1_000;

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    stack.start_ingest(None, &[]).await?;
    stack.start_simulator().await?;
    let town = Arc::new(Town::build(&stack, 0, "t", THREADS).await?);
    stack.start_workers("").await?;
    stack.drained(PATIENCE).await?;
    let posts = at_rate(&stack, &town, RATE, options.samples / 4);
    let (posted, found) = tokio::join!(posts, watch(&stack, options.samples / 4));
    let (posted, found) = (posted?, found?);
    let mut seen = histogram()?;
    for (word, at) in &found {
        let due = posted.due.get(word).context("the index has a text that was not posted")?;
        seen.saturating_record(at.saturating_sub(*due).max(0).unsigned_abs());
    }
    let mut report =
        Report::new("searchable", &["posts/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "messages"]);
    let mut cells = vec![RATE.to_string()];
    cells.extend([50.0, 90.0, 99.0, 100.0].map(|p| number(seen.value_at_percentile(p) as f64)));
    cells.push(seen.len().to_string());
    report.row(cells);
    report.at_most("post → searchable, p99 ms", 1_500.0, seen.value_at_percentile(99.0) as f64);
    report.note("Elasticsearch refreshes every second: half of that is the least that the middle can be");
    stack.end().await?;
    Ok(report)
}

/// When each of `count` new messages was first found, by its first word.
async fn watch(stack: &Stack, count: usize) -> anyhow::Result<HashMap<String, i64>> {
    let path = format!("/{}-messages/_search?routing={ACCOUNT}", stack.prefix());
    let started = now_ms();
    let mut found: HashMap<String, i64> = HashMap::with_capacity(count);
    while found.len() < count {
        ensure!(now_ms() - started < PATIENCE.as_millis() as i64, "{} of {count} were found", found.len());
        tokio::time::sleep(LOOK).await;
        // The newest first: what was found before lies behind them.
        let question = json!({
            "size": PAGE.min(count), "_source": ["body"], "track_total_hits": false,
            "query": { "range": { "createdAt": { "gte": stamp(now_ms() - 5_000) } } },
            "sort": [{ "createdAt": "desc" }],
        });
        let answer =
            stack.elasticsearch.call("POST", &path, None, Some(&question)).await?.expect(&[200])?.json()?;
        let at = now_ms();
        for hit in answer["hits"]["hits"].as_array().into_iter().flatten() {
            let body = hit["_source"]["body"].as_str().context("a hit without text")?;
            found.entry(crate::latency::first_word(body)).or_insert(at);
        }
    }
    Ok(found)
}

fn stamp(ms: i64) -> String {
    shared::domain::time::rfc3339(shared::domain::time::Time::from_millis(ms))
}
