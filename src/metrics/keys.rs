//! Keys, read when somebody scrapes: what state each version is in, how often it sealed, whether it is weak, and whether
//! it may be destroyed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::{
    IntGaugeVec,
    core::{Collector, Desc},
    opts,
    proto::MetricFamily,
};

use crate::{
    clock::Clock,
    crypto::arena,
    keyring::{Destruction, Key, KeyKind},
};

/// Secrets shorter than this, bytes, are shown as weak.
const WEAK_BELOW: usize = 20;

/// What is shown.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) keys: Vec<Arc<Key>>,
    pub(super) seal_alarm: u64,
}

pub(super) struct Keys {
    watched: Arc<ArcSwap<Watched>>,
    clock: Clock,
    state: IntGaugeVec,
    seals: IntGaugeVec,
    alarm: IntGaugeVec,
    weak: IntGaugeVec,
    destruction: IntGaugeVec,
    safe_at: IntGaugeVec,
    active: IntGaugeVec,
    memory: IntGaugeVec,
}

impl Keys {
    pub(super) fn new(watched: Arc<ArcSwap<Watched>>, clock: Clock) -> Self {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(opts!(name, help), labels).expect("the names and labels are well-formed")
        };
        let by_version = &["key", "version"];
        Self {
            watched,
            clock,
            state: gauge(
                "countersign_key_version_state",
                "1 for the state that each key version is in.",
                &["key", "version", "state"],
            ),
            seals: gauge(
                "countersign_key_version_seals",
                "Tokens that were sealed with the key version, at most: by this process, and with a ledger by those whose place it took.",
                by_version,
            ),
            alarm: gauge(
                "countersign_key_version_seal_alarm",
                "1 where a key version has sealed as many tokens as its alarm threshold: rotate it.",
                by_version,
            ),
            weak: gauge("countersign_key_version_weak", "1 where a secret is shorter than 20 bytes.", by_version),
            destruction: gauge(
                "countersign_key_version_destruction",
                "1 for what destroying each key version means, as far as is known: nothing breaks where it is safe.",
                &["key", "version", "means"],
            ),
            safe_at: gauge(
                "countersign_key_version_safe_to_destroy_timestamp_seconds",
                "Since when destroying the key version breaks nothing, or from when on it will, unless more is issued.",
                by_version,
            ),
            active: gauge(
                "countersign_key_active",
                "1 where the key has an active version, 0 where minting is refused.",
                &["key"],
            ),
            memory: gauge(
                "countersign_key_memory_bytes",
                "Memory of its own that keys lie in: mapped, and taken of that.",
                &["kind"],
            ),
        }
    }

    fn vectors(&self) -> [&IntGaugeVec; 8] {
        let Self { state, seals, alarm, weak, destruction, safe_at, active, memory, .. } = self;
        [state, seals, alarm, weak, destruction, safe_at, active, memory]
    }
}

impl Collector for Keys {
    fn desc(&self) -> Vec<&Desc> {
        self.vectors().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = self.clock.now();
        for vector in self.vectors() {
            vector.reset();
        }
        let arena = arena::status();
        for (kind, bytes) in [("mapped", arena.mapped), ("taken", arena.taken)] {
            self.memory.with_label_values(&[kind]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        let watched = self.watched.load();
        for key in &watched.keys {
            self.active.with_label_values(&[key.name.as_str()]).set(i64::from(key.active(now).is_some()));
            for version in key.versions() {
                let number = version.number.to_string();
                let labels = &[key.name.as_str(), &number];
                self.state.with_label_values(&[labels[0], labels[1], key.state(version, now).name()]).set(1);
                let destruction = version.usage.by_all().judge(&key.standing(version, now), now);
                self.destruction.with_label_values(&[labels[0], labels[1], destruction.name()]).set(1);
                if let Destruction::Safe { since: Some(at) } | Destruction::Issued { until: at, .. } = destruction {
                    self.safe_at.with_label_values(labels).set(at.0);
                }
                match key.kind {
                    KeyKind::Hat1 => {
                        let seals = version.usage.seals();
                        self.seals.with_label_values(labels).set(i64::try_from(seals).unwrap_or(i64::MAX));
                        self.alarm.with_label_values(labels).set(i64::from(seals >= watched.seal_alarm));
                    }
                    KeyKind::LiveAuth => {
                        self.weak.with_label_values(labels).set(i64::from(version.secret_len < WEAK_BELOW));
                    }
                }
            }
        }
        self.vectors().into_iter().flat_map(Collector::collect).filter(|f| !f.get_metric().is_empty()).collect()
    }
}
