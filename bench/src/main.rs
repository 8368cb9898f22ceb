//! The benchmarks: our programs against raw loops on the same servers, in the same run. See docs/PERFORMANCE.md.

mod drain;
mod floor;
mod growth;
mod http;
mod latency;
mod live;
mod load;
mod memory;
mod posts;
mod process;
mod report;
mod searchable;
mod socket;
mod sockets;
mod stack;
mod town;
mod views;
mod volume;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::load::Kind;
use crate::report::Report;
use crate::stack::Servers;

/// Measures Bellhop on throw-away servers. Start it with dev/bench.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    /// What is measured; everything by default.
    names: Vec<Name>,
    #[command(flatten)]
    options: Options,
}

/// What may be changed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) servers: Servers,
    /// Rounds, in each of which ours and the raw loop take turns; medians over them are shown.
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// Length of one slice; a hot thread and live workers get twice as much.
    #[arg(long, default_value = "3s", value_parser = shared::config::parse_duration)]
    pub(crate) slice: Duration,
    /// posts: what is posted; live measures both kinds.
    #[arg(long, value_enum, default_value = "whatsapp")]
    pub(crate) kind: Kind,
    /// posts: levels of callers.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,64")]
    pub(crate) callers: Vec<usize>,
    /// posts: compare these numbers of committers; without it, the default.
    #[arg(long, value_delimiter = ',')]
    pub(crate) slots: Vec<usize>,
    /// posts: compare these settings, NAME=value;NAME=value.
    #[arg(long = "variant")]
    pub(crate) variants: Vec<String>,
    /// posts: compare these builds of ingest; without it, the one beside this program.
    #[arg(long, value_delimiter = ',')]
    pub(crate) ingest: Vec<PathBuf>,
    /// Settings of our programs, BELLHOP_NAME=value.
    #[arg(long = "set", value_parser = pair)]
    pub(crate) settings: Vec<(String, String)>,
    /// drain: messages that wait.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) waiting: usize,
    /// memory: messages that are posted.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) messages: usize,
    /// growth: stored messages at the first and at the last measurement; views: the last counts.
    #[arg(long, value_delimiter = ',', default_value = "10000,200000")]
    pub(crate) stored: Vec<usize>,
    /// latency: messages per rate.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) samples: usize,
    /// sockets: how many are connected; a fifth of them are agents.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(10..=5_000))]
    pub(crate) sockets: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// HTTP posts with the workers stopped, against raw transactions.
    Posts,
    /// HTTP posts with all workers live, against raw transactions.
    Live,
    /// Waiting messages indexed and audited, against raw bulks and inserts.
    Drain,
    /// From a post to the provider's acceptance.
    Latency,
    /// From a post until a search finds it.
    Searchable,
    /// Memory of ingest and Redis, open files.
    Memory,
    /// The cost of a message in a small and in a large store.
    Growth,
    /// From a post to the sockets of those who may see it, over two ingests.
    Sockets,
    /// Lists of messages and threads in a large store, against the same finds; search.
    Views,
}

impl Name {
    async fn run(self, options: &Options) -> anyhow::Result<Report> {
        match self {
            Name::Posts => posts::run(options).await,
            Name::Live => live::run(options).await,
            Name::Drain => drain::run(options).await,
            Name::Latency => latency::run(options).await,
            Name::Searchable => searchable::run(options).await,
            Name::Memory => memory::run(options).await,
            Name::Growth => growth::run(options).await,
            Name::Sockets => sockets::run(options).await,
            Name::Views => views::run(options).await,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("must be BELLHOP_NAME=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    cli.options.servers.check()?;
    let names = if cli.names.is_empty() { Name::value_variants().to_vec() } else { cli.names };
    for name in names {
        name.run(&cli.options).await?.publish()?;
    }
    Ok(())
}
