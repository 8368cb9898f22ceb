//! `dev/chaos`: the same messages in calm and in a storm drawn from a seed, as a table for docs/RELIABILITY.md.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::chaos::storm::{HEAD, Plan, run};

/// Sends messages while providers misbehave and workers are killed, and checks that the product told the truth.
#[derive(Parser)]
#[command(name = "chaos", version)]
struct Flags {
    /// Draws the faults and the kills; the same seed draws the same. Random unless set.
    #[arg(long)]
    seed: Option<u64>,
    /// Messages in all.
    #[arg(long, default_value_t = 2_000)]
    messages: usize,
    /// Threads, each with a recipient of its own.
    #[arg(long, default_value_t = 200)]
    threads: usize,
    /// Posts per second; 0 = as fast as they are taken.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Only the storm, without the calm run before it.
    #[arg(long)]
    storm_only: bool,
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let seed = flags.seed.unwrap_or_else(rand::random);
    println!("seed {seed}; again with: dev/chaos --seed {seed}\n\n{HEAD}");
    let mut all_well = true;
    for (name, faults) in [("calm", false), ("storm", true)] {
        if flags.storm_only && !faults {
            continue;
        }
        let plan = Plan {
            seed,
            messages: flags.messages,
            threads: flags.threads,
            rate: flags.rate,
            faults,
            patience: Duration::from_secs(600),
            ..Plan::default()
        };
        match run(&plan).await {
            Ok(outcome) => {
                println!("{}", outcome.row(name));
                if let Err(wrong) = outcome.check() {
                    println!("\n{wrong}");
                    all_well = false;
                }
            }
            Err(error) => {
                println!("\n{name}: {error:#}");
                all_well = false;
            }
        }
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
