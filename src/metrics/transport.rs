//! Plain counters that the transport keeps, shown when somebody scrapes.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use prometheus::{
    IntCounter, IntCounterVec, IntGauge,
    core::{Collector, Desc},
    opts,
    proto::MetricFamily,
};

/// What the transport counts.
#[derive(Default, Debug)]
pub struct TransportCounters {
    /// Connections open now.
    pub connections_open: AtomicI64,
    /// Connections accepted.
    pub connections_accepted: AtomicU64,
    /// Closed at once: over the connection limit.
    pub connections_over_limit: AtomicU64,
    /// Closed: no full preface or headers in time.
    pub connections_timed_out: AtomicU64,
    /// Ended by a protocol error of the peer.
    pub connections_failed: AtomicU64,
    /// Calls under way now.
    pub in_flight: AtomicI64,
    /// Requests refused before they were a call: Origin, Host, HTTP method, content type, compression.
    pub requests_rejected: AtomicU64,
}

pub(super) struct Transport {
    counters: Arc<TransportCounters>,
    connections: IntCounterVec,
    rejected: IntCounter,
    open: IntGauge,
    in_flight: IntGauge,
}

impl Transport {
    pub(super) fn new(counters: Arc<TransportCounters>) -> Self {
        let connections = IntCounterVec::new(
            opts!("countersign_connections_total", "Connections, by what became of them at the door or at their end."),
            &["result"],
        );
        let rejected = IntCounter::new(
            "countersign_requests_rejected_total",
            "Requests refused before they were a call: Origin, Host, HTTP method, content type or compression.",
        );
        let open = IntGauge::new("countersign_connections_open", "Connections open now.");
        let in_flight = IntGauge::new("countersign_requests_in_flight", "Calls under way now.");
        Self {
            counters,
            connections: connections.expect("the name and label are well-formed"),
            rejected: rejected.expect("the name is well-formed"),
            open: open.expect("the name is well-formed"),
            in_flight: in_flight.expect("the name is well-formed"),
        }
    }
}

impl Collector for Transport {
    fn desc(&self) -> Vec<&Desc> {
        [self.connections.desc(), self.rejected.desc(), self.open.desc(), self.in_flight.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = &self.counters;
        for (result, counter) in [
            ("accepted", &counters.connections_accepted),
            ("over_limit", &counters.connections_over_limit),
            ("timed_out", &counters.connections_timed_out),
            ("failed", &counters.connections_failed),
        ] {
            show(&self.connections.with_label_values(&[result]), counter);
        }
        show(&self.rejected, &counters.requests_rejected);
        self.open.set(counters.connections_open.load(Ordering::Relaxed));
        self.in_flight.set(counters.in_flight.load(Ordering::Relaxed));
        [self.connections.collect(), self.rejected.collect(), self.open.collect(), self.in_flight.collect()].concat()
    }
}

/// Counters only rise; adding the difference keeps the shown one a counter too.
fn show(shown: &IntCounter, counter: &AtomicU64) {
    shown.inc_by(counter.load(Ordering::Relaxed).saturating_sub(shown.get()));
}
