//! Failpoints: named places where a test makes the process die, hang, fail or wait.
//!
//! They are compiled in and armed by the environment variable `FP`, read once:
//! `FP=commit.inside:abort,send.after:sleep(500):after=3:times=1`. Unarmed, a place costs one load.
//! `shared::config` refuses to start with `FP` set unless the public URL is loopback.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The environment variable that arms failpoints.
pub const VARIABLE: &str = "FP";

/// What an armed failpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process dies at once, as by kill -9.
    Abort,
    /// The caller never goes on.
    Hang,
    /// [`try_hit`] fails; [`hit`] panics.
    Err,
    /// The caller waits.
    Sleep(Duration),
}

/// One armed failpoint.
#[derive(Debug)]
pub struct Point {
    action: Action,
    /// Passes that do nothing first.
    after: u64,
    /// Passes that act then.
    times: u64,
    passes: AtomicU64,
}

impl Point {
    fn next(&self) -> Option<Action> {
        let pass = self.passes.fetch_add(1, Ordering::Relaxed);
        let acts = pass >= self.after && pass - self.after < self.times;
        acts.then_some(self.action)
    }
}

/// The failure that an armed failpoint injects.
#[derive(Debug, thiserror::Error)]
#[error("failpoint {0}")]
pub struct Injected(pub &'static str);

/// Reads a specification: `name:action[:after=n][:times=n]`, several with commas.
///
/// # Errors
/// A text that says what is wanted.
pub fn parse(spec: &str) -> Result<HashMap<String, Point>, String> {
    const WANTED: &str = "must be name:abort|hang|err|sleep(ms)[:after=n][:times=n], several with commas";
    let mut points = HashMap::new();
    for entry in spec.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let mut parts = entry.split(':');
        let name = parts.next().filter(|name| !name.is_empty()).ok_or(WANTED)?;
        let action = match parts.next().ok_or(WANTED)? {
            "abort" => Action::Abort,
            "hang" => Action::Hang,
            "err" => Action::Err,
            other => {
                let ms =
                    other.strip_prefix("sleep(").and_then(|rest| rest.strip_suffix(')')).ok_or(WANTED)?;
                Action::Sleep(Duration::from_millis(ms.parse().map_err(|_| WANTED)?))
            }
        };
        let mut point = Point { action, after: 0, times: u64::MAX, passes: AtomicU64::new(0) };
        for option in parts {
            let (key, value) = option.split_once('=').ok_or(WANTED)?;
            let value = value.parse().map_err(|_| WANTED)?;
            match key {
                "after" => point.after = value,
                "times" => point.times = value,
                _ => return Err(WANTED.into()),
            }
        }
        points.insert(name.to_owned(), point);
    }
    Ok(points)
}

#[expect(clippy::disallowed_methods, reason = "failpoints are armed before any configuration is read")]
static ARMED: LazyLock<Option<HashMap<String, Point>>> = LazyLock::new(|| {
    let points = parse(&std::env::var(VARIABLE).ok()?).ok()?;
    Some(points).filter(|points| !points.is_empty())
});

/// Whether any failpoint is armed in this process.
pub fn armed() -> bool {
    ARMED.is_some()
}

/// Passes the failpoint `name`, where the caller cannot fail: an injected error is a panic here.
///
/// # Panics
/// When armed with `err`.
pub async fn hit(name: &'static str) {
    if let Err(injected) = try_hit(name).await {
        panic!("{injected}");
    }
}

/// Passes the failpoint `name`.
///
/// # Errors
/// When armed with `err`.
pub async fn try_hit(name: &'static str) -> Result<(), Injected> {
    match ARMED.as_ref() {
        None => Ok(()),
        Some(points) => act(points, name).await,
    }
}

async fn act(points: &HashMap<String, Point>, name: &'static str) -> Result<(), Injected> {
    let Some(action) = points.get(name).and_then(Point::next) else { return Ok(()) };
    tracing::warn!(failpoint.name = name, ?action, "failpoint {name} acts");
    match action {
        Action::Abort => std::process::abort(),
        Action::Hang => std::future::pending().await,
        Action::Err => Err(Injected(name)),
        Action::Sleep(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn armed_points_act_in_their_window_only() {
        let points = parse("a:err:after=1:times=2, b:sleep(1)").unwrap();
        let mut failed = Vec::new();
        for _ in 0..4 {
            failed.push(act(&points, "a").await.is_err());
        }
        assert_eq!(failed, [false, true, true, false]);
        assert!(act(&points, "b").await.is_ok() && act(&points, "other").await.is_ok());
        assert!(try_hit("unarmed").await.is_ok() && !armed());
    }

    #[test]
    fn bad_specifications_are_refused() {
        for bad in ["a", "a:", ":abort", "a:explode", "a:sleep", "a:sleep(x)", "a:err:after", "a:err:x=1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(" , ").unwrap().is_empty());
    }
}
