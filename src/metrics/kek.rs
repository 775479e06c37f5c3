//! What opens the keyring, where that is a KMS plugin: whether it is well, and whether the keyring is due to be wrapped anew.

use prometheus::{IntCounterVec, IntGauge, Registry, opts};

use super::register;

/// How the plugin was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KekFound {
    /// Well, with the key that the keyring is wrapped with.
    Well,
    /// Well, with another key than that.
    Changed,
    /// Well, but it names one key when it is asked, and another when it wraps.
    Contrary,
    /// Not to be reached, or not well.
    Unwell,
}

/// The metrics.
pub struct KekMetrics {
    healthy: IntGauge,
    due: IntGauge,
    checks: IntCounterVec,
}

impl KekMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let healthy = IntGauge::new(
            "countersign_kek_healthy",
            "1 where what opens the keyring is well; 0 where its KMS plugin cannot be reached or says that it is not.",
        )
        .expect("the name is well-formed");
        let due = IntGauge::new(
            "countersign_kek_rewrap_due",
            "1 where the KMS plugin wraps with another key, by what it says, than the keyring is wrapped with.",
        )
        .expect("the name is well-formed");
        let checks = IntCounterVec::new(
            opts!("countersign_kek_checks_total", "Times that the KMS plugin was asked how it is, by result."),
            &["result"],
        )
        .expect("the name and label are well-formed");
        register(registry, healthy.clone());
        register(registry, due.clone());
        register(registry, checks.clone());
        for result in ["well", "changed", "contrary", "unwell"] {
            checks.with_label_values(&[result]);
        }
        // What is no plugin is not asked.
        healthy.set(1);
        Self { healthy, due, checks }
    }

    /// Notes how the plugin was found. Of one that is not well it is not known what it wraps with.
    pub fn note(&self, found: KekFound) {
        let result = match found {
            KekFound::Well => "well",
            KekFound::Changed => "changed",
            KekFound::Contrary => "contrary",
            KekFound::Unwell => "unwell",
        };
        self.checks.with_label_values(&[result]).inc();
        self.healthy.set((found != KekFound::Unwell).into());
        if found != KekFound::Unwell {
            self.due.set(matches!(found, KekFound::Changed | KekFound::Contrary).into());
        }
    }
}
