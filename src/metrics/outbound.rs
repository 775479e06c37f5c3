//! Calls to vendors: how many, how they ended, and how long they took.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Registry, opts};

use super::register;

/// Seconds; a vendor is some round trips away, and up to its time limit.
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The metrics.
pub struct OutboundMetrics {
    total: IntCounterVec,
    seconds: HistogramVec,
}

impl OutboundMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let total = IntCounterVec::new(
            opts!("countersign_outbound_calls_total", "Calls to vendors, by vendor, action and result."),
            &["vendor", "action", "result"],
        )
        .expect("the name and labels are well-formed");
        let help = "Time from the beginning of a call to a vendor to the end of its answer, by vendor.";
        let opts = HistogramOpts::new("countersign_outbound_duration_seconds", help).buckets(BUCKETS.to_vec());
        let seconds = HistogramVec::new(opts, &["vendor"]).expect("the name and label are well-formed");
        register(registry, total.clone());
        register(registry, seconds.clone());
        Self { total, seconds }
    }

    /// Notes a call that has ended. What becomes a label is one of few words, none of them from outside.
    pub fn note(&self, vendor: &'static str, action: &'static str, result: &'static str, took: Duration) {
        self.total.with_label_values(&[vendor, action, result]).inc();
        self.seconds.with_label_values(&[vendor]).observe(took.as_secs_f64());
    }
}
