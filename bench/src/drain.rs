//! Waiting messages indexed and audited by the workers, against a raw loop of `_bulk` and insert with the same
//! documents.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use shared::queue::Queue;
use shared::search::{IndexSettings, SearchIndex};

use crate::Options;
use crate::http::request;
use crate::load::{self, HttpPoster, Kind, Meter, Spread};
use crate::posts::THREADS;
use crate::report::{Report, median, number};
use crate::stack::{ACCOUNT, Stack};
use crate::town::Town;

/// Documents of one `_bulk` and of one insert of the raw loop: as many as the workers take.
const BATCH: usize = 500;
const CALLERS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(600);
/// Rounds: each is long.
const ROUNDS: usize = 3;

/// What the raw loop writes.
struct Corpus {
    /// Bodies of `_bulk`, without the name of the index.
    bulks: Vec<String>,
    rows: Vec<Document>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    stack.start_ingest(None, &[]).await?;
    let town = Arc::new(Town::build(&stack, 0, "t", THREADS).await?);
    stack.forget_jobs().await?;
    let messages = post(options, &stack, &town).await?;
    let jobs = stack.store.raw().collection::<Document>("jobs");
    let rows: Vec<Document> = jobs.find(doc! {}).sort(doc! { "_id": 1 }).await?.try_collect().await?;
    let (mut ours, mut raws, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let mut corpus = None;
    for round in 0..ROUNDS.min(options.rounds) {
        if round > 0 {
            wait_again(&stack, &rows).await?;
        }
        let meter_of = |stack: &Stack| Meter::start(&stack.processes());
        let started = Instant::now();
        stack.start_workers("search,audit").await?;
        let meter = meter_of(&stack);
        stack.drained(PATIENCE).await?;
        ours.push(messages as f64 / started.elapsed().as_secs_f64());
        cpu.push(meter.read());
        stack.stop("workers").await?;
        if corpus.is_none() {
            corpus = Some(read_corpus(&stack, messages).await?);
        }
        let corpus = corpus.as_ref().context("the first round reads it")?;
        raws.push(messages as f64 / raw(&stack, corpus).await?.as_secs_f64());
    }
    let mut report = Report::new(
        "drain",
        &["messages", "ours/s", "raw/s", "ratio", "CPU ms/msg: workers + mongodb + redis + elasticsearch"],
    );
    let ratio = median(ours.iter().zip(&raws).map(|(ours, raw)| ours / raw));
    let cpu_of = |name: &str| {
        let per_round = cpu.iter().map(|seen| {
            let secs: f64 = seen.iter().filter(|(known, _)| *known == name).map(|(_, secs)| secs).sum();
            secs * 1e3 / messages as f64
        });
        number(median(per_round))
    };
    report.row(vec![
        messages.to_string(),
        number(median(ours.iter().copied())),
        number(median(raws.iter().copied())),
        number(ratio),
        ["workers", "mongodb", "redis", "elasticsearch"].map(cpu_of).join(" + "),
    ]);
    report.at_least("waiting messages indexed and audited, ratio to raw", 0.5, ratio);
    report.note("ours includes the start of the workers");
    stack.end().await?;
    Ok(report)
}

async fn post(options: &Options, stack: &Stack, town: &Arc<Town>) -> anyhow::Result<usize> {
    let mut posters =
        HttpPoster::several(CALLERS, &stack.ingests[0], town, Spread::All, Kind::Message).await?;
    let stored = stack.store.raw().collection::<Document>("messages");
    loop {
        let messages = stored.estimated_document_count().await? as usize;
        if messages >= options.waiting {
            return Ok(messages);
        }
        load::run(&mut posters, options.slice.min(Duration::from_secs(2)), &[]).await?;
    }
}

/// Puts everything back to where it waited: rows in the ledger, ids in Redis, nothing indexed, nothing audited.
async fn wait_again(stack: &Stack, rows: &[Document]) -> anyhow::Result<()> {
    stack.drop_indices().await?;
    let db = stack.store.raw();
    db.collection::<Document>("audit").drop().await?;
    stack.store.ensure_indexes().await?;
    for rows in rows.chunks(BATCH) {
        db.collection::<Document>("jobs").insert_many(rows).await?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in rows {
            ids.push((row.get_str("queue")?.parse::<Queue>()?, row.get_str("_id")?.to_owned()));
        }
        stack.wakeups.push_many(&ids).await?;
    }
    Ok(())
}

/// The documents as the workers wrote them.
async fn read_corpus(stack: &Stack, messages: usize) -> anyhow::Result<Corpus> {
    let prefix = stack.prefix();
    stack.elasticsearch.call("POST", &format!("/{prefix}-*/_refresh"), None, None).await?.expect(&[200])?;
    let mut lines = Vec::new();
    for kind in ["messages", "threads"] {
        let mut after: Option<Value> = None;
        loop {
            let id = if kind == "messages" { "messageId" } else { "threadId" };
            let mut question =
                json!({ "size": 5_000, "query": { "match_all": {} }, "sort": [{ id: "asc" }] });
            if let Some(after) = &after {
                question["search_after"] = after.clone();
            }
            let path = format!("/{prefix}-{kind}/_search?version=true");
            let answer =
                stack.elasticsearch.call("POST", &path, None, Some(&question)).await?.expect(&[200])?;
            let answer = answer.json()?;
            let hits = answer["hits"]["hits"].as_array().context("no hits")?;
            let Some(last) = hits.last() else { break };
            after = Some(last["sort"].clone());
            lines.extend(hits.iter().map(|hit| line(hit, kind)));
        }
    }
    ensure!(lines.len() >= messages, "{} of {messages} messages are indexed", lines.len());
    let audit = stack.store.raw().collection::<Document>("audit");
    let rows: Vec<Document> = audit.find(doc! { "action": "message.create" }).await?.try_collect().await?;
    ensure!(rows.len() == messages, "{} of {messages} messages are audited", rows.len());
    Ok(Corpus { bulks: lines.chunks(BATCH).map(|lines| lines.concat()).collect(), rows })
}

/// Two lines of a `_bulk`. The words that are indexed and not kept are made again from the text, as plain as it is.
fn line(hit: &Value, kind: &str) -> String {
    let action = json!({ "index": {
        "_index": format!("{{{kind}}}"), "_id": hit["_id"], "routing": ACCOUNT,
        "version": hit["_version"], "version_type": "external_gte",
    }});
    let mut source = hit["_source"].clone();
    let words = |key: &str| shared::search::words_joined(source[key].as_str().unwrap_or_default());
    let (text, ids) = match kind {
        "messages" => (words("body"), words("messageId")),
        _ => (words("title"), words("threadId")),
    };
    source["text"] = text.into();
    source["ids"] = ids.into();
    format!("{action}\n{source}\n")
}

/// The raw loop: one `_bulk`, one insert, and again.
async fn raw(stack: &Stack, corpus: &Corpus) -> anyhow::Result<Duration> {
    let prefix = format!("{}-floor-", stack.prefix());
    let settings = IndexSettings { replicas: 0, ..IndexSettings::default() };
    let index = SearchIndex::new(&stack.servers.elasticsearch, &prefix)?.with_settings(settings);
    index.ensure().await.context("make the indices of the raw loop")?;
    let store = stack.floor_store().await?;
    store.ensure_indexes().await?;
    let audit = store.raw().collection::<Document>("audit");
    let bodies: Vec<String> = corpus
        .bulks
        .iter()
        .map(|bulk| {
            let named = bulk.replace("\"{messages}\"", &format!("\"{prefix}messages\""));
            named.replace("\"{threads}\"", &format!("\"{prefix}threads\""))
        })
        .collect();
    let client = &stack.elasticsearch;
    let started = Instant::now();
    let mut rows = corpus.rows.chunks(BATCH);
    for body in &bodies {
        let path = "/_bulk?require_alias=true&filter_path=errors,items.*.status";
        let bytes = request("POST", client.address(), path, None, Some(body.as_bytes()));
        let answer = client.send(&bytes).await?.expect(&[200])?.json()?;
        ensure!(answer["errors"] == json!(false), "the raw bulk has errors");
        if let Some(rows) = rows.next() {
            audit.insert_many(rows).await?;
        }
    }
    let took = started.elapsed();
    store.raw().collection::<Document>("audit").drop().await?;
    for index in stack.elasticsearch.indices(&prefix).await? {
        stack.elasticsearch.call("DELETE", &format!("/{index}"), None, None).await?.expect(&[200])?;
    }
    Ok(took)
}
