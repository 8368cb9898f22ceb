//! The `workers` program: run the workers, and look after them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use shared::config::Config;
use shared::queue::Queue;
use tokio_util::sync::CancellationToken;
use workers::run::{Options, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bellhop's workers: everything that follows a commit.
#[derive(Debug, Parser)]
#[command(name = "workers", version)]
struct Cli {
    /// Configuration file, under the environment.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work through queues until SIGTERM or SIGINT.
    Run(RunArgs),
    /// Show the audit trail, newest first.
    Audit(workers::trail::AuditArgs),
    /// Fill the search indices anew from MongoDB while everything goes on. Killed or stopped, it goes on from there
    /// when it is run again.
    Reindex(workers::reindex::ReindexArgs),
    /// Seal every stored secret anew under the current secrets_key, while everything goes on. Stopped, it goes on from
    /// there when it is run again.
    RotateSecrets(workers::rotation::RotateArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Queues of this process, with commas; all by default.
    #[arg(long, value_delimiter = ',')]
    queues: Vec<Queue>,
    /// Jobs at once, as queue=number with commas; the configuration's by default.
    #[arg(long, value_delimiter = ',', value_parser = concurrency)]
    concurrency: Vec<(Queue, usize)>,
}

fn concurrency(text: &str) -> Result<(Queue, usize), String> {
    let (queue, number) = text.split_once('=').ok_or("must be queue=number")?;
    let queue = queue.parse::<Queue>().map_err(|e| e.to_string())?;
    let number =
        number.parse().ok().filter(|n| (1..=4096).contains(n)).ok_or("must be a number from 1 to 4096")?;
    Ok((queue, number))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::from_process(cli.config.as_deref()) {
        Ok(config) => Arc::new(config),
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    match runtime.block_on(perform(cli.command, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(command: Command, config: Arc<Config>) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => {
            let _logs = shared::telemetry::init(&config.log);
            let options = Options {
                queues: args.queues,
                concurrency: args.concurrency.into_iter().collect::<BTreeMap<_, _>>(),
            };
            run(config, options, stop_on_signals()).await
        }
        Command::Audit(args) => workers::trail::audit(&config, args).await,
        Command::Reindex(args) => {
            let _logs = shared::telemetry::init(&config.log);
            workers::reindex::reindex(&config, args, stop_on_signals()).await
        }
        Command::RotateSecrets(args) => {
            let _logs = shared::telemetry::init(&config.log);
            workers::rotation::rotate_secrets(&config, args, stop_on_signals()).await
        }
    }
}

/// Cancelled by SIGTERM and SIGINT.
fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    shared::task::spawn("signals", async move {
        until_signalled().await;
        tracing::info!("stopping");
        signalled.cancel();
    });
    stop
}

async fn until_signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
}
