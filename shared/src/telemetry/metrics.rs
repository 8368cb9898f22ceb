//! The metrics recorder and its text for Prometheus; who serves the text is each program's own matter.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::process;

/// Upper bounds of every histogram whose name ends in `_seconds`.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Upper bounds of every histogram whose name ends in `_size`: batches, bodies in items.
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// How often samples are folded into their histograms, so that they do not pile up unscraped.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder of this process; a second call changes nothing.
pub fn init_metrics() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_size".into()), &SIZES));
        let handle = builder.and_then(PrometheusBuilder::install_recorder).ok()?;
        let upkeep = handle.clone();
        let spawned = thread::Builder::new().name("metrics".into()).spawn(move || {
            loop {
                thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        });
        spawned.ok().map(|_| handle)
    });
}

/// All metrics in Prometheus' text format, with fresh figures of the process; empty before
/// [`init_metrics`].
pub fn render() -> String {
    let Some(Some(handle)) = RECORDER.get() else { return String::new() };
    process::record();
    handle.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_text_has_our_metrics_and_those_of_the_process() {
        init_metrics();
        init_metrics();
        metrics::counter!("telemetry_test_total", "kind" => "x").increment(2);
        metrics::histogram!("telemetry_test_seconds").record(0.003);
        let text = render();
        for part in [
            "telemetry_test_total{kind=\"x\"} 2",
            "telemetry_test_seconds_bucket{le=\"0.005\"} 1",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_threads",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
