//! Calls that ask a vendor. A worker does what needs neither a wait nor the vendor: permit, key, the request as a plain
//! value. Then the call goes over to the thread for that and on to its end there, whether or not its caller still waits:
//! its grant is on record before the vendor hears of it, and what came of it is counted and, where it is not what was
//! granted, on record too.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Allowance, Authority, Call, Refusal, Slip, State, event, log_refusal, vendor::VendorFault};
use crate::{
    audit::{Cut, Entry, Op, Outcome, Subject},
    clock::UnixSeconds,
    outbound::{Answer, Request, Vendor},
    policy::Caller,
};

/// When to come back where as many calls to a vendor are under way as may be.
const CROWD_RETRY: Duration = Duration::from_secs(1);

/// What is asked, of whom, about whom, and until when it may still be begun.
pub(super) struct Trip {
    pub(super) op: Op,
    pub(super) vendor: Vendor,
    pub(super) whom: Whom,
    pub(super) deadline: Instant,
}

/// Whom a call is about, beyond the life of its request.
pub(super) enum Whom {
    /// An idibu client.
    Client(i64),
    /// A Hub user, as the caller wrote the name.
    User(String),
}

impl Whom {
    fn subject(&self) -> Subject<'_> {
        match self {
            Self::Client(number) => Subject::client(*number),
            Self::User(name) => Subject::user(Some(name)),
        }
    }
}

/// What is to be done once a call is prepared.
pub(super) enum Step<P, T> {
    /// The vendor is asked.
    Go(P),
    /// The answer is there without.
    Answer(T),
}

/// A call under way to a vendor.
pub(super) struct Flight {
    authority: Arc<Authority>,
    trip: Trip,
    caller: Caller,
    request_id: String,
    arrived: Instant,
    /// The call's one clock read.
    at: UnixSeconds,
    noted: Noted,
    landed: AtomicBool,
}

/// What records say of a call, beyond the life of the state it was decided by.
struct Noted {
    object: String,
    rule: String,
    key: String,
    key_version: u32,
    token_id: Option<[u8; 16]>,
    cut: Option<Cut>,
}

impl Authority {
    /// Prepares a call, and hands it over. `prepare` admits the caller, lets `room` have its say (whether the vendor may be
    /// asked now), and then uses keys, so that who may not ask learns nothing and uses up nothing; `go` asks. `reply` is
    /// called once, on the thread for such calls.
    ///
    /// # Errors
    /// A [`Refusal`], which is on record; `reply` is not called then.
    pub(super) fn reach_out<P, T, F>(
        self: &Arc<Self>,
        call: Call<'_>,
        trip: Trip,
        prepare: impl for<'s> FnOnce(
            &'s State,
            UnixSeconds,
            Result<(), Refusal>,
        ) -> (Entry<'s>, Result<Step<P, T>, Refusal>),
        go: impl FnOnce(Arc<Flight>, P) -> F + Send + 'static,
        reply: impl FnOnce(Result<T, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal>
    where
        P: Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, Refusal>> + Send,
    {
        let at = self.clock.now();
        let state = self.state.load();
        let outbound = self.outbound.as_ref().ok_or_else(super::stopping);
        let mut slot = None;
        let room = outbound.and_then(|outbound| {
            slot = outbound.enter(trip.vendor);
            if slot.is_some() { Ok(outbound) } else { Err(Refusal::Overloaded { retry_after: CROWD_RETRY }) }
        });
        let (entry, prepared) = prepare(&state, at, room.as_ref().map(|_| ()).map_err(Clone::clone));
        let entry = Entry { subject: trip.whom.subject(), ..entry };
        let prepared = match prepared.and_then(|step| room.map(|outbound| (step, outbound))) {
            Err(refusal) => {
                log_refusal(call, trip.op, &refusal);
                let outcome = refusal.outcome();
                self.record(call, trip.op, at, outcome, &[Entry { outcome, ..entry }])?;
                return Err(refusal);
            }
            Ok((Step::Answer(answer), _)) => {
                self.record(call, trip.op, at, entry.outcome, &[entry])?;
                reply(Ok(answer));
                return Ok(());
            }
            Ok((Step::Go(prepared), outbound)) => slot.map(|slot| (prepared, outbound, slot)),
        };
        let Some((prepared, outbound, slot)) = prepared else { return Err(Refusal::Internal) };
        let noted = Noted {
            object: entry.object.to_owned(),
            rule: entry.rule.to_owned(),
            key: entry.key.to_owned(),
            key_version: entry.key_version,
            token_id: entry.token_id,
            cut: entry.cut,
        };
        let (caller, request_id, arrived) = (call.caller.clone(), call.request_id.to_owned(), call.arrived);
        let (authority, landed) = (Arc::clone(self), AtomicBool::new(false));
        let flight = Arc::new(Flight { authority, trip, caller, request_id, arrived, at, noted, landed });
        outbound.run(slot, async move {
            let done = match flight.take_off().await {
                Ok(()) => {
                    let done = go(Arc::clone(&flight), prepared).await;
                    flight.land(done.as_ref().err()).await;
                    done
                }
                Err(refusal) => Err(refusal),
            };
            reply(done);
        });
        Ok(())
    }
}

impl Flight {
    /// The authority.
    pub(super) fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Asks the vendor, and counts what came of it: `read` makes something of the answer, and says in a word how it was.
    /// Words and `action` become labels of metrics: there are few, and none comes from outside.
    pub(super) async fn ask<T>(
        &self,
        action: &'static str,
        request: Request,
        allowed: &[String],
        limit: Duration,
        read: impl FnOnce(&Answer) -> (&'static str, T),
    ) -> Result<T, VendorFault> {
        let vendor = self.trip.vendor;
        let outbound = self.authority.outbound.as_ref();
        let begun = Instant::now();
        let (result, done) = match outbound.ok_or(super::vendor::GONE) {
            Ok(outbound) => match outbound.send(request, allowed, limit).await {
                Ok(answer) => {
                    let (result, read) = read(&answer);
                    (result, Ok(read))
                }
                Err(fault) => (fault.problem.name(), Err(fault)),
            },
            Err(gone) => (gone.problem.name(), Err(gone)),
        };
        self.authority.metrics.outbound.note(vendor.name(), action, result, begun.elapsed());
        done.map_err(|fault| VendorFault::of(vendor, fault))
    }

    /// Puts the grant on record, unless it is too late for the call.
    async fn take_off(&self) -> Result<(), Refusal> {
        let begun = if Instant::now() >= self.trip.deadline {
            Err(Refusal::DeadlineExceeded)
        } else {
            self.on_record(Outcome::Done).await
        };
        if let Err(refusal) = &begun {
            self.refused(refusal);
            self.count(refusal.outcome());
        }
        begun
    }

    /// Counts how the call ended. What ended otherwise than granted is on record a second time, under the same id.
    async fn land(&self, refusal: Option<&Refusal>) {
        let Some(refusal) = refusal else { return self.count(Outcome::Done) };
        self.refused(refusal);
        // The grant is on record; that it came to nothing is no grant, and keeps nobody from being told.
        let _ = self.on_record(refusal.outcome()).await;
        self.count(refusal.outcome());
    }

    async fn on_record(&self, outcome: Outcome) -> Result<(), Refusal> {
        let Some(journal) = self.authority.journal() else { return Ok(()) };
        let receipt = self.as_event(outcome, |event| journal.record(event)).map_err(|_| Refusal::Unrecorded)?;
        match receipt {
            Some(receipt) => receipt.await.map_err(|_| Refusal::Unrecorded),
            None => Ok(()),
        }
    }

    fn count(&self, outcome: Outcome) {
        if !self.landed.swap(true, Ordering::Relaxed) {
            self.as_event(outcome, |event| self.authority.metrics.observe(event));
        }
    }

    fn refused(&self, refusal: &Refusal) {
        self.as_call(|call| log_refusal(call, self.trip.op, refusal));
    }

    fn as_event<T>(&self, outcome: Outcome, tell: impl FnOnce(&crate::audit::Event<'_>) -> T) -> T {
        let Noted { object, rule, key, key_version, token_id, cut } = &self.noted;
        let entry = Entry {
            object,
            rule,
            key,
            key_version: *key_version,
            token_id: *token_id,
            subject: self.trip.whom.subject(),
            cut: *cut,
            ..Entry::bare(outcome)
        };
        self.as_call(|call| tell(&event(call, self.trip.op, self.at, outcome, &[entry])))
    }

    fn as_call<T>(&self, tell: impl FnOnce(Call<'_>) -> T) -> T {
        let (allowance, slip) = (Allowance::new(self.arrived), Slip::default());
        let Self { caller, request_id, arrived, .. } = self;
        tell(Call { caller, request_id, arrived: *arrived, allowance: &allowance, slip: &slip })
    }
}

/// However it ends, it is counted: also where what asked the vendor broke.
impl Drop for Flight {
    fn drop(&mut self) {
        self.count(Refusal::Internal.outcome());
    }
}
