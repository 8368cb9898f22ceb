//! Figures of this process, read from `/proc` when metrics are rendered (nothing where there is none).

use std::fs;

/// Sets `process_resident_memory_bytes`, `process_threads`, `process_open_fds`.
pub(super) fn record() {
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        if let Some(kib) = field(&status, "VmRSS:") {
            metrics::gauge!("process_resident_memory_bytes").set(kib * 1024.0);
        }
        if let Some(threads) = field(&status, "Threads:") {
            metrics::gauge!("process_threads").set(threads);
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the listing itself.
        metrics::gauge!("process_open_fds").set(entries.count().saturating_sub(1) as f64);
    }
}

/// The number behind `name` in a file of `name value [unit]` lines.
fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
