//! The `ingest` program: `serve`, `token`, `openapi`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ingest::auth::{TokenRequest, issue};
use ingest::{App, openapi};
use shared::config::Config;
use shared::domain::actor::Role;
use shared::domain::ids::{AccountId, Uid};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes messages in: HTTP API, webhooks, sockets.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// The configuration file; without it, bellhop.toml in this folder if there is one.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT.
    Serve,
    /// Prints a token for development, signed with BELLHOP_AUTH__HS256_SECRET.
    Token(TokenArgs),
    /// Prints the OpenAPI document.
    Openapi,
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// The account.
    #[arg(long, value_parser = |text: &str| AccountId::parse(text))]
    account: AccountId,
    /// The user.
    #[arg(long, value_parser = |text: &str| Uid::parse(text))]
    sub: Uid,
    /// What the user is.
    #[arg(long)]
    role: RoleArg,
    /// The agent's conversation; without it, the user's id.
    #[arg(long, value_parser = |text: &str| Uid::parse(text))]
    conversation: Option<Uid>,
    /// The display name.
    #[arg(long)]
    name: Option<String>,
    /// How long it is valid, such as 15m or 1h.
    #[arg(long, default_value = "1h", value_parser = shared::config::parse_duration)]
    ttl: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    Agent,
    Admin,
    Guest,
    Service,
    Operator,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Agent => Self::Agent,
            RoleArg::Admin => Self::Admin,
            RoleArg::Guest => Self::Guest,
            RoleArg::Service => Self::Service,
            RoleArg::Operator => Self::Operator,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    if let Command::Openapi = cli.command {
        return print(openapi::spec());
    }
    let config = Config::from_process(cli.config.as_deref())?;
    match cli.command {
        Command::Serve => serve(config).await,
        Command::Token(args) => {
            let request = TokenRequest {
                account: args.account,
                uid: args.sub,
                role: args.role.into(),
                conversation: args.conversation,
                name: args.name,
                ttl: args.ttl,
            };
            print(&format!("{}\n", issue(&config.auth, &request)?))
        }
        Command::Openapi => Ok(()),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")
}

async fn serve(config: Config) -> anyhow::Result<()> {
    config.check_ingest()?;
    let _logs = shared::telemetry::init(&config.log);
    if shared::failpoint::armed() {
        tracing::warn!("failpoints are armed");
    }
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let running = App::new(config).await?.start().await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}
