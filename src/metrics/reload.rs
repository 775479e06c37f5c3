//! Reloads: how many, how they went, and whether what serves is what lies on disk.

use std::sync::atomic::{AtomicBool, Ordering};

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

/// What is reloaded by itself: the state that decides calls, or the files of TLS listeners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reloaded {
    /// Configuration, policy and keyring.
    State,
    /// Certificates, keys, CAs and revocation lists.
    Tls,
}

/// Reload metrics.
pub struct Reloads {
    total: IntCounterVec,
    last_ok: IntGauge,
    last_at: IntGauge,
    polls: IntCounter,
    /// By [`Reloaded`]: whether what lies on disk was refused.
    refused: [AtomicBool; 2],
}

impl Reloads {
    pub(super) fn new(registry: &Registry) -> Self {
        let total = IntCounterVec::new(opts!("countersign_reloads_total", "Reloads, by result."), &["result"])
            .expect("the name and label are well-formed");
        let last_ok = IntGauge::new(
            "countersign_reload_last_successful",
            "1 where what lies on disk serves, 0 where some of it was refused and the old state serves.",
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
        let reloads = Self { total, last_ok, last_at, polls, refused: Default::default() };
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

    /// Notes that keys were changed, and serve so. It says nothing of a configuration on disk that was refused.
    pub fn changed_keys(&self, at: UnixSeconds) {
        self.total.with_label_values(&["swapped"]).inc();
        self.last_at.set(at.0);
    }

    /// Notes that what lies on disk of this kind serves.
    pub fn serves(&self, what: Reloaded) {
        self.refused[what as usize].store(false, Ordering::Relaxed);
        let all_good = self.refused.iter().all(|refused| !refused.load(Ordering::Relaxed));
        self.last_ok.set(all_good.into());
    }

    /// Notes a reload. What was refused of the other kind stays refused.
    pub fn note(&self, what: Reloaded, result: ReloadResult, at: UnixSeconds) {
        self.refused[what as usize].store(result == ReloadResult::Refused, Ordering::Relaxed);
        match result {
            ReloadResult::Swapped => {
                self.total.with_label_values(&["swapped"]).inc();
                self.serves(what);
                self.last_at.set(at.0);
            }
            ReloadResult::Refused => {
                self.total.with_label_values(&["refused"]).inc();
                self.last_ok.set(0);
            }
        }
    }
}
