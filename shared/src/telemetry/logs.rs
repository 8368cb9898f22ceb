//! Log lines go through a bounded queue to a thread of their own, so that a full disk, a closed pipe or
//! a reader that has stopped never panics and never holds up a request; lines that do not fit are counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Lines that may wait for a slow reader.
const QUEUE_MAX: usize = 8192;

/// How long a program that ends waits for its last lines to be written.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Writes the waiting lines when it is dropped.
#[must_use = "the last lines are written when this is dropped"]
pub struct LogGuard {
    lines: Option<Lines>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let Some(lines) = &self.lines else { return };
        let end = Instant::now() + FLUSH_MAX;
        while lines.waiting.load(Ordering::Acquire) > 0 && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts logging to standard error; a second call changes nothing.
///
/// Also replaces the panic hook: a panic is logged with its place but not with its text, which may hold
/// a piece of a message.
pub fn init_logs(config: &Log) -> LogGuard {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = Lines::start(io::stderr());
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).log_internal_errors(false);
    let started = match config.format {
        LogFormat::Json => {
            registry.with(layer.json().flatten_event(true).with_current_span(false)).try_init()
        }
        LogFormat::Pretty => registry.with(layer.with_ansi(false)).try_init(),
    };
    if started.is_err() {
        return LogGuard { lines: None };
    }
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic.location = place, "panic at {place}");
    }));
    LogGuard { lines: Some(lines) }
}

/// The queue of lines; a handle for each writer.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Vec<u8>>,
    waiting: Arc<AtomicU64>,
}

impl Lines {
    fn start(to: impl Write + Send + 'static) -> Self {
        let (queue, lines) = sync_channel(QUEUE_MAX);
        let waiting = Arc::new(AtomicU64::new(0));
        let written = Arc::clone(&waiting);
        let spawned =
            thread::Builder::new().name("log".into()).spawn(move || write_all(to, &lines, &written));
        if spawned.is_err() {
            tracing::trace!("no thread for the log");
        }
        Self { queue, waiting }
    }

    fn push(&self, line: Vec<u8>) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(line) {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            metrics::counter!("log_lines_dropped_total").increment(1);
        }
    }
}

fn write_all(mut to: impl Write, lines: &Receiver<Vec<u8>>, waiting: &AtomicU64) {
    while let Ok(line) = lines.recv() {
        if to.write_all(&line).is_err() {
            metrics::counter!("log_lines_dropped_total").increment(1);
        }
        waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Collects one line and queues it when it is complete.
struct LineWriter<'a> {
    lines: &'a Lines,
    line: Vec<u8>,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.lines.push(std::mem::take(&mut self.line));
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { lines: self, line: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log nobody reads: every write takes for ever or fails.
    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_secs(3600));
            Ok(0)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stopped_holds_nobody_up() {
        let lines = Lines::start(Stuck);
        let start = Instant::now();
        for _ in 0..3 * QUEUE_MAX {
            let _ = lines.make_writer().write_all(b"line\n");
        }
        assert!(start.elapsed() < Duration::from_secs(2));
        assert!(lines.waiting.load(Ordering::Acquire) <= QUEUE_MAX as u64 + 1, "the queue is bounded");
    }

    #[test]
    fn a_closed_pipe_is_no_panic_and_the_guard_waits_for_the_last_line() {
        let lines = Lines::start(Closed);
        let _ = lines.make_writer().write_all(b"line\n");
        drop(LogGuard { lines: Some(lines.clone()) });
        assert_eq!(lines.waiting.load(Ordering::Acquire), 0);
    }
}
