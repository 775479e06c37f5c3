//! Keeps the use of key versions in the ledger, ahead of use: what a version may still issue is stored before it may issue
//! it, so that a crash makes too much of it and never too little. Versions that issue nothing any more are settled: what is
//! stored of them is what was used, exactly.
//!
//! All of it happens on a thread of its own, at the start, on reloads and at the end; a call only looks whether it is
//! within what is stored, and is refused if it is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::Failure;
use crate::{
    authority::{Authority, State},
    clock::UnixSeconds,
    keyring::{
        Evidence, Key, KeyKind, Reserve, Usage, Version,
        ahead::{self, Furthest, Step},
    },
    ledger::{Ledger, Name, Unkept, UsageRow, by_version},
};

/// How often it is looked whether more has to be stored.
const TICK: Duration = Duration::from_secs(1);
/// How often times of use are stored, and it is read what others stored: those are for people.
const TIMES: Duration = Duration::from_secs(60);
/// How long a version has issued nothing when it is settled: calls that began before are over. Were one not, it would be
/// refused.
const SETTLE: Duration = Duration::from_secs(60);
/// Seconds before its activation from which on a version is made ready to issue.
const LEAD: i64 = 300;

/// Looks after the use of all versions.
pub(super) struct Reserves {
    authority: Arc<Authority>,
    held: Mutex<Held>,
}

/// Their thread; ends with what this was made for.
pub(super) struct Reserving {
    reserves: Arc<Reserves>,
    end: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

/// Versions that were taken up, and are about to serve.
pub(super) struct Prepared<'k> {
    held: MutexGuard<'k, Held>,
    taken: Result<(), Unkept>,
}

/// What is stored.
#[derive(Default)]
struct Held {
    /// Of which keyring.
    keyring: String,
    /// Since when the ledger has known that keyring.
    known: Option<UnixSeconds>,
    own: BTreeMap<Name, Evidence>,
    others: BTreeMap<Name, Evidence>,
    /// Versions that serve, or are about to.
    versions: BTreeMap<Name, Looked>,
    looked_at_others: Option<Instant>,
    is_short: bool,
    /// Nothing is issued any more.
    is_over: bool,
}

/// A version that is looked after.
struct Looked {
    usage: Arc<Usage>,
    bound: Reserve,
    stored: Option<Evidence>,
    stored_at: Instant,
    /// Since when it issues nothing.
    idle_since: Option<Instant>,
}

impl Reserves {
    /// Takes up what the ledger knows, and stores what the state that serves may need. Nothing where there is no ledger.
    ///
    /// # Errors
    /// The ledger does not take it.
    pub(super) fn start(authority: &Arc<Authority>) -> Result<Option<Reserving>, Failure> {
        if authority.ledger().is_none() {
            return Ok(None);
        }
        let reserves = Arc::new(Self { authority: Arc::clone(authority), held: Mutex::default() });
        let state = authority.state();
        let Prepared { taken, .. } = reserves.prepare(&state).map_err(Failure::usage)?;
        taken
            .map_err(|Unkept| Failure::usage("ledger: it does not take how far keys may be used; the log says why"))?;
        let (end, ended) = mpsc::channel();
        let on_it = Arc::clone(&reserves);
        let thread = thread::Builder::new()
            .name("evidence".into())
            .spawn(move || {
                while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    on_it.tick();
                }
            })
            .map_err(|error| Failure::ours(format!("no thread for the use of keys: {error}")))?;
        Ok(Some(Reserving { reserves, end, thread }))
    }

    /// Takes up the versions of a state that is about to serve, and stores what they may need: one that is new issues
    /// nothing before. To be held on to until the state serves.
    ///
    /// # Errors
    /// It cannot be read what the ledger knows of them; one line.
    pub(super) fn prepare(&self, state: &State) -> Result<Prepared<'_>, String> {
        let now = self.authority.clock().now();
        let mut held = self.held();
        let Some(ledger) = self.authority.ledger().filter(|_| !held.is_over) else {
            return Ok(Prepared { held, taken: Ok(()) });
        };
        held.take_up(ledger, state, now)
            .map_err(|Unkept| "ledger: it cannot be read how keys were used; the log says why".to_owned())?;
        let taken = held.advance(ledger, state, now);
        Ok(Prepared { held, taken })
    }

    fn tick(&self) {
        let Some(ledger) = self.authority.ledger() else { return };
        let state = self.authority.state();
        let (mut held, now) = (self.held(), self.authority.clock().now());
        // A reload that was given up may have left others.
        let taken = held.take_up(ledger, &state, now).and_then(|()| held.advance(ledger, &state, now));
        held.note_shortage(taken.is_err());
        held.look_at_others(ledger);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prepared<'_> {
    /// The versions serve. What was not stored is so later; what is not issues nothing.
    pub(super) fn serve(mut self) {
        self.held.note_shortage(self.taken.is_err());
    }
}

impl Reserving {
    /// The reserves themselves.
    pub(super) fn reserves(&self) -> &Arc<Reserves> {
        &self.reserves
    }

    /// Ends it: nothing is issued any more, and what is stored is what was used.
    pub(super) fn close(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::error!("the thread for the use of keys broke; the log has more");
        }
        let Some(ledger) = self.reserves.authority.ledger() else { return };
        if self.reserves.held().settle(ledger).is_err() {
            tracing::warn!("the ledger does not take the exact use of keys; what it holds makes too much of it");
        }
    }
}

impl Held {
    /// Makes the versions of `state` known, with what is stored of them.
    fn take_up(&mut self, ledger: &Ledger, state: &State, now: UnixSeconds) -> Result<(), Unkept> {
        let keyring = &state.keyring().id;
        if self.keyring != *keyring {
            let used = ledger.usage(keyring, true)?;
            let (own, others) = (by_version(&used.own), by_version(&used.others));
            let known = own.values().chain(others.values()).filter_map(|evidence| evidence.known_since).min();
            // A key that is in the keyring before as well goes on as far as was stored there, until it is stored here.
            let names: BTreeSet<_> = versions(state).map(name_of).collect();
            self.versions.retain(|name, looked| {
                (looked.bound, looked.stored) = (Reserve::NOTHING, None);
                names.contains(name)
            });
            (self.keyring, self.known, self.own, self.others) = (keyring.clone(), known, own, others);
        }
        for (key, version) in versions(state) {
            let name = name_of((key, version));
            if !self.versions.get(&name).is_some_and(|looked| Arc::ptr_eq(&looked.usage, &version.usage)) {
                let looked = self.looked_after(&name, version, now);
                self.versions.insert(name, looked);
            }
        }
        self.known = self.known.or(Some(now));
        Ok(())
    }

    fn looked_after(&self, name: &Name, version: &Version, now: UnixSeconds) -> Looked {
        // A reload that was given up leaves versions that nobody used.
        let before = self.versions.get(name);
        let others = self.others.get(name).copied().unwrap_or_default();
        let stored = before.map_or_else(|| self.own.get(name).copied(), |before| before.stored);
        let known = before.map(|before| before.usage.evidence()).or(stored).unwrap_or_default();
        // Of whom nothing is stored, all that is known begins here.
        let since = known.known_since.or(others.known_since);
        let since = since.unwrap_or_else(|| ahead::known_since(version.created_at, self.known, now));
        version.usage.reserve(Reserve::NOTHING);
        version.usage.adopt(&Evidence { known_since: Some(since), ..known });
        version.usage.note_others(others);
        let usage = Arc::clone(&version.usage);
        Looked { usage, bound: Reserve::NOTHING, stored, stored_at: Instant::now(), idle_since: None }
    }

    /// Stores what has to be stored by now, and sets the bounds that it reaches.
    fn advance(&mut self, ledger: &Ledger, state: &State, now: UnixSeconds) -> Result<(), Unkept> {
        let mut rows = Vec::new();
        let mut is_there = BTreeSet::new();
        for (key, version) in versions(state) {
            let name = name_of((key, version));
            let Some(looked) = self.versions.get_mut(&name) else { continue };
            let furthest = if issues(key, version, now) { state.furthest(key, now) } else { None };
            if let Some((row, bound)) = looked.next(key.kind, furthest) {
                rows.push((name.clone(), row, bound));
            }
            is_there.insert(name);
        }
        // What is in no state any more is settled like all that issues nothing, and then forgotten.
        self.versions.retain(|name, looked| {
            if is_there.contains(name) {
                return true;
            }
            let next = looked.next(KeyKind::Hat1, None);
            let is_done = next.is_none() && looked.bound == Reserve::NOTHING;
            rows.extend(next.map(|(row, bound)| (name.clone(), row, bound)));
            !is_done
        });
        self.store(ledger, rows)
    }

    /// Ends all use, and stores what it came to.
    fn settle(&mut self, ledger: &Ledger) -> Result<(), Unkept> {
        self.is_over = true;
        let settled = self.versions.iter_mut().map(|(name, looked)| {
            looked.bound = Reserve::NOTHING;
            (name.clone(), looked.usage.settle(), Reserve::NOTHING)
        });
        let rows = settled.collect();
        self.store(ledger, rows)
    }

    fn store(&mut self, ledger: &Ledger, rows: Vec<(Name, Evidence, Reserve)>) -> Result<(), Unkept> {
        let receipts =
            ledger.put_usage(&self.keyring, rows.iter().map(|(name, row, _)| UsageRow::of(name, row)).collect());
        let mut all = Ok(());
        for ((name, row, bound), receipt) in rows.into_iter().zip(receipts) {
            // Whoever is late once is not waited for again.
            let kept = if all.is_ok() { ledger.wait(receipt) } else { receipt.wait(Duration::ZERO) };
            if let (Ok(()), Some(looked)) = (kept, self.versions.get_mut(&name)) {
                if bound != looked.bound {
                    looked.usage.reserve(bound);
                    looked.bound = bound;
                }
                (looked.stored, looked.stored_at) = (Some(row), Instant::now());
                self.own.insert(name, row);
            }
            all = all.and(kept);
        }
        all
    }

    fn note_shortage(&mut self, is_short: bool) {
        let was_short = std::mem::replace(&mut self.is_short, is_short);
        if is_short && !was_short {
            tracing::error!(
                "the ledger does not take how far keys may be used; they mint and seal as far as it has taken already, and not beyond"
            );
        }
    }

    fn look_at_others(&mut self, ledger: &Ledger) {
        if self.looked_at_others.is_some_and(|at| at.elapsed() < TIMES) {
            return;
        }
        self.looked_at_others = Some(Instant::now());
        // Where it cannot be read, what was read before stands; the log has said why.
        if let Ok(used) = ledger.usage(&self.keyring, true) {
            self.others = by_version(&used.others);
            for (name, looked) in &self.versions {
                looked.usage.note_others(self.others.get(name).copied().unwrap_or_default());
            }
        }
    }
}

impl Looked {
    /// What is to be stored of it now, and the bound that it reaches then. `furthest` says how far it may issue,
    /// if it issues anything.
    fn next(&mut self, kind: KeyKind, furthest: Option<Furthest>) -> Option<(Evidence, Reserve)> {
        let is_due = self.stored_at.elapsed() >= TIMES || self.stored.is_none();
        let Some(furthest) = furthest else {
            let idle_since = *self.idle_since.get_or_insert_with(Instant::now);
            if self.bound != Reserve::NOTHING && idle_since.elapsed() < SETTLE {
                return None;
            }
            let is_settled = self.bound == Reserve::NOTHING;
            let row = if is_settled { self.usage.evidence() } else { self.usage.settle() };
            self.bound = Reserve::NOTHING;
            let is_exact = self.stored.is_some_and(|stored| exact(&stored) == exact(&row));
            return (self.stored != Some(row) && (is_due || !is_exact)).then_some((row, Reserve::NOTHING));
        };
        self.idle_since = None;
        let known = self.usage.evidence();
        let bound = match ahead::step(kind, self.bound, &known, furthest) {
            Step::Keep => {
                let row = known.stored_with(self.bound);
                return (is_due && self.stored != Some(row)).then_some((row, self.bound));
            }
            Step::Raise(bound) => bound,
            Step::Lower(bound) => {
                // First the bound, then the record: whatever was issued beyond it is in what is known now.
                self.usage.reserve(bound);
                self.bound = bound;
                bound
            }
        };
        Some((self.usage.evidence().stored_with(bound), bound))
    }
}

/// What must not be too little, without the times.
fn exact(evidence: &Evidence) -> (u64, Option<UnixSeconds>, Option<UnixSeconds>) {
    (evidence.seals, evidence.latest_expiry, evidence.known_since)
}

fn versions(state: &State) -> impl Iterator<Item = (&Key, &Version)> {
    state.ring().keys().flat_map(|key| key.versions().iter().map(move |version| (&**key, version)))
}

fn name_of((key, version): (&Key, &Version)) -> Name {
    (key.name.clone(), version.number)
}

/// Whether the version issues, or is about to.
fn issues(key: &Key, version: &Version, now: UnixSeconds) -> bool {
    let is_next = version.mark.is_none() && version.activates_at > now && version.activates_at <= now.plus(LEAD);
    is_next || key.active(now).is_some_and(|active| active.number == version.number)
}
