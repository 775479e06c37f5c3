//! Reloads: how many, how they went, and whether what serves is what lies on disk.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry, opts};

use super::register;
use crate::clock::UnixSeconds;

/// How a reload went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReloadResult {
    /// The new state serves.
    Swapped,
    /// The old state goes on serving.
    Refused,
}

/// Reload metrics.
pub struct Reloads {
    total: IntCounterVec,
    last_ok: IntGauge,
    last_at: IntGauge,
    polls: IntCounter,
}

impl Reloads {
    pub(super) fn new(registry: &Registry) -> Self {
        let total = IntCounterVec::new(opts!("countersign_reloads_total", "Reloads, by result."), &["result"])
            .expect("the name and label are well-formed");
        let last_ok = IntGauge::new(
            "countersign_reload_last_successful",
            "1 where the last reload (or the start) was taken, 0 where it was refused and the old state serves.",
        )
        .expect("the name is well-formed");
        let last_at = IntGauge::new(
            "countersign_reload_last_success_timestamp_seconds",
            "When what serves now was loaded, Unix time in seconds.",
        )
        .expect("the name is well-formed");
        let polls = IntCounter::new(
            "countersign_reload_polls_total",
            "Times that the files were read to see whether their content changed.",
        )
        .expect("the name is well-formed");
        register(registry, polls.clone());
        register(registry, total.clone());
        register(registry, last_ok.clone());
        register(registry, last_at.clone());
        let reloads = Self { total, last_ok, last_at, polls };
        for result in ["swapped", "refused"] {
            reloads.total.with_label_values(&[result]);
        }
        reloads
    }

    /// Notes that what serves now was loaded at `at`; the start of the process counts as no reload.
    pub fn started(&self, at: UnixSeconds) {
        self.last_ok.set(1);
        self.last_at.set(at.0);
    }

    /// Notes that the files were looked at because it was time.
    pub fn polled(&self) {
        self.polls.inc();
    }

    /// Notes a reload.
    pub fn note(&self, result: ReloadResult, at: UnixSeconds) {
        match result {
            ReloadResult::Swapped => {
                self.total.with_label_values(&["swapped"]).inc();
                self.started(at);
            }
            ReloadResult::Refused => {
                self.total.with_label_values(&["refused"]).inc();
                self.last_ok.set(0);
            }
        }
    }
}
