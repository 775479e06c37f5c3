//! Random histories of what operators do to a key, on a real keyring file, held against a model that plays them event by
//! event: the product computes every state from what is stored and the moment it is asked about.

use std::fs;

use countersign::{
    clock::UnixSeconds,
    crypto::aead::Suite,
    keyring::{Key, KeyKind, KeyName, State},
    keystore::{self, Change, KekSource, KeystoreError, Location, Rotation},
};
use proptest::{collection::vec, prelude::*};

/// What happens, `after` seconds from what happened before. Versions are named by a number that is taken modulo how many
/// there are, so that every history means something.
#[derive(Clone, Debug)]
struct Event {
    after: i64,
    deed: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    /// A successor, that many seconds ahead.
    Rotate(i64),
    Suspend(usize),
    /// With that many seconds until every replica knows it.
    Resume(usize, i64),
    Compromise(usize),
    Destroy(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let (seconds, version) = (0..40_i64, 0..6_usize);
    prop_oneof![
        4 => seconds.clone().prop_map(Deed::Rotate),
        3 => version.clone().prop_map(Deed::Suspend),
        4 => (version.clone(), seconds).prop_map(|(version, seconds)| Deed::Resume(version, seconds)),
        1 => version.clone().prop_map(Deed::Compromise),
        1 => version.prop_map(Deed::Destroy),
    ]
}

fn history(step: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Event>> {
    vec((step, deed()).prop_map(|(after, deed)| Event { after, deed }), 1..16)
}

/// A version as the model knows it.
struct Actor {
    due: i64,
    out: Option<State>,
    /// Whether its moment came, and whether it was there to take it.
    came: bool,
    took: bool,
}

/// The key as events made it. One version is on duty at a time.
#[derive(Default)]
struct Model {
    actors: Vec<Actor>,
    on_duty: Option<usize>,
}

impl Model {
    /// Lets the moments up to `now` come, one after the other.
    fn pass(&mut self, now: i64) {
        let mut coming: Vec<usize> = (0..self.actors.len()).filter(|&n| !self.actors[n].came).collect();
        coming.retain(|&n| self.actors[n].due <= now);
        coming.sort_by_key(|&n| (self.actors[n].due, n));
        for n in coming {
            self.actors[n].came = true;
            if self.actors[n].out.is_none() {
                self.actors[n].took = true;
                self.on_duty = Some(n);
            }
        }
    }

    fn add(&mut self, due: i64) {
        self.actors.push(Actor { due, out: None, came: false, took: false });
    }

    fn state(&self, n: usize) -> State {
        let actor = &self.actors[n];
        match actor.out {
            Some(out) => out,
            None if self.on_duty == Some(n) => State::Active,
            None if actor.came => State::Deactivated,
            None => State::PreActive,
        }
    }

    /// Does it, and says whether it was allowed.
    fn play(&mut self, deed: &Deed, now: i64) -> bool {
        self.pass(now);
        let allowed = match *deed {
            Deed::Rotate(ahead) => {
                let waits = |a: &Actor| a.out.is_none() && !a.came && a.due <= now + ahead;
                let free = !self.actors.iter().any(waits);
                if free {
                    self.add(now + ahead);
                }
                free
            }
            Deed::Suspend(n) => self.put_out(n, State::Suspended, |before| !is_out(before)),
            Deed::Compromise(n) => {
                self.put_out(n, State::Compromised, |before| !is_out(before) || before == State::Suspended)
            }
            Deed::Destroy(n) => {
                self.put_out(n, State::Destroyed, |before| before != State::Active && before != State::Destroyed)
            }
            Deed::Resume(n, ahead) => self.bring_back(n % self.actors.len(), now, now + ahead),
        };
        self.pass(now);
        allowed
    }

    fn put_out(&mut self, n: usize, out: State, allowed: impl Fn(State) -> bool) -> bool {
        let n = n % self.actors.len();
        let allowed = allowed(self.state(n));
        if allowed {
            self.actors[n].out = Some(out);
        }
        allowed
    }

    fn bring_back(&mut self, n: usize, now: i64, earliest: i64) -> bool {
        if self.actors[n].out != Some(State::Suspended) {
            return false;
        }
        self.actors[n].out = None;
        if self.actors[n].took {
            return true;
        }
        // Who comes after it, and takes or took their turn.
        let behind = |m: usize| (self.actors[m].due, m) > (self.actors[n].due, n);
        let serves = |m: usize| self.actors[m].took || (!self.actors[m].came && self.actors[m].out.is_none());
        let after: Vec<i64> =
            (0..self.actors.len()).filter(|&m| behind(m) && serves(m)).map(|m| self.actors[m].due).collect();
        if after.iter().all(|due| *due > now) {
            let latest = after.into_iter().min().map_or(earliest, |due| due.min(earliest));
            let due = self.actors[n].due.max(latest);
            (self.actors[n].due, self.actors[n].came) = (due, false);
        }
        true
    }
}

fn is_out(state: State) -> bool {
    matches!(state, State::Suspended | State::Compromised | State::Destroyed)
}

const BEGIN: i64 = 1_800_000_000;

/// A keyring with the key `k` of one version, active since [`BEGIN`].
struct Ring {
    location: Location,
    name: KeyName,
    _dir: tempfile::TempDir,
}

impl Ring {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let location = Location { keyring: dir.path().join("keyring"), kek: KekSource::File(dir.path().join("kek")) };
        let (name, now) = (KeyName::new("k").unwrap(), UnixSeconds(BEGIN));
        keystore::init(&location, now).unwrap();
        keystore::create(&location, &name, KeyKind::Hat1, Suite::Aes256Gcm, None, now).unwrap();
        Self { location, name, _dir: dir }
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.location.keyring).unwrap()
    }

    fn key(&self) -> Key {
        keystore::load(&self.location).unwrap().keys.remove(0)
    }

    fn play(&self, deed: &Deed, now: i64, versions: usize) -> Result<Change, KeystoreError> {
        let (at, now) = (&self.location, UnixSeconds(now));
        let number = |n: usize| u32::try_from(n % versions).unwrap() + 1;
        match *deed {
            Deed::Rotate(ahead) => {
                let (name, activates_at) = (&self.name, now.plus(ahead));
                let rotation = Rotation { name, secret: None, suite: None, activates_at, allow_sample: false };
                keystore::rotate(at, rotation, now)
            }
            Deed::Suspend(n) => keystore::suspend(at, &self.name, number(n), now),
            Deed::Resume(n, ahead) => keystore::resume(at, &self.name, number(n), now.plus(ahead), now),
            Deed::Compromise(n) => keystore::mark_compromised(at, &self.name, number(n), now),
            Deed::Destroy(n) => keystore::destroy(at, &self.name, number(n), now),
        }
    }
}

/// What holds whatever happened and whenever it is asked.
fn sound(key: &Key, now: i64) -> Result<(), TestCaseError> {
    let now = UnixSeconds(now);
    let active: Vec<u32> =
        key.versions().iter().filter(|v| key.state(v, now) == State::Active).map(|v| v.number).collect();
    prop_assert!(active.len() <= 1);
    prop_assert_eq!(key.active(now).map(|v| v.number), active.first().copied());
    let usable: Vec<u32> = key.usable().map(|v| v.number).collect();
    for version in key.versions() {
        let state = key.state(version, now);
        prop_assert_eq!(usable.contains(&version.number), state.verifies());
        prop_assert_eq!(state.verifies(), version.mark.is_none());
        let ends = key.deactivates_at(version);
        prop_assert!(state != State::Active || ends.is_none_or(|at| at > now));
        prop_assert!(state != State::Deactivated || ends.is_some_and(|at| at <= now));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_states_of_a_key_are_those_that_its_history_makes(history in history(0..30_i64)) {
        let (ring, mut model, mut now) = (Ring::new(), Model::default(), BEGIN);
        model.add(BEGIN);
        for Event { after, deed } in &history {
            now += after;
            model.pass(now);
            let before = ring.bytes();
            let done = ring.play(deed, now, model.actors.len());
            let allowed = model.play(deed, now);
            prop_assert_eq!(done.is_ok(), allowed, "{:?} at {}", deed, now - BEGIN);
            if !allowed {
                prop_assert!(matches!(done, Err(KeystoreError::NotAllowed(..) | KeystoreError::Staged(..))));
                prop_assert_eq!(ring.bytes(), before);
            }
            let key = ring.key();
            sound(&key, now)?;
            for (n, version) in key.versions().iter().enumerate() {
                prop_assert_eq!(key.state(version, UnixSeconds(now)), model.state(n), "version {} after {:?}", n + 1, deed);
            }
        }
        // And from then on, with nothing done any more.
        let key = ring.key();
        for later in now..now + 80 {
            model.pass(later);
            sound(&key, later)?;
            for (n, version) in key.versions().iter().enumerate() {
                prop_assert_eq!(key.state(version, UnixSeconds(later)), model.state(n), "version {} later", n + 1);
            }
        }
    }

    #[test]
    fn a_clock_that_steps_makes_no_two_versions_active_and_brings_nothing_back(history in history(-60..60_i64)) {
        let (ring, mut now) = (Ring::new(), BEGIN);
        let mut gone = Vec::new();
        for Event { after, deed } in &history {
            now += after;
            let versions = ring.key().versions().len();
            let change = ring.play(deed, now, versions);
            if let (Ok(change), Deed::Compromise(_) | Deed::Destroy(_)) = (&change, deed) {
                gone.push(change.number);
            }
            let key = ring.key();
            for moment in [BEGIN, now - 60, now, now + 60] {
                sound(&key, moment)?;
            }
            prop_assert!(key.usable().all(|version| !gone.contains(&version.number)));
        }
    }
}
