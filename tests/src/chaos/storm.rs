//! A storm: messages on many threads while the providers misbehave by seed and workers are killed again and again.
//!
//! Then everything is compared: what the product says, what its ledger says, and what the simulator accepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use futures::future::join_all;
use mongodb::bson::{Document, doc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use super::verdict::{self, Said};
use crate::app::{Programs, Worker};
use crate::simulator::{Accepted, Action, Answer, FaultRule, Provider};

/// How many posts are under way at once.
const POSTERS: usize = 8;
/// Workers processes at once.
const CREW: usize = 2;

/// What happens.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Draws the faults and the kills.
    pub seed: u64,
    pub messages: usize,
    pub threads: usize,
    /// Without it nothing fails and nobody is killed.
    pub faults: bool,
    /// A worker is killed after so many milliseconds, drawn from this range each time.
    pub kill_after_ms: (u64, u64),
    /// Posts per second in all; 0 = as fast as they are taken.
    pub rate: u32,
    /// How long everything may take after the last post.
    pub patience: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            messages: 2_000,
            threads: 200,
            faults: true,
            kill_after_ms: (1_500, 4_000),
            rate: 100,
            patience: Duration::from_secs(600),
        }
    }
}

/// What was seen.
#[derive(Debug)]
pub struct Outcome {
    pub posted: usize,
    pub accepted: usize,
    pub delivered: usize,
    /// Held for an operator: whether they were sent nobody can know.
    pub held: usize,
    pub duplicates: usize,
    pub kills: usize,
    pub faults: u64,
    /// Accepted messages per second, from the first post to the last acceptance.
    pub rate: f64,
    /// From the answer to a post to the acceptance at the provider.
    pub p50_ms: i64,
    pub p99_ms: i64,
    /// From the last post until nothing was left to do.
    pub settled: Duration,
    /// After each kill: until the next message was accepted.
    pub recovered: Vec<Duration>,
    /// What is not as it must be; empty when all is well.
    pub wrong: Vec<String>,
}

/// One message that was posted.
struct Post {
    id: String,
    thread: String,
    answered: DateTime<Utc>,
}

/// Runs the plan on servers of `BELLHOP_TEST_…`.
///
/// # Errors
/// When the product does not come to rest in time; what is merely wrong stands in the outcome.
pub async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut programs = Programs::new(&[("BELLHOP_DELIVERY__UNKNOWN_POLICY", "hold")]).await;
    misbehave(&programs, plan);
    programs.start_ingest(None).await;
    let mut threads = Vec::with_capacity(plan.threads);
    for n in 0..plan.threads {
        threads.push(programs.whatsapp_thread(&format!("+41791{n:06}")).await);
    }
    let mut crew = Vec::with_capacity(CREW);
    for _ in 0..CREW {
        crew.push(programs.hire().await);
    }
    let calm = AtomicBool::new(!plan.faults);
    let begun = Utc::now();
    let (posts, kills) = tokio::join!(
        async {
            let posts = post_all(&programs, plan, &threads).await;
            calm.store(true, Ordering::Relaxed);
            posts
        },
        kill_again_and_again(&programs, plan, &calm, &mut crew),
    );
    let posted_all = Instant::now();
    settle(&programs, plan.patience).await?;
    let settled = posted_all.elapsed();
    let said = what_it_says(&programs).await?;
    Ok(report(&programs, plan, &posts, &said, kills, settled, begun))
}

/// The faults of the simulator, all drawn from the seed.
fn misbehave(programs: &Programs, plan: &Plan) {
    let simulator = &programs.simulator;
    simulator.configure(|settings| {
        settings.magic = false;
        settings.statuses.sent_ms = 50;
        settings.statuses.delivered_ms = 200;
    });
    if !plan.faults {
        return;
    }
    let seed = plan.seed;
    simulator.configure(|settings| {
        let statuses = &mut settings.statuses;
        (statuses.copies, statuses.shuffle_seed, statuses.batch) = (2, Some(seed), 4);
        (statuses.late_percent, statuses.late_ms, statuses.seed) = (5, 1_500, seed);
    });
    let often = [
        (0.05, Action::AcceptReset),
        (0.03, Action::ResetBefore),
        (0.05, Action::Answer(Answer::status(429).with_retry_after("1"))),
        (0.05, Action::Answer(Answer::code(131_016))),
        (0.02, Action::Answer(Answer::status(500))),
        (0.02, Action::AcceptAnswer(Answer::status(500))),
        (0.03, Action::Delay { ms: 400 }),
    ];
    for (n, (probability, action)) in often.into_iter().enumerate() {
        let rule = FaultRule::on(Provider::Whatsapp, action);
        simulator.fault(rule.probability(probability, seed.wrapping_mul(31).wrapping_add(n as u64)));
    }
}

/// Posts the messages of all threads; those of one thread one after the other.
async fn post_all(programs: &Programs, plan: &Plan, threads: &[String]) -> Vec<Post> {
    let begun = Instant::now();
    let posters = (0..POSTERS).map(|poster| async move {
        let mut posts = Vec::new();
        for n in 0..plan.messages {
            let place = n % threads.len();
            if place % POSTERS != poster {
                continue;
            }
            if plan.rate > 0 {
                let due = begun + Duration::from_secs_f64(n as f64 / f64::from(plan.rate));
                tokio::time::sleep_until(due.into()).await;
            }
            let (id, thread) = (format!("m{n:06}"), threads[place].clone());
            let body =
                json!({ "messageId": id, "body": format!("text of {id}"), "type": "whatsapp-message" });
            programs.call("POST", &format!("/chat/threads/{thread}/messages"), &body).await;
            posts.push(Post { id, thread, answered: Utc::now() });
        }
        posts
    });
    join_all(posters).await.into_iter().flatten().collect()
}

/// Kills one of the crew now and then and starts another in its place; answers when.
async fn kill_again_and_again(
    programs: &Programs,
    plan: &Plan,
    calm: &AtomicBool,
    crew: &mut Vec<Worker>,
) -> Vec<DateTime<Utc>> {
    let mut dice = StdRng::seed_from_u64(plan.seed ^ 0x6b69_6c6c);
    let mut kills = Vec::new();
    while !calm.load(Ordering::Relaxed) {
        let (least, most) = plan.kill_after_ms;
        tokio::time::sleep(Duration::from_millis(dice.random_range(least..=most))).await;
        let unlucky = dice.random_range(0..crew.len());
        crew.swap_remove(unlucky).kill();
        kills.push(Utc::now());
        crew.push(programs.hire().await);
    }
    kills
}

/// Waits until nothing is queued or running, every grace is over, and every webhook was taken.
async fn settle(programs: &Programs, patience: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    let busy = doc! { "$or": [
        { "state": { "$in": ["queued", "running"] } },
        { "state": "unknown", "graceUntil": { "$exists": true } },
    ] };
    loop {
        let left = programs.count("jobs", busy.clone()).await;
        if left == 0 && all_told(programs) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let shown: Vec<String> =
                programs.jobs(busy).await.iter().take(5).map(|job| format!("{job:?}")).collect();
            bail!("{left} jobs were left after {patience:?}: {}", shown.join("; "));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether each status of each accepted message was taken as often as it is posted.
fn all_told(programs: &Programs) -> bool {
    let mut copies = 1;
    programs.simulator.configure(|settings| copies = settings.statuses.copies as usize);
    let taken = programs.simulator.webhooks().iter().filter(|one| one.answer == Some(200)).count();
    taken >= programs.simulator.accepted_count() * 2 * copies
}

/// What the product says of every message.
async fn what_it_says(programs: &Programs) -> anyhow::Result<BTreeMap<String, Said>> {
    let messages = programs.store().raw().collection::<Document>("messages");
    let all: Vec<Document> = messages.find(doc! {}).await?.try_collect().await?;
    all.iter()
        .map(|message| {
            let id = message.get_str("_id").context("an id")?.rsplit('/').next().unwrap_or_default();
            let state = message.get_document("delivery").context("a delivery")?.get_str("state")?;
            let seq = message.get_i64("seq").or_else(|_| message.get_i32("seq").map(i64::from))?;
            Ok((id.to_owned(), Said { state: state.to_owned(), seq }))
        })
        .collect()
}

fn report(
    programs: &Programs,
    plan: &Plan,
    posts: &[Post],
    said: &BTreeMap<String, Said>,
    kills: Vec<DateTime<Utc>>,
    settled: Duration,
    begun: DateTime<Utc>,
) -> Outcome {
    let accepted = programs.simulator.accepted();
    let first: BTreeMap<&str, &Arc<Accepted>> =
        accepted.iter().rev().filter_map(|one| Some((id_of(one)?, one))).collect();
    let mut delays: Vec<i64> = posts
        .iter()
        .filter_map(|post| Some((first.get(post.id.as_str())?.at - post.answered).num_milliseconds().max(0)))
        .collect();
    delays.sort_unstable();
    let percentile = |share: usize| delays.get(delays.len().saturating_sub(1) * share / 100).copied();
    let until = accepted.last().map_or(begun, |last| last.at);
    let seconds = (until - begun).num_milliseconds().max(1) as f64 / 1e3;
    let recovered = kills.iter().filter_map(|kill| {
        let next = accepted.iter().find(|one| one.at > *kill)?;
        (next.at - *kill).to_std().ok()
    });
    let threads: Vec<(&str, &str)> =
        posts.iter().map(|post| (post.id.as_str(), post.thread.as_str())).collect();
    Outcome {
        posted: posts.len(),
        accepted: first.len(),
        delivered: said.values().filter(|one| verdict::has_arrived(&one.state)).count(),
        held: said.values().filter(|one| one.state == "unknown").count(),
        duplicates: programs.simulator.duplicates().len(),
        kills: kills.len(),
        faults: programs.simulator.faults().iter().map(|fault| fault.acted).sum(),
        rate: first.len() as f64 / seconds,
        p50_ms: percentile(50).unwrap_or_default(),
        p99_ms: percentile(99).unwrap_or_default(),
        settled,
        recovered: recovered.collect(),
        wrong: verdict::judge(plan.messages, &threads, said, &accepted),
    }
}

/// The message that was sent, by its text.
pub(super) fn id_of(accepted: &Accepted) -> Option<&str> {
    accepted.body.strip_prefix("text of ")
}

impl Outcome {
    /// Fails with everything that is wrong.
    ///
    /// # Errors
    /// When something is.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.wrong.is_empty(), "{} things are wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
        Ok(())
    }

    /// A line of the table of docs/RELIABILITY.md; [`HEAD`] is its head.
    pub fn row(&self, name: &str) -> String {
        let mut recovered = self.recovered.clone();
        recovered.sort_unstable();
        let worst =
            recovered.last().map_or("–".to_owned(), |worst| format!("{:.1} s", worst.as_secs_f64()));
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {:.0}/s | {} ms | {} ms | {worst} | {:.1} s |",
            self.posted,
            self.faults,
            self.kills,
            self.accepted,
            self.delivered,
            self.held,
            self.duplicates,
            self.rate,
            self.p50_ms,
            self.p99_ms,
            self.settled.as_secs_f64(),
        )
    }
}

/// The head of the table that [`Outcome::row`] fills.
pub const HEAD: &str = "| run | posted | faults | kills | accepted | delivered | held | duplicates | rate | p50 | p99 \
    | longest silence after a kill | at rest after the last post |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|";
