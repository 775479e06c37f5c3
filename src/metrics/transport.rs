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
use thread_local::ThreadLocal;

use super::tls::{Handshake, Handshakes};

/// What the transport counts.
#[derive(Default, Debug)]
pub struct TransportCounters {
    /// Connections open now.
    pub connections_open: AtomicI64,
    /// Connections accepted.
    pub connections_accepted: AtomicU64,
    /// Closed at once: over the connection limit.
    pub connections_over_limit: AtomicU64,
    /// Closed at once: over the limit of its identity.
    pub connections_over_caller_limit: AtomicU64,
    /// Closed: no full preface or headers in time.
    pub connections_timed_out: AtomicU64,
    /// Sent away: too many streams reset, or frames without content.
    pub connections_flooded: AtomicU64,
    /// Ended by another protocol error of the peer.
    pub connections_failed: AtomicU64,
    /// On the HTTP port, closed at once: over its limit.
    pub http_connections_over_limit: AtomicU64,
    /// Sent away because they had lasted as long as they may.
    pub connections_aged: AtomicU64,
    /// TLS handshakes.
    pub handshakes: Handshakes,
    /// Calls under way now, from when their content is there.
    pub in_flight: UnderWay,
    /// Requests that are waited for, since not all of their content came at once.
    pub receiving: AtomicI64,
    rejected: [AtomicU64; REJECTIONS.len()],
}

/// How many of something there are now. Each thread adds and takes away on a cache line of its own, which another's can
/// show as less than none: only the total is a number of things.
#[derive(Default, Debug)]
pub struct UnderWay {
    shares: ThreadLocal<Share>,
    threads: AtomicI64,
}

#[repr(align(128))]
#[derive(Default, Debug)]
struct Share(AtomicI64);

impl UnderWay {
    /// One more. Gives how many this thread has added, that one included.
    pub fn add(&self) -> i64 {
        self.share().fetch_add(1, Ordering::Relaxed) + 1
    }

    /// One less.
    pub fn take(&self) {
        self.share().fetch_sub(1, Ordering::Relaxed);
    }

    /// Those of all threads.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.shares.iter().map(|share| share.0.load(Ordering::Relaxed)).sum()
    }

    /// Threads that have counted here.
    #[must_use]
    pub fn threads(&self) -> i64 {
        self.threads.load(Ordering::Relaxed)
    }

    fn share(&self) -> &AtomicI64 {
        let share = self.shares.get_or(|| {
            self.threads.fetch_add(1, Ordering::Relaxed);
            Share::default()
        });
        &share.0
    }
}

/// Why a request is refused before it is a call.
const REJECTIONS: [&str; 8] = [
    "ORIGIN_REFUSED",
    "HOST_REFUSED",
    "HOST_AMBIGUOUS",
    "METHOD_NOT_ALLOWED",
    "UNSUPPORTED_CONTENT_TYPE",
    "GRPC_NEEDS_HTTP2",
    "COMPRESSION_UNSUPPORTED",
    "CONNECT_VERSION_UNSUPPORTED",
];

impl TransportCounters {
    /// Counts a request that was refused before it was a call.
    ///
    /// # Panics
    /// In builds with assertions, if no metric has the reason.
    pub fn count_rejected(&self, reason: &'static str) {
        let at = REJECTIONS.iter().position(|known| *known == reason);
        debug_assert!(at.is_some(), "{reason} has no metric");
        if let Some(at) = at {
            self.rejected[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(super) struct Transport {
    counters: Arc<TransportCounters>,
    connections: IntCounterVec,
    handshakes: IntCounterVec,
    rejected: IntCounterVec,
    http_over_limit: IntCounter,
    open: IntGauge,
    in_flight: IntGauge,
    receiving: IntGauge,
}

impl Transport {
    pub(super) fn new(counters: Arc<TransportCounters>) -> Self {
        let connections = IntCounterVec::new(
            opts!("countersign_connections_total", "Connections, by what became of them at the door or at their end."),
            &["result"],
        );
        let handshakes = IntCounterVec::new(
            opts!("countersign_tls_handshakes_total", "TLS handshakes, by how they ended."),
            &["result"],
        );
        let rejected = IntCounterVec::new(
            opts!("countersign_requests_rejected_total", "Requests refused before they were a call, by reason."),
            &["reason"],
        );
        let http_over_limit = IntCounter::new(
            "countersign_http_connections_over_limit_total",
            "Connections to the HTTP port that were closed at once because it had as many as it takes.",
        );
        let open = IntGauge::new("countersign_connections_open", "Connections open now.");
        let in_flight =
            IntGauge::new("countersign_requests_in_flight", "Calls under way now, from when their content is there.");
        let receiving = IntGauge::new(
            "countersign_requests_receiving",
            "Requests that are waited for now, since not all of their content came at once.",
        );
        Self {
            counters,
            connections: connections.expect("the name and label are well-formed"),
            handshakes: handshakes.expect("the name and label are well-formed"),
            rejected: rejected.expect("the name and label are well-formed"),
            http_over_limit: http_over_limit.expect("the name is well-formed"),
            open: open.expect("the name is well-formed"),
            in_flight: in_flight.expect("the name is well-formed"),
            receiving: receiving.expect("the name is well-formed"),
        }
    }
}

impl Collector for Transport {
    fn desc(&self) -> Vec<&Desc> {
        let own = [&self.open, &self.in_flight, &self.receiving].map(Collector::desc).concat();
        let doors = [&self.connections, &self.handshakes].map(Collector::desc).concat();
        [doors, self.rejected.desc(), self.http_over_limit.desc(), own].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = &self.counters;
        for (result, counter) in [
            ("accepted", &counters.connections_accepted),
            ("over_limit", &counters.connections_over_limit),
            ("over_caller_limit", &counters.connections_over_caller_limit),
            ("timed_out", &counters.connections_timed_out),
            ("flooded", &counters.connections_flooded),
            ("failed", &counters.connections_failed),
            ("aged", &counters.connections_aged),
        ] {
            show(&self.connections.with_label_values(&[result]), counter.load(Ordering::Relaxed));
        }
        for result in Handshake::ALL {
            show(
                &self.handshakes.with_label_values(&[result.name()]),
                counters.handshakes.of(result).load(Ordering::Relaxed),
            );
        }
        for (reason, counter) in REJECTIONS.iter().zip(&counters.rejected) {
            show(&self.rejected.with_label_values(&[*reason]), counter.load(Ordering::Relaxed));
        }
        show(&self.http_over_limit, counters.http_connections_over_limit.load(Ordering::Relaxed));
        self.open.set(counters.connections_open.load(Ordering::Relaxed));
        self.in_flight.set(counters.in_flight.total());
        self.receiving.set(counters.receiving.load(Ordering::Relaxed));
        let own = [&self.open, &self.in_flight, &self.receiving].map(Collector::collect).concat();
        let doors = [&self.connections, &self.handshakes].map(Collector::collect).concat();
        [doors, self.rejected.collect(), self.http_over_limit.collect(), own].concat()
    }
}

/// Counters only rise; adding the difference keeps the shown one a counter too.
pub(super) fn show(shown: &IntCounter, count: u64) {
    shown.inc_by(count.saturating_sub(shown.get()));
}
