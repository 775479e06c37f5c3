//! Changing keys. A worker asks the rules; what they allow goes to the one thread that may touch the keyring, which works
//! orders off one at a time: edit, swap, record, answer. Whoever ordered waits, or does not: once begun, a change is
//! finished and recorded.

mod order;
mod schedule;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::Instant,
};

use super::{Allowance, Authority, Call, KeyShown, Refusal, Slip, VersionShown, allowance::Due, log_refusal};
use crate::{
    audit::{Entry, Op, Outcome, Receipt},
    clock::UnixSeconds,
    keyring::{Destruction, Key, KeyName, Version},
    policy::{Caller, Object, VerbName, verb},
};

pub use order::{Changed, Edit, Edited, KeysProblem, Order};

/// Orders that may wait for the one under way.
const QUEUE: usize = 16;

/// Who may touch the keyring: one, on a thread of its own.
pub trait Keeper {
    /// Makes the change on disk, and puts it in force.
    ///
    /// # Errors
    /// A [`Refusal`]: the keyring is as it was.
    fn edit(&mut self, order: Order, now: UnixSeconds) -> Result<Edited, Refusal>;

    /// Stages a successor of a hat1 key that gets one every `every` seconds; nothing where its time has not come, because
    /// another process on the same keyring was first.
    ///
    /// # Errors
    /// A [`Refusal`]: the keyring is as it was.
    fn rotate_when_due(&mut self, key: &KeyName, every: i64, now: UnixSeconds) -> Result<Option<Edited>, Refusal>;

    /// Reads all files again; gives the keyring's generation.
    ///
    /// # Errors
    /// Why what they hold is not taken.
    fn reload(&mut self) -> Result<u64, Refusal>;
}

/// What a keeper is handed.
pub type Task = Box<dyn FnOnce(&mut dyn Keeper) + Send>;

/// The way to the keeper.
pub struct Custody {
    tasks: mpsc::SyncSender<Task>,
    writable: bool,
}

impl Custody {
    /// A way, and its end, from which a keeper's thread takes one task after the other.
    #[must_use]
    pub fn new(writable: bool) -> (Self, mpsc::Receiver<Task>) {
        let (tasks, taken) = mpsc::sync_channel(QUEUE);
        (Self { tasks, writable }, taken)
    }

    /// Whether keys can be changed, or only reloaded.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Hands a task over without waiting.
    ///
    /// # Errors
    /// Too many are waiting, or the keeper has gone.
    pub fn take(&self, task: Task) -> Result<(), Refusal> {
        self.tasks.try_send(task).map_err(|refused| match refused {
            mpsc::TrySendError::Full(_) => Refusal::Overloaded { retry_after: super::refusal::CUSTODY_RETRY },
            mpsc::TrySendError::Disconnected(_) => stopping(),
        })
    }
}

/// The refusal of a service that ends.
#[must_use]
pub fn stopping() -> Refusal {
    Refusal::Keys(KeysProblem::Stopping, "the service is stopping; ask again when it is back".into())
}

/// Why a version is not destroyed without force, by what is known of its use; `None` where that stands in no way.
#[must_use]
pub fn still_needed(key: &Key, version: &Version, now: UnixSeconds) -> Option<String> {
    let destruction = version.usage.by_all().judge(&key.standing(version, now), now);
    let is_needed = match destruction {
        Destruction::Issued { .. }
        | Destruction::NeverExpires { .. }
        | Destruction::Unknown { .. }
        | Destruction::PreActive { .. } => true,
        Destruction::Safe { .. } | Destruction::Active | Destruction::Done => false,
    };
    let (name, number) = (&key.name, version.number);
    is_needed.then(|| format!("version {number} of key {name}: {destruction}; to destroy it all the same, say force"))
}

impl Authority {
    /// Whether a version may be destroyed without force: where what is known of its use says that nothing breaks. What its
    /// state forbids is said by the keystore.
    fn insist(&self, name: &KeyName, edit: &Edit, now: UnixSeconds) -> Result<(), Refusal> {
        let Edit::Destroy { number, force: false } = *edit else { return Ok(()) };
        let state = self.state();
        let Some(key) = state.ring.key(name) else { return Ok(()) };
        let Some(version) = key.version(number) else { return Ok(()) };
        still_needed(key, version, now).map_or(Ok(()), |text| Err(Refusal::Keys(KeysProblem::StillNeeded, text)))
    }

    /// Orders a change to a key; `reply` is called once, from the keeper's thread, when it is in force and on record. From
    /// `deadline` on an order is not begun any more.
    ///
    /// # Errors
    /// A [`Refusal`], which is on record; `reply` is not called then.
    pub fn change_key(
        self: &Arc<Self>,
        call: Call<'_>,
        deadline: Instant,
        op: Op,
        name: &str,
        edit: Result<Edit, Refusal>,
        reply: impl FnOnce(Result<Changed, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let now = self.clock.now();
        // Policy before form: whoever may not ask learns nothing of how to.
        let admitted = self.admit_change(call, name).and_then(|(key, rule)| Ok((key, rule, edit?)));
        let (key, rule, edit) = admitted.or_else(|refusal| self.refused(call, op, now, refusal))?;
        let ticket = Ticket::of(call, op, rule, key.as_str(), edit.number());
        let authority = Arc::clone(self);
        let handed = self.hand(move |keeper| {
            let now = authority.clock.now();
            let done = ticket.begin(&authority, deadline, || {
                authority.insist(&key, &edit, now)?;
                keeper.edit(Order { key: key.clone(), edit }, now)
            });
            reply(authority.conclude(&ticket, &key, now, done));
        });
        handed.or_else(|refusal| self.refused(call, op, now, refusal))
    }

    /// Orders a reload of all files; else as [`Authority::change_key`]. Gives the keyring's generation.
    ///
    /// # Errors
    /// A [`Refusal`], which is on record; `reply` is not called then.
    pub fn reload_files(
        self: &Arc<Self>,
        call: Call<'_>,
        deadline: Instant,
        reply: impl FnOnce(Result<u64, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let (op, now) = (Op::Reload, self.clock.now());
        if !self.state.load().policy.allows_on_some_key(call.caller, VerbName::Admin) {
            return self.refused(call, op, now, Refusal::NoRule(VerbName::Admin));
        }
        let ticket = Ticket::of(call, op, String::new(), "", 0);
        let authority = Arc::clone(self);
        let handed = self.hand(move |keeper| {
            let now = authority.clock.now();
            let done = ticket.begin(&authority, deadline, || keeper.reload());
            let recorded =
                authority.on_record(&ticket, now, done.as_ref().map_or_else(Refusal::outcome, |_| Outcome::Done));
            reply(recorded.and(done));
        });
        handed.or_else(|refusal| self.refused(call, op, now, refusal))
    }

    /// The key's name and the name of the rule that allows it; policy before existence.
    fn admit_change(&self, call: Call<'_>, name: &str) -> Result<(KeyName, String), Refusal> {
        let name =
            KeyName::new(name).map_err(|_| Refusal::invalid("key", "a key's name is 1 to 64 of a-z 0-9 . _ -"))?;
        let state = self.state.load();
        let permit = state.policy.permit::<verb::Admin>(call.caller, Object::Key(name.as_str()));
        let permit = permit.map_err(|_| Refusal::NoRule(VerbName::Admin))?;
        Due::Unit(&state.policy, call).pay(&permit)?;
        if !self.custody.as_ref().is_some_and(Custody::writable) {
            let text = "keys cannot be changed through this service: set keyring.writable = true and restart it, or change \
                        them on the file with `countersign keys` and --config";
            return Err(Refusal::Keys(KeysProblem::ReadOnly, text.into()));
        }
        let rule = permit.rule().name.clone();
        Ok((name, rule))
    }

    fn hand(&self, work: impl FnOnce(&mut dyn Keeper) + Send + 'static) -> Result<(), Refusal> {
        self.custody.as_ref().ok_or_else(stopping)?.take(Box::new(work))
    }

    /// Records a refusal of what was not handed over.
    fn refused<T>(&self, call: Call<'_>, op: Op, now: UnixSeconds, refusal: Refusal) -> Result<T, Refusal> {
        log_refusal(call, op, &refusal);
        self.record(call, op, now, refusal.outcome(), &[Entry::bare(refusal.outcome())])?;
        Err(refusal)
    }

    /// Puts a change on record and says what came of it.
    fn conclude(
        &self,
        ticket: &Ticket,
        key: &KeyName,
        now: UnixSeconds,
        done: Result<Edited, Refusal>,
    ) -> Result<Changed, Refusal> {
        let (edited, result) = match done {
            Err(refusal) => (None, Err(refusal)),
            Ok(edited) => {
                let lacks = edited.lacks.as_ref().map(|problem| incomplete(key, &edited, problem));
                (Some(edited), lacks.map_or(Ok(()), Err))
            }
        };
        let outcome = result.as_ref().map_or_else(Refusal::outcome, |()| Outcome::Done);
        let number = edited.as_ref().map_or(ticket.number, |edited| edited.number);
        let recorded = self.on_record(&Ticket { number, ..ticket.clone() }, now, outcome);
        let Some(edited) = edited else { return recorded.and(result.and(Err(Refusal::Internal))) };
        result?;
        recorded.map_err(|_| incomplete(key, &edited, "the journal took no record of it; the log says why"))?;
        let state = self.state.load();
        let found = state.ring.key(key).and_then(|key| Some((key, key.version(edited.number)?)));
        let (key, version) = found.ok_or(Refusal::Internal)?;
        Ok(Changed {
            key: key.name.as_str().to_owned(),
            kind: key.kind,
            version: VersionShown::of(key, version, now),
            generation: edited.generation,
            warnings: edited.warnings.into_iter().chain(KeyShown::of(key, now).remark()).collect(),
        })
    }

    /// Makes the one record of an order, and waits for it.
    fn on_record(&self, ticket: &Ticket, now: UnixSeconds, outcome: Outcome) -> Result<(), Refusal> {
        let (allowance, slip) = (Allowance::new(ticket.arrived), Slip::default());
        let call = ticket.call(&allowance, &slip);
        let state = self.state.load();
        let known = KeyName::new(&ticket.object).is_ok_and(|name| state.ring.key(&name).is_some());
        let entry = Entry {
            object: &ticket.object,
            rule: &ticket.rule,
            // The name of a key that is not there would be a new label in metrics.
            key: if known { &ticket.object } else { "" },
            key_version: ticket.number,
            ..Entry::bare(outcome)
        };
        self.record(call, ticket.op, now, outcome, &[entry])?;
        slip.take().map_or(Ok(()), Receipt::wait).map_err(|_| Refusal::Unrecorded)
    }
}

fn incomplete(key: &KeyName, edited: &Edited, problem: &str) -> Refusal {
    let Edited { number, generation, .. } = edited;
    Refusal::Keys(
        KeysProblem::Incomplete,
        format!(
            "version {number} of key {key} is changed in the keyring (generation {generation}), but {problem}; mend that, and \
             do not ask again"
        ),
    )
}

/// A call that outlives its worker's part in it.
#[derive(Clone)]
struct Ticket {
    caller: Caller,
    request_id: String,
    arrived: Instant,
    op: Op,
    rule: String,
    object: String,
    number: u32,
}

impl Ticket {
    fn of(call: Call<'_>, op: Op, rule: String, object: &str, number: u32) -> Self {
        let Call { caller, request_id, arrived, .. } = call;
        let (caller, request_id, object) = (caller.clone(), request_id.to_owned(), object.to_owned());
        Self { caller, request_id, arrived, op, rule, object, number }
    }

    fn call<'a>(&'a self, allowance: &'a Allowance, slip: &'a Slip) -> Call<'a> {
        Call { caller: &self.caller, request_id: &self.request_id, arrived: self.arrived, allowance, slip }
    }

    /// Does the work, unless it is too late for it or could not be put on record.
    fn begin<T>(
        &self,
        authority: &Authority,
        deadline: Instant,
        work: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let done = if Instant::now() >= deadline {
            Err(Refusal::DeadlineExceeded)
        } else if authority.journal().is_some_and(|journal| journal.counters().fault().is_some()) {
            Err(Refusal::Unrecorded)
        } else {
            // The panic hook has reported it; here only this order ends.
            catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Refusal::Internal))
        };
        if let Err(refusal) = &done {
            let (allowance, slip) = (Allowance::new(self.arrived), Slip::default());
            log_refusal(self.call(&allowance, &slip), self.op, refusal);
        }
        done
    }
}

#[cfg(test)]
mod tests;
