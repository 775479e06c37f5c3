//! The use cases: permit, act, record. One clock read and one event a call; one permit per distinct object.
//! Synchronous and silent about transport: it is given plain values and gives plain values back.

mod allowance;
mod answer;
mod desk;
mod hub;
mod liveauth;
mod refusal;
mod state;

pub use allowance::Allowance;
pub use answer::{
    Batch, Claims, JudgedHash, JudgedToken, MintHash, MintedHash, OpenedToken, Origin, Present, ResealedToken, Seal,
    SealedToken, VerifyHash,
};
pub use refusal::Refusal;
pub use state::State;

pub use crate::{hub::token::PayloadKind, liveauth::hash::Validity};

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;

use crate::{
    audit::{Entry, Event, Op, Outcome},
    clock::{Clock, UnixSeconds},
    metrics::Metrics,
    policy::Caller,
};

/// Items that a batch may hold.
pub const BATCH_MAX: usize = 1000;

/// One call: who, under which request id, since when.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The authenticated caller.
    pub caller: &'a Caller,
    /// The request id, ours or the caller's.
    pub request_id: &'a str,
    /// When the request arrived.
    pub arrived: Instant,
    /// What the caller has left under the rates of rules.
    pub allowance: &'a Allowance,
}

/// What becomes of the items of a batch, and how it is recorded.
type Answers<'s, T> = Vec<(Entry<'s>, Result<T, Refusal>)>;

/// Everything that decides about calls. Shared by all workers; what changes on a reload is swapped whole.
pub struct Authority {
    clock: Clock,
    state: ArcSwap<State>,
    metrics: Arc<Metrics>,
}

impl Authority {
    /// An authority that works on `state`.
    #[must_use]
    pub fn new(clock: Clock, state: State, metrics: Arc<Metrics>) -> Self {
        metrics.watch(state.keys(), state.seal_limits.alarm);
        Self { clock, state: ArcSwap::from_pointee(state), metrics }
    }

    /// Swaps in a state that was built and tested whole. Calls under way finish with the old one.
    pub fn replace(&self, state: State) {
        self.metrics.watch(state.keys(), state.seal_limits.alarm);
        self.state.store(Arc::new(state));
    }

    /// What calls are decided by at present.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// The clock that calls are judged by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Makes the event of a request that no use case saw: one that the transport refused, or answered itself, such as a
    /// health check, or whose caller has left.
    pub fn note(&self, call: Call<'_>, op: Op, outcome: Outcome) {
        if let Outcome::Refused(_, reason) = outcome {
            tracing::debug!(
                request_id = call.request_id,
                caller = %call.caller,
                op = op.name(),
                reason,
                "refused before its content was looked at"
            );
        }
        self.record(call, op, self.clock.now(), outcome, &[]);
    }

    /// Runs one use case and records how it ended.
    fn unary<T>(
        &self,
        call: Call<'_>,
        op: Op,
        act: impl for<'s> FnOnce(&'s State, UnixSeconds) -> (Entry<'s>, Result<T, Refusal>),
    ) -> Result<T, Refusal> {
        let now = self.clock.now();
        let state = self.state.load();
        let (entry, result) = act(&state, now);
        if let Err(refusal) = &result {
            log_refusal(call, op, refusal);
        }
        self.record(call, op, now, entry.outcome, &[entry]);
        result
    }

    /// Runs one use case per item, in order, and records them as one call. What `act` refuses is refused as a whole.
    fn batch<R, T>(
        &self,
        call: Call<'_>,
        op: Op,
        items: &[R],
        act: impl for<'s> FnOnce(&'s State, UnixSeconds) -> Result<Answers<'s, T>, Refusal>,
    ) -> Batch<T> {
        let now = self.clock.now();
        let state = self.state.load();
        let answers = if items.is_empty() || items.len() > BATCH_MAX {
            Err(Refusal::invalid("items", format!("a batch holds 1 to {BATCH_MAX} items; split it")))
        } else {
            act(&state, now)
        };
        match answers {
            Ok(answers) => {
                let (entries, results): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
                self.record(call, op, now, Outcome::Done, &entries);
                Ok(results)
            }
            Err(refusal) => {
                log_refusal(call, op, &refusal);
                self.record(call, op, now, refusal.outcome(), &[]);
                Err(refusal)
            }
        }
    }

    fn record(&self, call: Call<'_>, op: Op, at: UnixSeconds, outcome: Outcome, entries: &[Entry<'_>]) {
        self.metrics.observe(&Event {
            at,
            request_id: call.request_id,
            caller: call.caller,
            op,
            outcome,
            entries,
            latency: call.arrived.elapsed(),
        });
    }
}

/// Operators find out who asked in vain without turning on debug output.
fn log_refusal(call: Call<'_>, op: Op, refusal: &Refusal) {
    tracing::info!(
        request_id = call.request_id,
        caller = %call.caller,
        op = op.name(),
        reason = refusal.reason(),
        "refused: {refusal}"
    );
}
