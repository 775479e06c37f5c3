//! Calls, counted and timed. Each thread keeps the handles it has used, so that a call takes no lock.

use std::{cell::RefCell, collections::HashMap};

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Registry, opts};

use super::register;
use crate::audit::{Event, Op, Outcome};

/// Seconds; from 5 µs, where a mint lies, to past the default deadline.
const BUCKETS: [f64; 19] = [
    5e-6, 1e-5, 2e-5, 3e-5, 5e-5, 7.5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 1e-1, 5e-1, 1.0, 2.0, 15.0,
];

pub(super) struct Calls {
    requests: IntCounterVec,
    items: IntCounterVec,
    quoted: IntCounter,
    latency: Vec<Histogram>,
}

/// Which vector (requests, or items of batches), operation and outcome.
type Series = (bool, Op, &'static str);

thread_local! {
    /// The counters this thread has used, by series and key. Bounded like the labels are.
    static HANDLES: RefCell<HashMap<Series, HashMap<Box<str>, IntCounter>>> = RefCell::default();
}

impl Calls {
    pub(super) fn new(registry: &Registry) -> Self {
        let labels = &["op", "outcome", "key"];
        let requests = IntCounterVec::new(
            opts!(
                "countersign_requests_total",
                "Calls, by operation, by verdict, OK or canonical error code, and by key where a single one was reached."
            ),
            labels,
        )
        .expect("the name and labels are well-formed");
        let items = IntCounterVec::new(
            opts!("countersign_batch_items_total", "Items of batch calls, by operation, outcome and key."),
            labels,
        )
        .expect("the name and labels are well-formed");
        let quoted = IntCounter::new(
            "countersign_quoted_tokens_total",
            "Tokens that came with a pair of JSON quotes, which were removed.",
        )
        .expect("the name is well-formed");
        let latency = HistogramVec::new(
            HistogramOpts::new(
                "countersign_request_duration_seconds",
                "Time from the arrival of a call to its answer, by operation.",
            )
            .buckets(BUCKETS.to_vec()),
            &["op"],
        )
        .expect("the name and label are well-formed");
        register(registry, requests.clone());
        register(registry, items.clone());
        register(registry, quoted.clone());
        register(registry, latency.clone());
        let latency = Op::ALL.iter().map(|op| latency.with_label_values(&[op.name()])).collect();
        Self { requests, items, quoted, latency }
    }

    pub(super) fn observe(&self, event: &Event<'_>) {
        let batch = event.outcome == Outcome::Done && is_batch(event.op);
        let key = if batch { "" } else { event.entries.first().map_or("", |entry| entry.key) };
        HANDLES.with_borrow_mut(|handles| {
            let mut count = |vector: &IntCounterVec, of_batch, outcome: Outcome, key: &str, n| {
                let by_key = handles.entry((of_batch, event.op, outcome.name())).or_default();
                if let Some(counter) = by_key.get(key) {
                    counter.inc_by(n);
                } else {
                    let counter = vector.with_label_values(&[event.op.name(), outcome.name(), key]);
                    counter.inc_by(n);
                    by_key.insert(key.into(), counter);
                }
            };
            count(&self.requests, false, event.outcome, key, 1);
            if batch {
                // Neighbours in a batch mostly end alike: count runs, not items.
                let mut rest = event.entries;
                while let Some(first) = rest.first() {
                    let alike = |e: &&crate::audit::Entry<'_>| e.key == first.key && e.outcome == first.outcome;
                    let run = rest.iter().take_while(alike).count();
                    count(&self.items, true, first.outcome, first.key, run as u64);
                    rest = &rest[run..];
                }
            }
        });
        let quoted = event.entries.iter().filter(|entry| entry.quoted).count();
        if quoted > 0 {
            self.quoted.inc_by(quoted as u64);
        }
        self.latency[event.op as usize].observe(event.latency.as_secs_f64());
    }
}

const fn is_batch(op: Op) -> bool {
    match op {
        Op::BatchMintHash | Op::BatchVerifyHash | Op::BatchSeal | Op::BatchOpen | Op::BatchVerify | Op::BatchReseal => {
            true
        }
        Op::MintHash | Op::VerifyHash | Op::Seal | Op::Open | Op::Verify | Op::Reseal | Op::Unknown => false,
    }
}
