//! Reads the file of `delivery.error_classes` again while the workers run: on SIGHUP, and when it changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use shared::providers::Classes;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Between two looks at the file.
const LOOK: Duration = Duration::from_secs(2);

/// What tells one version of a file from another: a file that an editor or a config map puts in its place has
/// another time or length; none where it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version(Option<(SystemTime, u64)>);

/// Begins to watch the file until `stop`; nothing where none is configured, and SIGHUP then does what it did before.
pub(crate) fn keep_fresh(ctx: &Context, stop: &CancellationToken) {
    let Some(path) = ctx.config.delivery.error_classes.clone() else { return };
    // Here and not in the task: from now on SIGHUP ends nothing.
    let hang_up = signal(SignalKind::hangup()).inspect_err(|error| {
        tracing::error!(%error, "SIGHUP is not heard; error classes are read again when their file changes");
    });
    let watching = watch(Arc::clone(&ctx.providers.classes), path, hang_up, stop.clone());
    shared::task::spawn("error-classes", watching);
}

async fn watch(
    classes: Arc<Classes>,
    path: PathBuf,
    mut hang_up: std::io::Result<Signal>,
    stop: CancellationToken,
) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first look is at once: the file may have changed since it was loaded.
    let mut seen = Version(None);
    while let Some(asked) = next(&mut hang_up, &mut look, &stop).await {
        let now = Version::of(&path);
        if asked || now != seen {
            seen = now;
            reload(&classes);
        }
    }
}

/// Whether somebody asks for a reload now, or it is time for a look; `None` at the end.
async fn next(
    hang_up: &mut std::io::Result<Signal>,
    look: &mut Interval,
    stop: &CancellationToken,
) -> Option<bool> {
    let asked = async {
        match hang_up {
            Ok(signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = asked => Some(true),
        _ = look.tick() => Some(false),
        () = stop.cancelled() => None,
    }
}

fn reload(classes: &Classes) {
    let result = match classes.reload() {
        Ok(rules) => {
            tracing::info!(rules, "error classes were read again");
            "taken"
        }
        Err(error) => {
            tracing::error!(%error, "error classes were not read again; those in force stay");
            "refused"
        }
    };
    metrics::counter!("error_classes_reload_total", "result" => result).increment(1);
}

impl Version {
    fn of(path: &Path) -> Self {
        let about = std::fs::metadata(path).ok();
        Self(about.and_then(|about| Some((about.modified().ok()?, about.len()))))
    }
}
