//! Reading in a large store: pages of messages and views of threads against the same finds by the driver and a request
//! that finds nothing; then search, while messages come in.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::TryStreamExt as _;
use hdrhistogram::Histogram;
use mongodb::bson::{Document, doc};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use serde_json::json;
use shared::domain::message::Message;
use shared::domain::thread::Thread;

use crate::Options;
use crate::http::Client;
use crate::load::{histogram, text};
use crate::report::{Report, median, number};
use crate::stack::{ACCOUNT, Stack};
use crate::volume::{AGENTS, Volume, agent, thread_id};

/// Messages or threads of a page.
const PAGE: usize = 50;
/// Messages posted per second while searching.
const RATE: u32 = 10;
/// What is wanted: at most so much longer than the finds and an empty request.
const RATIO: f64 = 1.5;
/// Authenticated, then refused before anything is read.
const EMPTY: &str = "/chat/threads?limit=0";

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Newest,
    Middle,
    Recent,
    Unread,
    Important,
}

impl What {
    const ALL: [What; 5] = [What::Newest, What::Middle, What::Recent, What::Unread, What::Important];

    fn label(self) -> &'static str {
        match self {
            What::Newest => "messages, newest page",
            What::Middle => "messages, a page in the middle",
            What::Recent => "view recent",
            What::Unread => "view unread",
            What::Important => "view important",
        }
    }
}

/// One thing to read, chosen by chance.
struct Pick {
    what: What,
    agent: usize,
    thread: usize,
    /// The message below which a page in the middle begins.
    upper: usize,
}

struct Reader<'a> {
    stack: &'a Stack,
    client: &'a Client,
    volume: &'a Volume,
    tokens: Vec<String>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    stack.start_ingest(None, &[]).await?;
    let wanted = *options.stored.last().context("--stored names no number")?;
    let volume = Volume::fill(&stack, wanted).await?;
    let mut tokens = Vec::with_capacity(AGENTS);
    for n in 0..AGENTS {
        tokens.push(stack.token(&agent(n), "agent").await?);
    }
    let mut report = Report::new("views", &COLUMNS);
    report.note(format!(
        "{} messages in {} threads, half of them in {}; pages of {PAGE}; one caller; the finds are decoded",
        volume.messages,
        volume.threads,
        volume.long.len()
    ));
    let reader = Reader { stack: &stack, client: &stack.ingests[0].client, volume: &volume, tokens };
    for what in What::ALL {
        reader.measure(options, what, &mut report).await?;
    }
    let tokens = reader.tokens;
    let started = Instant::now();
    stack.command(&["reindex", "--json"]).await?;
    report.note(format!("`workers reindex` took {} s", number(started.elapsed().as_secs_f64())));
    stack.start_workers("search").await?;
    search(options, &stack, &volume, &tokens[0], &mut report).await?;
    stack.end().await?;
    Ok(report)
}

const COLUMNS: [&str; 9] =
    ["what", "items", "p50 ms", "p99 ms", "finds p50", "finds p99", "empty p50", "empty p99", "p99 ratio"];

/// What was seen in one round or in all, in microseconds.
struct Seen {
    ours: Histogram<u64>,
    finds: Histogram<u64>,
    empty: Histogram<u64>,
    /// Finds and empty request of one turn together.
    floor: Histogram<u64>,
}

impl Seen {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { ours: histogram()?, finds: histogram()?, empty: histogram()?, floor: histogram()? })
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.ours.add(&other.ours)?;
        self.finds.add(&other.finds)?;
        self.empty.add(&other.empty)?;
        Ok(self.floor.add(&other.floor)?)
    }

    fn ratio(&self) -> f64 {
        self.ours.value_at_percentile(99.0) as f64 / self.floor.value_at_percentile(99.0) as f64
    }
}

impl Reader<'_> {
    async fn measure(&self, options: &Options, what: What, report: &mut Report) -> anyhow::Result<()> {
        let turns = (options.samples / options.rounds).max(1);
        let (mut all, mut ratios, mut items) = (Seen::new()?, Vec::new(), 0);
        self.round(what, turns / 2, &mut items).await?; // unmeasured: caches, connections, pools
        for _ in 0..options.rounds {
            let seen = self.round(what, turns, &mut items).await?;
            ratios.push(seen.ratio());
            all.add(&seen)?;
        }
        let ratio = median(ratios);
        let ms = |of: &Histogram<u64>, p: f64| number(of.value_at_percentile(p) as f64 / 1e3);
        let mut cells = vec![what.label().to_owned(), items.to_string()];
        for of in [&all.ours, &all.finds, &all.empty] {
            cells.extend([50.0, 99.0].map(|p| ms(of, p)));
        }
        cells.push(number(ratio));
        report.row(cells);
        let label = what.label();
        report.at_most(format!("{label}: p99 to that of the finds and an empty request"), RATIO, ratio);
        Ok(())
    }

    /// Some turns; ours and the raw finds take turns in who is first, since the second finds warm caches.
    async fn round(&self, what: What, turns: usize, items: &mut usize) -> anyhow::Result<Seen> {
        let mut seen = Seen::new()?;
        for turn in 0..turns {
            let pick = self.pick(what);
            if turn % 2 == 0 {
                self.ours(&pick, &mut seen).await?;
            }
            let started = Instant::now();
            *items = self.find(&pick).await?;
            let found = started.elapsed();
            self.get(EMPTY, pick.agent, 400).await?;
            let floor = started.elapsed();
            seen.finds.saturating_record(micros(found));
            seen.empty.saturating_record(micros(floor - found));
            seen.floor.saturating_record(micros(floor));
            if turn % 2 == 1 {
                self.ours(&pick, &mut seen).await?;
            }
        }
        Ok(seen)
    }

    fn pick(&self, what: What) -> Pick {
        let mut dice = rand::rng();
        let (thread, messages) = self.volume.long.choose(&mut dice).copied().unwrap_or_default();
        let quarter = messages / 4;
        let upper = dice.random_range(quarter..=quarter * 3).max(1);
        Pick { what, agent: dice.random_range(0..AGENTS), thread, upper }
    }

    async fn ours(&self, pick: &Pick, seen: &mut Seen) -> anyhow::Result<()> {
        let list = format!("/chat/threads/{}/messages?limit={PAGE}", thread_id(pick.thread));
        let view = |name: &str| format!("/chat/threads?limit={PAGE}&view={name}");
        let path = match pick.what {
            What::Newest => list,
            What::Middle => format!("{list}&upperRef={}", Volume::message_id(pick.thread, pick.upper)),
            What::Recent => view("recent"),
            What::Unread => view("unread"),
            What::Important => view("important"),
        };
        let started = Instant::now();
        self.get(&path, pick.agent, 200).await?;
        seen.ours.saturating_record(micros(started.elapsed()));
        Ok(())
    }

    async fn get(&self, path: &str, agent: usize, status: u16) -> anyhow::Result<()> {
        self.client.call("GET", path, Some(&self.tokens[agent]), None).await?.expect(&[status]).map(drop)
    }

    /// What the product asks MongoDB for, as plain finds; answers how many the page holds.
    async fn find(&self, pick: &Pick) -> anyhow::Result<usize> {
        match pick.what {
            What::Newest | What::Middle => self.find_messages(pick).await,
            What::Recent => self.find_threads(pick, doc! {}).await,
            What::Unread => {
                let wanted =
                    [doc! { "needsAttention": agent(pick.agent) }, doc! { "awaitingFirstReply": true }];
                self.find_threads(pick, doc! { "$and": [{ "$or": wanted.to_vec() }] }).await
            }
            What::Important => self.find_threads(pick, doc! { "important": true }).await,
        }
    }

    async fn find_messages(&self, pick: &Pick) -> anyhow::Result<usize> {
        let db = self.stack.store.raw();
        let key = Volume::thread_key(pick.thread);
        let thread = db.collection::<Thread>("threads").find_one(doc! { "_id": &key }).await?;
        ensure!(thread.is_some(), "no thread {key}");
        let messages = db.collection::<Message>("messages");
        let mut filter = doc! { "thread": &key };
        if pick.what == What::Middle {
            let id = format!("{ACCOUNT}/{}", Volume::message_id(pick.thread, pick.upper));
            let upper = messages.find_one(doc! { "_id": id, "accountId": ACCOUNT }).await?;
            filter.insert("seq", doc! { "$lt": upper.context("no such message")?.seq });
        }
        let page = messages.find(filter).sort(doc! { "seq": -1 }).limit(PAGE as i64 + 1);
        let page: Vec<Message> = page.await?.try_collect().await?;
        Ok(page.len().min(PAGE))
    }

    async fn find_threads(&self, pick: &Pick, view: Document) -> anyhow::Result<usize> {
        let db = self.stack.store.raw();
        let tokens = ["staff".to_owned(), format!("a:{}", agent(pick.agent))];
        let mut filter = doc! { "accountId": ACCOUNT, "staffViewers": { "$in": tokens.to_vec() } };
        filter.extend(view);
        let threads = db.collection::<Thread>("threads");
        let page = threads.find(filter).sort(doc! { "updatedAt": -1, "_id": -1 }).limit(PAGE as i64 + 1);
        let page: Vec<Thread> = page.await?.try_collect().await?;
        let shown = &page[..page.len().min(PAGE)];
        let mut keys: Vec<&str> = shown
            .iter()
            .flat_map(|thread| [&thread.last_message, &thread.last_public_message])
            .flatten()
            .map(|message| message.key.as_str())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let filter = doc! { "_id": { "$in": keys }, "delivery": { "$exists": true } };
        let _: Vec<Message> = db.collection("messages").find(filter).await?.try_collect().await?;
        Ok(shown.len())
    }
}

fn micros(took: Duration) -> u64 {
    took.as_micros() as u64
}

/// Searches while messages come in: how long it takes and how far the index is behind.
async fn search(
    options: &Options,
    stack: &Stack,
    volume: &Volume,
    token: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rare = |dice: &mut rand::rngs::ThreadRng| volume.rare_words.choose(dice).cloned().unwrap_or_default();
    let common = |dice: &mut rand::rngs::ThreadRng| {
        const WORDS: [&str; 4] = ["towels", "airport", "zurich", "breakfast"];
        WORDS.choose_multiple(dice, 2).copied().collect::<Vec<_>>().join("%20")
    };
    let mut lag = histogram()?;
    for (label, by_chance) in [
        ("search, a word of one message", &rare as &dyn Fn(&mut rand::rngs::ThreadRng) -> String),
        ("search, two words of many", &common),
    ] {
        let questions: Vec<String> = {
            let mut dice = rand::rng();
            (0..options.samples / 4).map(|_| by_chance(&mut dice)).collect()
        };
        let asking = async {
            let (mut took, mut found) = (histogram()?, 0);
            for question in &questions {
                let path = format!("/chat/threads?limit={PAGE}&q={question}");
                let started = Instant::now();
                let answer = stack.ingests[0].client.call("GET", &path, Some(token), None).await?;
                took.saturating_record(micros(started.elapsed()));
                let answer = answer.expect(&[200])?.json()?;
                lag.saturating_record(answer["indexLagMs"].as_u64().context("no indexLagMs")?);
                found = answer["threads"].as_array().map_or(0, Vec::len);
                ensure!(found > 0, "a search for {question} found nothing");
            }
            anyhow::Ok((took, found))
        };
        let (took, found) = tokio::select! {
            asked = asking => asked?,
            stopped = keep_posting(stack, volume, token) => return stopped,
        };
        let ms = |p: f64| number(took.value_at_percentile(p) as f64 / 1e3);
        let mut cells = vec![label.to_owned(), found.to_string(), ms(50.0), ms(99.0)];
        cells.extend(std::iter::repeat_n("–".to_owned(), COLUMNS.len() - cells.len()));
        report.row(cells);
    }
    let [p50, p99, most] = [50.0, 99.0, 100.0].map(|p| lag.value_at_percentile(p));
    report.note(format!(
        "indexLagMs while {RATE} messages a second came in: p50 {p50}, p99 {p99}, at most {most}"
    ));
    Ok(())
}

/// Posts a message to some thread again and again; ends only with an error.
async fn keep_posting(stack: &Stack, volume: &Volume, token: &str) -> anyhow::Result<()> {
    let mut next = tokio::time::interval(Duration::from_secs(1) / RATE);
    loop {
        next.tick().await;
        // No support room: its first answer would make it somebody's.
        let thread = rand::rng().random_range(0..volume.threads / 10) * 10;
        let path = format!("/chat/threads/{}/messages", thread_id(thread));
        let body = json!({ "body": text() });
        let answer = stack.ingests[0].client.call("POST", &path, Some(token), Some(&body)).await?;
        answer.expect(&[201])?;
    }
}
