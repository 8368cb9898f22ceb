//! Many callers, one command: what waits while the last command is in flight goes out together in the next.
//!
//! A lone caller is served at once, and the batch grows with the load. Where nobody waits for the outcome, a command
//! that found little to do may be followed by a rest, so that the next finds more.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// A command with fewer keys than this is followed by the rest.
const FEW: usize = 32;

/// After which a command without an answer is given up: those behind it must not wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gathers calls. Clones share one task, which ends when the last clone is dropped.
#[derive(Debug)]
pub struct Coalescer<K, V> {
    waiting: mpsc::Sender<(K, oneshot::Sender<V>)>,
}

impl<K, V> Clone for Coalescer<K, V> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone() }
    }
}

/// There is no answer: the command took too long, or the process is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer in time, or the process is stopping")]
pub struct Closed;

impl<K: Send + 'static, V: Send + 'static> Coalescer<K, V> {
    /// Starts a task that calls `command` with up to `max` keys; it must answer one value per key, in order.
    pub fn start<F, Fut>(name: &'static str, max: usize, command: F) -> Self
    where
        F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<V>> + Send + 'static,
    {
        Self::resting(name, max, Duration::ZERO, command)
    }

    /// As [`Coalescer::start`], with a pause of `rest` after a command that had few keys.
    pub fn resting<F, Fut>(name: &'static str, max: usize, rest: Duration, command: F) -> Self
    where
        F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<V>> + Send + 'static,
    {
        let (waiting, mut inbox) = mpsc::channel::<(K, oneshot::Sender<V>)>(max * 4);
        let command = Arc::new(command);
        crate::task::spawn(name, async move {
            let mut batch = Vec::with_capacity(max);
            while inbox.recv_many(&mut batch, max).await > 0 {
                let (keys, answers): (Vec<K>, Vec<_>) = batch.drain(..).unzip();
                metrics::histogram!("coalesced_calls", "command" => name).record(keys.len() as f64);
                let few = keys.len() < FEW;
                let Ok(values) = tokio::time::timeout(PATIENCE, command(keys)).await else {
                    tracing::warn!(command = name, "no answer in time");
                    continue;
                };
                for (value, answer) in values.into_iter().zip(answers) {
                    // A caller that went away needs no answer.
                    let _ = answer.send(value);
                }
                if few && !rest.is_zero() {
                    tokio::time::sleep(rest).await;
                }
            }
        });
        Self { waiting }
    }

    /// The value for `key`.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn call(&self, key: K) -> Result<V, Closed> {
        let (answer, value) = oneshot::channel();
        self.waiting.send((key, answer)).await.map_err(|_| Closed)?;
        value.await.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_waits_goes_out_together_and_each_caller_gets_its_own_answer() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let doubled = Coalescer::start("double", 100, |keys: Vec<usize>| async move {
            CALLS.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            keys.into_iter().map(|k| k * 2).collect()
        });
        let answers = futures::future::join_all((0..100).map(|k| doubled.call(k))).await;
        assert!(answers.into_iter().enumerate().all(|(k, v)| v == Ok(k * 2)));
        assert!(CALLS.load(Ordering::SeqCst) < 20, "{CALLS:?} commands for 100 calls");
    }
}
