//! What a call can reach: the transport as a whole, the connection it came on, and itself.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tonic::Status;

use super::{
    health::Health,
    limit::{Account, Accounts, Limits},
    request_id::RequestIds,
    status,
    turns::Lag,
};
use crate::{
    authority::{Authority, Call, Refusal, Slip},
    metrics::TransportCounters,
    policy::{Caller, Rate, batch_units},
};

/// What all connections share.
#[derive(Debug)]
pub struct Transport {
    pub(super) authority: Shown<Arc<Authority>>,
    pub(super) limits: ArcSwap<Limits>,
    pub(super) counters: Arc<TransportCounters>,
    pub(super) accounts: Accounts,
    pub(super) health: Health,
    pub(super) reflection: bool,
}

impl Transport {
    /// A transport that is not serving yet, as its health says.
    #[must_use]
    pub fn new(
        authority: Arc<Authority>,
        limits: Limits,
        reflection: bool,
        counters: Arc<TransportCounters>,
    ) -> Arc<Self> {
        Arc::new(Self {
            authority: Shown(authority),
            limits: ArcSwap::from_pointee(limits),
            counters,
            accounts: Accounts::new(),
            health: Health::new(),
            reflection,
        })
    }

    /// What `grpc.health.v1` answers from now on.
    pub fn set_serving(&self, serving: bool) {
        self.health.set_serving(serving);
    }
}

/// Holds what has no `Debug` of its own.
pub(super) struct Shown<T>(pub(super) T);

impl<T> std::fmt::Debug for Shown<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// What a connection came in by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// A Unix socket: no browser reaches it.
    Unix(Reach),
    /// Loopback TCP in clear: a browser on this machine reaches it, under any host name that its page's owner likes.
    LoopbackTcp,
    /// TLS with a client certificate: only whoever has its key reaches it.
    Tls(Reach),
}

impl Gate {
    /// Which services are there for who comes by it.
    pub(super) const fn reach(self) -> Reach {
        match self {
            Self::Unix(reach) | Self::Tls(reach) => reach,
            Self::LoopbackTcp => Reach::Ordinary,
        }
    }
}

/// Which services a listener has. What it has not, is nowhere on it: no method, no health, no description.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All but `KeyService`.
    Ordinary,
    /// All of them.
    Admin,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    pub(super) transport: Arc<Transport>,
    pub(super) caller: Caller,
    pub(super) gate: Gate,
    pub(super) account: Arc<Account>,
    pub(super) ids: RequestIds,
    /// How long it waits for its turn to be read.
    pub(super) lag: Arc<Lag>,
}

impl Session {
    /// A connection of `caller`.
    #[must_use]
    pub fn new(transport: &Arc<Transport>, caller: Caller, gate: Gate) -> Arc<Self> {
        let account = transport.accounts.of(&caller, Instant::now());
        let transport = Arc::clone(transport);
        Arc::new(Self { transport, caller, gate, account, ids: RequestIds::new(), lag: Arc::default() })
    }

    /// A connection has done what it can for now, and others may go on: the journal hears of it.
    pub(super) fn end_turn(&self) {
        if let Some(journal) = self.transport.authority.0.journal() {
            journal.turn();
        }
    }
}

/// One call with all of its message, while a use case works on it. It is not for other threads, nor to be held across
/// a wait: the slip is this thread's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange<'a> {
    pub(super) session: &'a Session,
    pub(super) request_id: &'a HeaderValue,
    pub(super) arrived: Instant,
    pub(super) deadline: Instant,
    pub(super) rate: Option<Rate>,
    pub(super) slip: &'a Slip,
}

impl Exchange<'_> {
    /// Does a unary call's work: the whole use case, from permit to record.
    pub(super) fn work<T>(&self, work: impl FnOnce(&Authority, Call<'_>) -> Result<T, Refusal>) -> Result<T, Status> {
        // The caller may be gone by the time its call's turn comes.
        if Instant::now() >= self.deadline {
            return Err(status::unrecorded(Refusal::DeadlineExceeded));
        }
        let call = Call {
            caller: &self.session.caller,
            request_id: self.request_id.to_str().unwrap_or_default(),
            arrived: self.arrived,
            allowance: &self.session.account.allowance,
            slip: self.slip,
        };
        match catch_unwind(AssertUnwindSafe(|| work(&self.session.transport.authority.0, call))) {
            Ok(done) => done.map_err(|refusal| status::recorded(&refusal)),
            // The panic hook has reported it; here only this call ends.
            Err(_) => Err(status::unrecorded(Refusal::Internal)),
        }
    }

    /// The same for a batch of so many items, which first pays for them.
    pub(super) fn work_on_batch<T>(
        &self,
        items: usize,
        work: impl FnOnce(&Authority, Call<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Status> {
        if let Some(rate) = self.rate {
            self.session
                .account
                .bucket
                .take(rate, self.arrived, batch_units(items))
                .map_err(|retry_after| status::unrecorded(Refusal::RateLimited { retry_after }))?;
        }
        self.work(work)
    }

    /// Hands work over that is done, and recorded, elsewhere.
    pub(super) fn order(
        &self,
        order: impl FnOnce(&Arc<Authority>, Call<'_>, Instant) -> Result<(), Refusal>,
    ) -> Result<(), Status> {
        let deadline = self.deadline;
        self.work(|_, call| order(&self.session.transport.authority.0, call, deadline))
    }
}
