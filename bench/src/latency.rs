//! From a post to the provider's acceptance, in an open loop: posts are sent at their times, however the last ones
//! go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use mongodb::bson::DateTime;

use crate::Options;
use crate::load::{Kind, histogram, post_request, text};
use crate::report::{Report, number};
use crate::stack::Stack;
use crate::town::Town;

/// Guests that are written to, each by a thread and a phone of its own.
const RECIPIENTS: usize = 2_000;
/// Connections that are open before the first post.
const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(120);
/// Accepted sends that the simulator shows at once.
const PAGE: usize = 1_000;

/// Posts at a rate, by the words that they began with.
pub(crate) struct Posted {
    /// Milliseconds since 1970 at which each post was due.
    pub(crate) due: HashMap<String, i64>,
    /// Milliseconds until each was acknowledged.
    pub(crate) acknowledged: Vec<u64>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    stack.start_ingest(None, &[]).await?;
    stack.start_simulator().await?;
    let town = Arc::new(Town::build(&stack, 0, "t", RECIPIENTS).await?);
    stack.start_workers("").await?;
    stack.drained(PATIENCE).await?;
    let mut report =
        Report::new("latency", &["posts/s", "what", "p50 ms", "p90 ms", "p99 ms", "max ms", "messages"]);
    at_rate(&stack, &town, 50, options.samples / 4).await?; // unmeasured
    stack.drained(PATIENCE).await?;
    for (rate, p50, p99) in [(50, Some(20.0), 100.0), (200, None, 500.0)] {
        let before = accepted_count(&stack).await?;
        let posted = at_rate(&stack, &town, rate, options.samples).await?;
        let accepted = accepted(&stack, before, options.samples).await?;
        let mut delivered = histogram()?;
        for (word, at) in accepted {
            let due = posted.due.get(&word).context("the simulator has a text that was not posted")?;
            delivered.saturating_record(at.saturating_sub(*due).max(0).unsigned_abs());
        }
        let mut acknowledged = histogram()?;
        posted.acknowledged.iter().for_each(|ms| acknowledged.saturating_record(*ms));
        for (what, seen) in [("acknowledged", &acknowledged), ("accepted by the provider", &delivered)] {
            let mut cells = vec![rate.to_string(), what.to_owned()];
            cells.extend([50.0, 90.0, 99.0, 100.0].map(|p| number(seen.value_at_percentile(p) as f64)));
            cells.push(seen.len().to_string());
            report.row(cells);
        }
        let percentile = |p| delivered.value_at_percentile(p) as f64;
        if let Some(wanted) = p50 {
            report.at_most(format!("post → accepted at {rate}/s, p50 ms"), wanted, percentile(50.0));
        }
        report.at_most(format!("post → accepted at {rate}/s, p99 ms"), p99, percentile(99.0));
        stack.drained(PATIENCE).await?;
    }
    report
        .note(format!("{RECIPIENTS} recipients; one sender number, since accounts' own channels come later"));
    stack.end().await?;
    Ok(report)
}

/// Posts `count` texts by WhatsApp at `rate` per second, to the threads in turn.
pub(crate) async fn at_rate(
    stack: &Stack,
    town: &Arc<Town>,
    rate: u32,
    count: usize,
) -> anyhow::Result<Posted> {
    let client = &stack.ingests[0].client;
    client.warm(CONNECTIONS).await?;
    let interval = Duration::from_secs(1) / rate;
    let start = tokio::time::Instant::now() + Duration::from_millis(100);
    let start_ms = now_ms() + 100;
    let post = |i: usize| {
        let after = interval * i as u32;
        let text = text();
        let word = first_word(&text);
        async move {
            let thread = i % town.threads.len();
            let bytes = post_request(client.address(), town, thread, Kind::Whatsapp, &text);
            tokio::time::sleep_until(start + after).await;
            client.send(&bytes).await?.expect(&[201])?;
            let due = start_ms + after.as_millis() as i64;
            anyhow::Ok((word, due, (now_ms() - due).max(0).unsigned_abs()))
        }
    };
    let posts = try_join_all((0..count).map(post)).await?;
    let acknowledged = posts.iter().map(|(_, _, ms)| *ms).collect();
    Ok(Posted { due: posts.into_iter().map(|(word, due, _)| (word, due)).collect(), acknowledged })
}

/// The word that no other text has.
pub(crate) fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

async fn accepted_count(stack: &Stack) -> anyhow::Result<usize> {
    let simulator = stack.simulator.as_ref().context("no simulator runs")?;
    let answer = simulator.get("/_sim/accepted?limit=1").await?;
    answer["total"].as_u64().map(|total| total as usize).context("no total")
}

/// First word and time of acceptance of the `count` sends after the first `before`.
async fn accepted(stack: &Stack, before: usize, count: usize) -> anyhow::Result<Vec<(String, i64)>> {
    let simulator = stack.simulator.as_ref().context("no simulator runs")?;
    let wait = format!("/_sim/accepted?limit=1&atLeast={}&timeoutMs=60000", before + count);
    simulator.get(&wait).await?;
    let mut found = Vec::with_capacity(count);
    while found.len() < count {
        let after = before + found.len();
        let answer = simulator.get(&format!("/_sim/accepted?after={after}&limit={PAGE}")).await?;
        let page = answer["accepted"].as_array().context("no list of sends")?;
        ensure!(!page.is_empty(), "{} of {count} posts were accepted", found.len());
        for send in page {
            let body = send["body"].as_str().context("a send without text")?;
            let at = DateTime::parse_rfc3339_str(send["at"].as_str().context("a send without time")?)?;
            found.push((first_word(body), at.timestamp_millis()));
        }
    }
    Ok(found)
}
