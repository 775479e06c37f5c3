//! What Prometheus sees. Calls are counted from their events; keys and connections are read when somebody
//! scrapes. Labels come from enums and from configured names, so their number is bounded.

mod calls;
mod journal;
mod kek;
mod keys;
mod ledger;
mod outbound;
mod reload;
mod tls;
mod transport;

pub use kek::{KekFound, KekMetrics};
pub use ledger::{LedgerCounters, LedgerFault};
pub use outbound::OutboundMetrics;
pub use reload::{ReloadResult, Reloaded, Reloads};
pub use tls::{Handshake, Handshakes, TlsDates};
pub use transport::{TransportCounters, UnderWay};

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::{Encoder as _, Registry, TextEncoder, core::Collector, process_collector::ProcessCollector};

use self::keys::Watched;
use crate::{
    audit::{self, Event},
    clock::Clock,
    keyring::Key,
};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    calls: Arc<calls::Calls>,
    keys: Arc<ArcSwap<Watched>>,
    /// Connections and load, kept by the transport.
    pub transport: Arc<TransportCounters>,
    /// The journal, kept by itself; all zero where there is none.
    pub journal: Arc<audit::Counters>,
    /// The ledger, kept by itself; shown where there is one.
    pub ledger: Arc<LedgerCounters>,
    /// What opens the keyring, kept by whoever asks it.
    pub kek: KekMetrics,
    /// Calls to vendors, kept by whoever makes them.
    pub outbound: OutboundMetrics,
    /// Reloads, kept by whoever reloads.
    pub reloads: Reloads,
    /// The dates of certificates and CRLs, kept by whoever loads them.
    pub tls: TlsDates,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Panics
    /// If two metrics bear one name, which a test would have shown.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let registry = Registry::new();
        let keys = Arc::new(ArcSwap::from_pointee(Watched::default()));
        let transport = Arc::new(TransportCounters::default());
        let calls = Arc::new(calls::Calls::default());
        register(&registry, calls::Shown::new(Arc::clone(&calls)));
        let kek = KekMetrics::new(&registry);
        let outbound = OutboundMetrics::new(&registry);
        let reloads = Reloads::new(&registry);
        let tls = TlsDates::new(&registry);
        let ledger = Arc::new(LedgerCounters::default());
        register(&registry, ledger::Ledger::new(Arc::clone(&ledger), clock.clone()));
        register(&registry, keys::Keys::new(Arc::clone(&keys), clock));
        register(&registry, transport::Transport::new(Arc::clone(&transport)));
        let journal = Arc::new(audit::Counters::default());
        register(&registry, journal::Journal::new(Arc::clone(&journal)));
        register(&registry, ProcessCollector::for_self());
        register(&registry, build_info());
        Self { registry, calls, keys, transport, journal, ledger, kek, outbound, reloads, tls }
    }

    /// Counts a call.
    pub fn observe(&self, event: &Event<'_>) {
        self.calls.observe(event);
    }

    /// Shows these keys from now on, as alarming from so many seals on.
    pub fn watch(&self, keys: Vec<Arc<Key>>, seal_alarm: u64) {
        self.keys.store(Arc::new(Watched { keys, seal_alarm }));
    }

    /// The exposition text (Prometheus text format 0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::with_capacity(16 * 1024);
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect("every metric has a name of its own");
}

fn build_info() -> impl Collector {
    let opts = prometheus::opts!("countersign_build_info", "1, with the version of the running binary.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let gauge = prometheus::IntGauge::with_opts(opts).expect("the name and label are well-formed");
    gauge.set(1);
    gauge
}
