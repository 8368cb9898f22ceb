//! `workers rotate-secrets`: seals every stored secret anew under the current key, with progress.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use shared::config::Config;
use shared::secrets::Vault;
use shared::secrets::rotation::{Count, Rotation, rotate};
use shared::store::Store;
use tokio_util::sync::CancellationToken;

/// Between two lines of progress.
const LINE_PAUSE: Duration = Duration::from_secs(5);

/// How to tell of it.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// For machines: one object at the end, and no progress.
    #[arg(long)]
    json: bool,
}

/// Rotates until the end or `stop`, and prints what was done.
///
/// # Errors
/// When there is no current key, MongoDB is away, it was stopped, or something is left under an old key.
pub async fn rotate_secrets(
    config: &Config,
    args: RotateArgs,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let store = Store::connect(&config.mongodb).await.context("prepare mongodb")?;
    let mut last = Instant::now();
    let done = rotate(&store, &Vault::new(&config.keys), &stop, |done| {
        if !args.json && last.elapsed() >= LINE_PAUSE {
            last = Instant::now();
            // Nobody may be reading; the work goes on.
            let _ = writeln!(std::io::stderr(), "{}", shown(done));
        }
    })
    .await?;
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&done)?)?,
        false => writeln!(out, "{}", shown(&done))?,
    }
    anyhow::ensure!(done.complete, "stopped; run it again to go on");
    anyhow::ensure!(
        done.is_clean(),
        "some secrets are left under an old key, so keep the old keys; see the log"
    );
    Ok(())
}

fn shown(done: &Rotation) -> String {
    let line = |name: &str, count: &Count| {
        let Count { seen, sealed, unreadable, overtaken } = count;
        format!(
            "{name}: {seen} seen, {sealed} secrets sealed, {unreadable} unreadable, {overtaken} overtaken"
        )
    };
    format!("{}\n{}", line("channels", &done.channels), line("support tokens", &done.support_tokens))
}
