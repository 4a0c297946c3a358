//! `GET /metrics`: what the library counts and measures, as Prometheus reads it.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// The `Content-Type` of what [`Metrics::render`] gives: the text format of Prometheus.
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// From what a store in memory takes to what a provider may take.
const BUCKETS: [f64; 11] = [0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// How often what was measured is put into its buckets, also if nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// Everything that is counted in this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Begins to count; before anything is made that is counted.
    pub(crate) fn install() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &BUCKETS)
            .expect("there are buckets")
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is there already; `/metrics` stays empty");
        }
        let upkeep = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });
        Self(handle)
    }

    /// The text to answer with.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}
