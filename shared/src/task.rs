//! The one place where tasks are spawned, so that each carries its caller's span and a name in the logs.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Runs `future` on the runtime as a task called `name`, inside the caller's tracing span.
///
/// The handle may be dropped: the task goes on.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the ban points to")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tracing::trace!(task.name = name, "spawn");
    tokio::spawn(future.in_current_span())
}
