//! The use cases: permit, act, record. One clock read and one event a call; one permit per distinct object.
//! Synchronous and silent about transport: it is given plain values and gives plain values back.

mod allowance;
mod answer;
mod custody;
mod desk;
mod explain;
mod furthest;
mod hub;
mod keys;
mod liveauth;
mod login;
mod portal;
mod reach;
mod refusal;
mod revoke;
mod standing;
mod state;
mod vendor;

pub use allowance::Allowance;
pub use answer::{
    Batch, Claims, Cut, JudgedHash, JudgedToken, ListRevocations, Listed, MintHash, MintedHash, OpenedToken, Origin,
    Present, ResealedToken, Revocation, Revoke, Seal, SealedToken, VerifyHash,
};
pub use custody::{Changed, Custody, Edit, Edited, Keeper, KeysProblem, Order, Task, still_needed, stopping};
pub use explain::{ExplainedToken, TokenFacts, TokenTimes};
pub use keys::{KeyShown, KeysShown, UsageLedger, VersionShown};
pub use login::{
    BeginLogin, BegunLogin, CompleteLogin, CompletedLogin, HubGeneration, NotifyUpdate, RenewAuth, RenewedAuth,
    ResolveLogin, ResolvedLogin,
};
pub use portal::{LoggedIn, Portal, PortalCall, PortalLevel, PortalLink, PortalStatus, UnknownLevel};
pub use refusal::Refusal;
pub use state::{KeyringSeen, State};
pub use vendor::{Said, VendorFault, VendorProblem};

pub use crate::{
    crypto::aead::Suite,
    hub::{
        revocation::Kind as RevocationKind,
        token::{Check, Checked, Outcome as CheckOutcome, PayloadKind},
    },
    keyring::{Destruction, Evidence, KeyKind, NEVER, Span, State as KeyState},
    liveauth::hash::Validity,
};

use std::{
    cell::Cell,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use arc_swap::ArcSwap;

use crate::{
    audit::{Entry, Event, Journal, Op, Outcome, Receipt, Subject},
    clock::{Clock, UnixSeconds},
    hub::{login::LoginDigests, revocation::UserDigests},
    ledger::Ledger,
    metrics::Metrics,
    outbound::Outbound,
    policy::Caller,
};

/// Items that a batch may hold.
pub const BATCH_MAX: usize = 1000;

/// One call: who, under which request id, since when, and where its receipt goes.
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
    /// Where the receipt of its record is put.
    pub slip: &'a Slip,
}

/// Holds the receipt of a call's record, until whoever gives the answer takes it and waits for it.
#[derive(Default)]
pub struct Slip(Cell<Option<Receipt>>);

impl std::fmt::Debug for Slip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slip(..)")
    }
}

impl Slip {
    /// The receipt that the answer has to wait for; nothing for a call that is not journalled.
    #[must_use]
    pub fn take(&self) -> Option<Receipt> {
        self.0.take()
    }
}

/// What becomes of the items of a batch, and how it is recorded.
type Answers<'s, T> = Vec<(Entry<'s>, Result<T, Refusal>)>;

/// The ledger, and what goes with it.
struct Kept {
    ledger: Ledger,
    digests: UserDigests,
    logins: LoginDigests,
    /// Of the keyring whose key makes the digests.
    keyring_id: String,
}

/// Everything that decides about calls. Shared by all workers; what changes on a reload is swapped whole.
pub struct Authority {
    clock: Clock,
    state: ArcSwap<State>,
    metrics: Arc<Metrics>,
    journal: Option<Journal>,
    ledger: Option<Kept>,
    custody: Option<Custody>,
    outbound: Option<Outbound>,
}

impl Authority {
    /// An authority that works on `state`.
    #[must_use]
    pub fn new(clock: Clock, state: State, metrics: Arc<Metrics>) -> Self {
        metrics.watch(state.keys(), state.seal_limits.alarm);
        Self {
            clock,
            state: ArcSwap::from_pointee(state),
            metrics,
            journal: None,
            ledger: None,
            custody: None,
            outbound: None,
        }
    }

    /// The same, with a journal: from now on, nothing is granted without a record.
    #[must_use]
    pub fn with_journal(self, journal: Option<Journal>) -> Self {
        Self { journal, ..self }
    }

    /// The same, with a ledger: from now on, tokens can be revoked. `digests` and `logins` are the keys by which it knows
    /// users and hubLoginTokens, of the keyring of this id.
    #[must_use]
    pub fn with_ledger(
        self,
        ledger: Option<Ledger>,
        digests: UserDigests,
        logins: LoginDigests,
        keyring_id: String,
    ) -> Self {
        Self { ledger: ledger.map(|ledger| Kept { ledger, digests, logins, keyring_id }), ..self }
    }

    /// The ledger, if there is one.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref().map(|kept| &kept.ledger)
    }

    /// The same, with a way to whom keys are changed by.
    #[must_use]
    pub fn with_custody(self, custody: Custody) -> Self {
        Self { custody: Some(custody), ..self }
    }

    /// The same with a way out, to the vendors.
    #[must_use]
    pub fn with_outbound(self, outbound: Outbound) -> Self {
        Self { outbound: Some(outbound), ..self }
    }

    /// The way out, if there is one.
    #[must_use]
    pub fn outbound(&self) -> Option<&Outbound> {
        self.outbound.as_ref()
    }

    /// The journal, if there is one.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
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
    /// health check, or whose caller has left. It is counted and not journalled: nothing was granted or judged, and
    /// what anybody can send at no cost must not fill the disk.
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
        self.metrics.observe(&event(call, op, self.clock.now(), outcome, &[]));
    }

    /// Runs one use case and records how it ended.
    fn unary<T>(
        &self,
        call: Call<'_>,
        op: Op,
        subject: Subject<'_>,
        act: impl for<'s> FnOnce(&'s State, UnixSeconds) -> (Entry<'s>, Result<T, Refusal>),
    ) -> Result<T, Refusal> {
        let now = self.clock.now();
        let state = self.state.load();
        let (entry, result) = act(&state, now);
        if let Err(refusal) = &result {
            log_refusal(call, op, refusal);
        }
        self.record(call, op, now, entry.outcome, &[Entry { subject, ..entry }])?;
        result
    }

    /// Runs one use case per item, in order, and records them as one call. What `act` refuses is refused as a whole.
    fn batch<R, T>(
        &self,
        call: Call<'_>,
        op: Op,
        items: &[R],
        subject: impl Fn(&R) -> Subject<'_>,
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
                let (entries, results): (Vec<_>, Vec<_>) = answers
                    .into_iter()
                    .zip(items)
                    .map(|((entry, result), item)| (Entry { subject: subject(item), ..entry }, result))
                    .unzip();
                self.record(call, op, now, Outcome::Done, &entries)?;
                Ok(results)
            }
            Err(refusal) => {
                log_refusal(call, op, &refusal);
                self.record(call, op, now, refusal.outcome(), &[])?;
                Err(refusal)
            }
        }
    }

    /// Counts a call and hands its record to the journal. Without a record there is no answer, but where one identity is
    /// refused again and again without a rule that lets it in: of that, only so much is recorded.
    fn record(
        &self,
        call: Call<'_>,
        op: Op,
        at: UnixSeconds,
        outcome: Outcome,
        entries: &[Entry<'_>],
    ) -> Result<(), Refusal> {
        let event = event(call, op, at, outcome, entries);
        let recorded = match &self.journal {
            None => Ok(None),
            Some(journal) if is_unfounded(&event) && !call.allowance.records_refusal(call.arrived, entries.len()) => {
                journal.counters().unrecorded_refusals.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            Some(journal) => journal.record(&event),
        };
        if let Ok(receipt) = recorded {
            self.metrics.observe(&event);
            call.slip.0.set(receipt);
            return Ok(());
        }
        let refusal = Refusal::Unrecorded;
        self.metrics.observe(&Event { outcome: refusal.outcome(), ..event });
        Err(refusal)
    }
}

fn event<'a>(call: Call<'a>, op: Op, at: UnixSeconds, outcome: Outcome, entries: &'a [Entry<'a>]) -> Event<'a> {
    let latency = call.arrived.elapsed();
    Event { at, request_id: call.request_id, caller: call.caller, op, outcome, entries, latency }
}

/// Whether nothing but refusals is in it, and behind none of them is a rule: what a caller can have who may do nothing.
fn is_unfounded(event: &Event<'_>) -> bool {
    let unfounded = |entry: &Entry<'_>| entry.rule.is_empty() && matches!(entry.outcome, Outcome::Refused(..));
    match event.outcome {
        Outcome::Refused(_, "RATE_LIMITED") | Outcome::Judged(_) => false,
        Outcome::Refused(..) | Outcome::Done => event.entries.iter().all(unfounded),
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
