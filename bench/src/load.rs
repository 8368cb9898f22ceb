//! Closed-loop load: so many callers, each of which posts as soon as its last post is answered.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use rand::Rng as _;

use crate::http::{Connection, request};
use crate::process::Pid;
use crate::stack::Ingest;
use crate::town::Town;

/// How long the posts that are under way at the end of a slice may take.
const STRAGGLERS: Duration = Duration::from_secs(60);

/// Something that posts one message after the other.
pub(crate) trait Poster: Send + 'static {
    /// Posts one message and waits for its acknowledgement.
    fn post(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What was seen in one slice of time.
#[derive(Debug)]
pub(crate) struct Slice {
    /// Acknowledged within the slice.
    pub(crate) done: u64,
    pub(crate) secs: f64,
    /// In microseconds.
    pub(crate) latency: Histogram<u64>,
    /// CPU seconds by process.
    pub(crate) cpu: Vec<(&'static str, f64)>,
}

impl Slice {
    /// Acknowledged messages per second.
    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.secs
    }

    /// A percentile of the latency, in milliseconds.
    pub(crate) fn ms(&self, percentile: f64) -> f64 {
        self.latency.value_at_percentile(percentile) as f64 / 1e3
    }

    /// CPU milliseconds of one process, or of several of one name, per message.
    pub(crate) fn cpu_ms(&self, name: &str) -> f64 {
        let all = self.cpu.iter().filter(|(known, _)| *known == name).map(|(_, secs)| secs).sum::<f64>();
        all * 1e3 / (self.done.max(1) as f64)
    }
}

/// An empty histogram of microseconds, up to two minutes.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 120_000_000, 3).context("make a histogram")
}

/// CPU seconds of some processes, to be compared with a later look.
pub(crate) struct Meter(Vec<(&'static str, Pid, f64)>);

impl Meter {
    /// Starts.
    pub(crate) fn start(processes: &[(&'static str, Pid)]) -> Self {
        Self(processes.iter().map(|(name, pid)| (*name, *pid, pid.cpu_secs())).collect())
    }

    /// CPU seconds since the start.
    pub(crate) fn read(&self) -> Vec<(&'static str, f64)> {
        self.0.iter().map(|(name, pid, before)| (*name, pid.cpu_secs() - before)).collect()
    }
}

/// Lets all `posters` post for `length`. What is under way at the end is waited for and not counted.
pub(crate) async fn run<P: Poster>(
    posters: &mut Vec<P>,
    length: Duration,
    processes: &[(&'static str, Pid)],
) -> anyhow::Result<Slice> {
    let started = Instant::now();
    let end = started + length;
    let meter = Meter::start(processes);
    let tasks: Vec<_> = std::mem::take(posters)
        .into_iter()
        .map(|poster| shared::task::spawn("caller", call(poster, end)))
        .collect();
    tokio::time::sleep_until(end.into()).await;
    let cpu = meter.read();
    let mut latency = histogram()?;
    for task in tasks {
        let (poster, seen) = tokio::time::timeout(STRAGGLERS, task).await.context("a post hangs")???;
        latency.add(seen)?;
        posters.push(poster);
    }
    Ok(Slice { done: latency.len(), secs: length.as_secs_f64(), latency, cpu })
}

async fn call<P: Poster>(mut poster: P, end: Instant) -> anyhow::Result<(P, Histogram<u64>)> {
    let mut seen = histogram()?;
    loop {
        let started = Instant::now();
        if started >= end {
            return Ok((poster, seen));
        }
        poster.post().await?;
        if Instant::now() <= end {
            seen.saturating_record(started.elapsed().as_micros() as u64);
        }
    }
}

/// Which threads are posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Any of them, evenly.
    All,
    /// The first one only.
    Hot,
}

impl Spread {
    /// The number of the thread for the next post, of `count`.
    pub(crate) fn pick(self, count: usize) -> usize {
        match self {
            Spread::All => rand::rng().random_range(0..count),
            Spread::Hot => 0,
        }
    }
}

/// What is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A message of the chat: indexed and audited.
    Message,
    /// A text by WhatsApp: indexed, audited and sent.
    Whatsapp,
}

impl Kind {
    /// The wire form.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Message => "message",
            Kind::Whatsapp => "whatsapp-message",
        }
    }
}

/// The text of a message, about 120 characters.
pub(crate) fn text() -> String {
    const WORDS: [&str; 16] = [
        "room",
        "key",
        "arrival",
        "breakfast",
        "late",
        "checkout",
        "towels",
        "airport",
        "transfer",
        "thanks",
        "window",
        "quiet",
        "booking",
        "deposit",
        "invoice",
        "Zürich",
    ];
    let mut rng = rand::rng();
    let mut text = format!("n{:08x}", rng.random::<u32>());
    while text.len() < 115 {
        text.push(' ');
        text.push_str(WORDS[rng.random_range(0..WORDS.len())]);
    }
    text
}

/// Posts over HTTP on a connection of its own.
pub(crate) struct HttpPoster {
    connection: Connection,
    address: std::net::SocketAddr,
    town: Arc<Town>,
    spread: Spread,
    kind: Kind,
}

impl HttpPoster {
    /// Callers of `ingest`, each with its connection.
    pub(crate) async fn several(
        count: usize,
        ingest: &Ingest,
        town: &Arc<Town>,
        spread: Spread,
        kind: Kind,
    ) -> anyhow::Result<Vec<Self>> {
        let address = ingest.client.address();
        let one = || async {
            let connection = Connection::open(address).await?;
            Ok(Self { connection, address, town: Arc::clone(town), spread, kind })
        };
        futures::future::try_join_all((0..count).map(|_| one())).await
    }
}

/// The bytes of a post to thread number `thread` of `town`.
pub(crate) fn post_request(
    address: std::net::SocketAddr,
    town: &Town,
    thread: usize,
    kind: Kind,
    text: &str,
) -> Vec<u8> {
    let path = format!("/chat/threads/{}/messages", town.threads[thread]);
    // Nothing in the text needs escaping.
    let body = format!("{{\"body\":\"{text}\",\"type\":\"{}\"}}", kind.as_str());
    request("POST", address, &path, Some(town.token(thread)), Some(body.as_bytes()))
}

impl Poster for HttpPoster {
    async fn post(&mut self) -> anyhow::Result<()> {
        let thread = self.spread.pick(self.town.threads.len());
        let bytes = post_request(self.address, &self.town, thread, self.kind, &text());
        let answer = self.connection.send(&bytes).await?;
        ensure!(answer.status == 201, "a post was answered {}", answer.status);
        Ok(())
    }
}
