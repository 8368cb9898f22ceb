//! Several workers processes at once, each of which can be killed and replaced.

use std::process::Child;

use super::{Programs, free_address, spawn};

/// One process of workers; dropping it kills it.
pub struct Worker {
    child: Child,
}

impl Programs {
    /// Starts one more process of workers for all queues, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn hire(&self) -> Worker {
        let listen = free_address();
        let mut child = self.program("workers", "run");
        child.env("BELLHOP_WORKERS__LISTEN", &listen);
        let worker = Worker { child: spawn(child) };
        self.ready(&format!("http://{listen}/readyz"), "a workers process").await;
        worker
    }

    /// Sends `signal` (`HUP`, `STOP` …) to the workers that [`Programs::start_workers`] started.
    ///
    /// # Panics
    /// When they do not run.
    pub fn signal_workers(&self, signal: &str) {
        let id = self.workers.as_ref().expect("the workers run").id().to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status();
        assert!(sent.expect("kill runs").success(), "{signal} reached nobody");
    }

    /// Whether the workers that [`Programs::start_workers`] started still run.
    ///
    /// # Panics
    /// When their state cannot be asked for.
    pub fn workers_run(&mut self) -> bool {
        self.workers.as_mut().is_some_and(|child| child.try_wait().expect("a status").is_none())
    }
}

impl Worker {
    /// Kills it as `kill -9` does.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
