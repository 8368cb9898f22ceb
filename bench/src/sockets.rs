//! From a post to the sockets of those who may see it: agents and customers of the support desk over two ingests, with
//! all workers live, in an open loop.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::Options;
use crate::http::request_with;
use crate::load::{Meter, histogram};
use crate::report::{Report, number};
use crate::socket::{Ears, Heard, Socket, text_of};
use crate::stack::Stack;

/// Posts per second, and for how long.
const RATE: u32 = 50;
const LENGTH: Duration = Duration::from_secs(20);
/// Before the first measurement, unmeasured.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long after the last post the last socket may hear of it before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether all was heard.
const LOOK: Duration = Duration::from_millis(20);
/// Requests at once while the desk is set up.
const BUILDERS: usize = 8;
/// Connections that are open before the first post.
const CONNECTIONS: usize = 8;
/// Agents of an assigned room.
const ASSIGNED: usize = 2;
const DESK: &str = "/api/conversation-v2/support";
/// What is wanted of either way.
const P99_MS: f64 = 150.0;

/// Which rooms are posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rooms {
    /// Those of two agents each: they and the customer hear a post. Customer and agent write in turn.
    Assigned,
    /// Those that nobody has answered yet: every agent hears a post. Customers write.
    Open,
}

struct Agent {
    uid: String,
    token: String,
}

struct Customer {
    room: String,
    session: String,
    device: String,
}

/// Everybody. Sockets are numbered: the agents, then the customers. The first half of the rooms is assigned.
struct Everybody {
    support_token: String,
    agents: Vec<Agent>,
    customers: Vec<Customer>,
}

/// One post: where, by whom, and the sockets that must hear it.
struct Post {
    number: usize,
    ingest: usize,
    bytes: Vec<u8>,
    listeners: Vec<usize>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let mut stack = Stack::prepare(&options.servers, &options.settings).await?;
    stack.start_ingest(None, &[]).await?;
    stack.start_ingest(None, &[]).await?;
    stack.start_workers("").await?;
    let everybody = Everybody::gather(&stack, usize::from(options.sockets)).await?;
    let before = resident_mib(&stack)?;
    let ears = Ears::default();
    let sockets = everybody.connect(&stack, &ears).await?;
    let connected = resident_mib(&stack)?;
    let mut report = Report::new("sockets", &COLUMNS);
    let mut first = 0;
    posted(&stack, &everybody, &ears, Rooms::Assigned, WARM_UP, &mut first).await?;
    for rooms in [Rooms::Assigned, Rooms::Open] {
        let seen = posted(&stack, &everybody, &ears, rooms, LENGTH, &mut first).await?;
        describe(&mut report, rooms, &seen);
    }
    ears.check()?;
    let after = resident_mib(&stack)?;
    let each = (connected.0 - before.0) * 1024.0 / sockets.len() as f64;
    let [before, connected, now, peak] = [before.0, connected.0, after.0, after.1].map(number);
    report.note(format!(
        "{} sockets: {} agents, {} customers, evenly over two ingests; a room's posts go to one of them",
        sockets.len(),
        everybody.agents.len(),
        everybody.customers.len()
    ));
    report.note(format!(
        "resident memory of both ingests, MiB: {before} before, {connected} with the sockets ({} KiB each), {now} at \
         the end, peaks {peak}",
        number(each)
    ));
    drop(sockets);
    stack.end().await?;
    Ok(report)
}

/// Resident memory of all ingests, now and the sum of their peaks, in MiB.
fn resident_mib(stack: &Stack) -> anyhow::Result<(f64, f64)> {
    let mut sum = (0.0, 0.0);
    for ingest in &stack.ingests {
        let (now, peak) = ingest.pid()?.resident_mib();
        sum = (sum.0 + now, sum.1 + peak);
    }
    Ok(sum)
}

impl Everybody {
    /// Makes agents, and customers with their rooms: one agent for four customers.
    async fn gather(stack: &Stack, sockets: usize) -> anyhow::Result<Self> {
        let (agents_wanted, client) = ((sockets / 5).max(ASSIGNED), &stack.ingests[0].client);
        let mut agents = Vec::with_capacity(agents_wanted);
        for n in 0..agents_wanted {
            let uid = format!("agent-{n}");
            agents.push(Agent { token: stack.token(&uid, "agent").await?, uid });
        }
        let admin = stack.token("admin", "admin").await?;
        let made = client.call("POST", "/chat/support-tokens", Some(&admin), Some(&json!({}))).await?;
        let support_token = text_in(&made.expect(&[201])?.json()?, "supportToken")?;
        let customers_wanted = sockets - agents_wanted;
        let one = |n: usize| {
            let (agents, admin, support_token) = (&agents, &admin, &support_token);
            async move {
                let device = format!("device-{n}");
                let asked = json!({ "support_token": support_token, "device_id": device });
                let opened = client.call("POST", &format!("{DESK}/session"), None, Some(&asked)).await?;
                let session = opened.expect(&[201])?.json()?["session"].clone();
                let room = text_in(&session, "room_id")?;
                if n < customers_wanted / 2 {
                    let assigned: Vec<&str> = owners(n, agents.len()).map(|a| &*agents[a].uid).collect();
                    let patch = json!({ "assignedAgentIds": assigned });
                    let path = format!("/chat/threads/{room}");
                    client.call("PATCH", &path, Some(admin), Some(&patch)).await?.expect(&[200])?;
                }
                anyhow::Ok(Customer { session: text_in(&session, "support_session")?, room, device })
            }
        };
        let customers = stream::iter(0..customers_wanted).map(one).buffered(BUILDERS).try_collect().await?;
        Ok(Self { support_token, agents, customers })
    }

    async fn connect(&self, stack: &Stack, ears: &Ears) -> anyhow::Result<Vec<Socket>> {
        let agents = self.agents.iter().map(|agent| json!({ "token": agent.token }));
        let customers = self.customers.iter().map(|customer| {
            json!({
                "supportToken": self.support_token,
                "supportSession": customer.session,
                "deviceId": customer.device,
            })
        });
        let opening = stream::iter(agents.chain(customers).enumerate()).map(|(number, auth)| async move {
            let to = stack.ingests[number % stack.ingests.len()].client.address();
            Socket::open(to, number, &auth, ears).await
        });
        opening.buffered(BUILDERS).try_collect().await
    }

    /// Post number `number`, the `n`-th of its kind.
    fn post(&self, stack: &Stack, rooms: Rooms, n: usize, number: usize) -> Post {
        let assigned = self.customers.len() / 2;
        let (room, listening) = match rooms {
            Rooms::Assigned => {
                let room = n / 2 % assigned;
                (room, owners(room, self.agents.len()).collect::<Vec<_>>())
            }
            Rooms::Open => {
                let room = assigned + n % (self.customers.len() - assigned);
                (room, (0..self.agents.len()).collect())
            }
        };
        let customer = &self.customers[room];
        let by_agent = rooms == Rooms::Assigned && n % 2 == 1;
        // Half of the customers have their socket where their room is written, half at the other ingest.
        let ingest = room / 2 % stack.ingests.len();
        let to = stack.ingests[ingest].client.address();
        let body = json!({
            "room_id": customer.room, "message": { "type": "text", "content": text_of(number) },
        });
        let body = body.to_string();
        let bytes = if by_agent {
            let bearer = format!("Bearer {}", self.agents[listening[0]].token);
            let headers = [("authorization", bearer.as_str())];
            request_with("POST", to, &format!("{DESK}/message"), &headers, Some(body.as_bytes()))
        } else {
            let headers = [
                ("support-token", self.support_token.as_str()),
                ("support_session", &customer.session),
                ("device-id", &customer.device),
            ];
            request_with("POST", to, &format!("{DESK}/user/message"), &headers, Some(body.as_bytes()))
        };
        let listeners = listening.into_iter().chain([self.agents.len() + room]).collect();
        Post { number, ingest, bytes, listeners }
    }
}

/// The agents of room number `room`.
fn owners(room: usize, agents: usize) -> impl Iterator<Item = usize> {
    (room..room + ASSIGNED).map(move |n| n % agents)
}

fn text_in(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("an answer without {field}"))
}

/// What was seen of some posts.
struct Seen {
    posts: usize,
    /// From the time a post was due, in microseconds.
    heard: Histogram<u64>,
    acknowledged: Histogram<u64>,
    /// Hearings that did not happen, that happened again, or that nobody was entitled to.
    wrong: usize,
    cpu: Vec<(&'static str, f64)>,
}

/// Posts at [`RATE`] for `length` and listens; `first` is the number of the first post and of the next after it.
async fn posted(
    stack: &Stack,
    everybody: &Everybody,
    ears: &Ears,
    rooms: Rooms,
    length: Duration,
    first: &mut usize,
) -> anyhow::Result<Seen> {
    let count = (f64::from(RATE) * length.as_secs_f64()) as usize;
    let posts: Vec<Post> = (0..count).map(|n| everybody.post(stack, rooms, n, *first + n)).collect();
    for ingest in &stack.ingests {
        ingest.client.warm(CONNECTIONS).await?;
    }
    let meter = Meter::start(&stack.processes());
    let (interval, begun) = (Duration::from_secs(1) / RATE, Instant::now() + Duration::from_millis(100));
    let due = |post: usize| begun + interval * (post - *first) as u32;
    let sending = posts.iter().map(|post| async {
        let due = due(post.number);
        tokio::time::sleep_until(due.into()).await;
        stack.ingests[post.ingest].client.send(&post.bytes).await?.expect(&[200])?;
        anyhow::Ok(micros(due, Instant::now()))
    });
    let mut acknowledged = histogram()?;
    try_join_all(sending).await?.into_iter().for_each(|took| acknowledged.saturating_record(took));
    let wanted: usize = posts.iter().map(|post| post.listeners.len()).sum();
    let given_up = Instant::now() + PATIENCE;
    while ears.count() < wanted && Instant::now() < given_up {
        tokio::time::sleep(LOOK).await;
        ears.check()?;
    }
    let cpu = meter.read();
    let (mut heard, mut all) = (histogram()?, ears.take());
    all.retain(|one| one.post >= *first); // a late repetition of an earlier one
    all.iter().for_each(|one| heard.saturating_record(micros(due(one.post), one.at)));
    let seen = Seen { posts: count, heard, acknowledged, wrong: wrong(&posts, &all), cpu };
    *first += count;
    ensure!(!all.is_empty(), "no socket heard anything");
    Ok(seen)
}

fn micros(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_micros() as u64
}

/// How many hearings are missing, and how many are too many.
fn wrong(posts: &[Post], heard: &[Heard]) -> usize {
    let wanted: HashSet<(usize, usize)> =
        posts.iter().flat_map(|post| post.listeners.iter().map(|socket| (*socket, post.number))).collect();
    let seen: HashSet<(usize, usize)> = heard.iter().map(|one| (one.socket, one.post)).collect();
    (heard.len() - seen.len()) + wanted.symmetric_difference(&seen).count()
}

const COLUMNS: [&str; 9] = [
    "rooms",
    "posts",
    "heard",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "max ms",
    "acknowledged p50, p99 ms",
    "CPU ms/post: ingest + workers + mongodb + redis + elasticsearch + client",
];

fn describe(report: &mut Report, rooms: Rooms, seen: &Seen) {
    let label = match rooms {
        Rooms::Assigned => "assigned to two agents",
        Rooms::Open => "open to all agents",
    };
    let ms = |of: &Histogram<u64>, p: f64| of.value_at_percentile(p) as f64 / 1e3;
    let mut cells = vec![label.to_owned(), seen.posts.to_string(), seen.heard.len().to_string()];
    cells.extend([50.0, 90.0, 99.0, 100.0].map(|p| number(ms(&seen.heard, p))));
    cells.push([50.0, 99.0].map(|p| number(ms(&seen.acknowledged, p))).join(", "));
    let cpu = |name: &str| {
        let secs: f64 = seen.cpu.iter().filter(|(known, _)| *known == name).map(|(_, secs)| secs).sum();
        number(secs * 1e3 / seen.posts as f64)
    };
    cells.push(["ingest", "workers", "mongodb", "redis", "elasticsearch", "client"].map(cpu).join(" + "));
    report.row(cells);
    report.at_most(format!("post → socket, rooms {label}, p99 ms"), P99_MS, ms(&seen.heard, 99.0));
    report.at_most(format!("rooms {label}: hearings missing or too many"), 0.0, seen.wrong as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_twice_or_not_wanted_is_counted() {
        let post = |number, listeners| Post { number, ingest: 0, bytes: Vec::new(), listeners };
        let heard = |socket, post| Heard { socket, post, at: Instant::now() };
        let posts = [post(7, vec![0, 1]), post(8, vec![2])];
        assert_eq!(wrong(&posts, &[heard(1, 7), heard(0, 7), heard(2, 8)]), 0);
        assert_eq!(wrong(&posts, &[heard(0, 7), heard(0, 7), heard(1, 8)]), 4);
    }
}
