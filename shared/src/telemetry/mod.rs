//! What a running program tells: logs, metrics, and the id that ties a request to its jobs.

mod logs;
mod metrics;
mod process;
mod request_id;

pub use logs::{LogGuard, init_logs};
pub use metrics::{init_metrics, render};
pub use request_id::RequestId;

use crate::config::Log;

/// Starts logs and metrics of a program; the first call counts. Keep the guard until the end of `main`.
pub fn init(config: &Log) -> LogGuard {
    init_metrics();
    init_logs(config)
}
