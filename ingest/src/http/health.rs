//! `/healthz` (alive) and `/readyz` (each dependency): without detail on the public port, with it on the
//! admin port. Only a needed dependency, or a stop under way, makes ready answer 503.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// How long a dependency may take to answer.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// How long an answer is used again, so that health checks put no load on the servers.
const KEPT: Duration = Duration::from_secs(1);

type Probe = Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

struct Dependency {
    name: &'static str,
    needed: bool,
    probe: Probe,
}

/// The dependencies of the process and whether it is stopping.
#[derive(Default)]
pub struct Health {
    dependencies: Vec<Dependency>,
    stopping: AtomicBool,
    last: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.dependencies.iter().map(|dependency| dependency.name).collect();
        f.debug_struct("Health").field("dependencies", &names).finish_non_exhaustive()
    }
}

/// The outcome of asking all dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether requests can be served.
    pub ready: bool,
    /// Each dependency and whether it answers.
    pub dependencies: Vec<(&'static str, bool)>,
}

impl Report {
    /// `{ready, dependencies: {name: "ok" | "away"}}`, for the admin port.
    pub fn to_json(&self) -> Value {
        let state = |up: bool| Value::from(if up { "ok" } else { "away" });
        let dependencies: Map<String, Value> =
            self.dependencies.iter().map(|(name, up)| ((*name).to_owned(), state(*up))).collect();
        json!({ "ready": self.ready, "dependencies": dependencies })
    }
}

impl Health {
    /// Adds a dependency; without a `needed` one the process is not ready.
    #[must_use]
    pub fn with<F>(
        mut self,
        name: &'static str,
        needed: bool,
        probe: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.dependencies.push(Dependency { name, needed, probe: Box::new(move || probe().boxed()) });
        self
    }

    /// Not ready from now on, so that load balancers send no more requests.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Asks every dependency, or repeats the last answer if it is fresh.
    pub async fn report(&self) -> Arc<Report> {
        let kept = self.last.lock().clone().filter(|(at, _)| at.elapsed() < KEPT);
        let report = match kept {
            Some((_, report)) => report,
            None => {
                let report = Arc::new(self.ask().await);
                *self.last.lock() = Some((Instant::now(), Arc::clone(&report)));
                report
            }
        };
        match self.stopping.load(Ordering::Acquire) {
            true => Arc::new(Report { ready: false, ..(*report).clone() }),
            false => report,
        }
    }

    async fn ask(&self) -> Report {
        let asked = self.dependencies.iter().map(|dependency| async move {
            let answer = tokio::time::timeout(PROBE_MAX, (dependency.probe)()).await;
            let up = matches!(answer, Ok(Ok(())));
            metrics::gauge!("dependency_up", "dependency" => dependency.name).set(f64::from(u8::from(up)));
            (dependency, up)
        });
        let answers = join_all(asked).await;
        Report {
            ready: answers.iter().all(|(dependency, up)| *up || !dependency.needed),
            dependencies: answers.iter().map(|(dependency, up)| (dependency.name, *up)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_needed_dependency_makes_unready() {
        let up = || async { Ok(()) };
        let away = || async { Err(anyhow::anyhow!("connection refused at canary")) };
        let hangs = || std::future::pending();
        let health =
            Health::default().with("mongodb", true, up).with("redis", false, away).with("es", false, hangs);
        let report = health.report().await;
        assert!(report.ready);
        assert_eq!(
            report.to_json().to_string(),
            r#"{"ready":true,"dependencies":{"mongodb":"ok","redis":"away","es":"away"}}"#
        );
        health.stop();
        assert!(!health.report().await.ready);
        assert!(!Health::default().with("mongodb", true, away).report().await.ready);
    }
}
