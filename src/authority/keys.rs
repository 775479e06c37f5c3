//! Looking at keys: what there is, where each version stands, and what is known of its use. Nothing here reaches material.

use super::{
    Authority, Call, Custody, KeyKind, KeyState, Refusal, Suite,
    allowance::Due,
    desk::{self, Admitted},
};
use crate::{
    audit::{Entry, Op, Outcome, Subject},
    clock::UnixSeconds,
    keyring::{Destruction, Evidence, Key, Version},
    policy::{Object, VerbName, verb},
};

/// The keys that a caller may look after.
pub struct KeysShown {
    /// The keyring's random id.
    pub keyring_id: String,
    /// How often the keyring was changed.
    pub generation: u64,
    /// Whether keys can be changed here.
    pub writable: bool,
    /// The keys, by name.
    pub keys: Vec<KeyShown>,
    /// The ledger that their use is known by.
    pub ledger: Option<UsageLedger>,
}

/// A ledger, by what tells it from others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageLedger {
    /// Its random id.
    pub id: String,
    /// Where it is.
    pub path: String,
}

/// A key, as it stands at a moment.
#[derive(Debug)]
pub struct KeyShown {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: KeyKind,
    /// The number of the version that mints; 0 for none.
    pub active_version: u32,
    /// All versions, in the order of their numbers.
    pub versions: Vec<VersionShown>,
}

/// A version, as it stands at a moment.
#[derive(Debug)]
pub struct VersionShown {
    /// Its number.
    pub number: u32,
    /// Where it stands.
    pub state: KeyState,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub activates_at: i64,
    /// When another takes over, or took over, Unix seconds.
    pub deactivates_at: Option<i64>,
    /// When it was set aside, Unix seconds.
    pub suspended_at: Option<i64>,
    /// When it was said to be known to others, Unix seconds.
    pub compromised_at: Option<i64>,
    /// When its material was taken away, Unix seconds.
    pub destroyed_at: Option<i64>,
    /// For hat1: its public id, hexadecimal; else empty.
    pub kid: String,
    /// For hat1: what it seals with.
    pub suite: Option<Suite>,
    /// What is known of its use.
    pub usage: Evidence,
    /// What destroying it means.
    pub destruction: Destruction,
}

impl KeyShown {
    /// A key at `now`.
    #[must_use]
    pub fn of(key: &Key, now: UnixSeconds) -> Self {
        let versions = key.versions().iter().map(|version| VersionShown::of(key, version, now));
        Self {
            name: key.name.as_str().to_owned(),
            kind: key.kind,
            active_version: key.active(now).map_or(0, |version| version.number),
            versions: versions.collect(),
        }
    }

    /// What to say after a change that left nothing to mint with.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let Self { name, active_version, .. } = self;
        (*active_version == 0).then(|| {
            format!("key {name} has no active version: nothing is minted with it until one is resumed or takes over")
        })
    }
}

impl VersionShown {
    /// A version of `key` at `now`.
    #[must_use]
    pub fn of(key: &Key, version: &Version, now: UnixSeconds) -> Self {
        let seconds = |at: Option<UnixSeconds>| at.map(|at| at.0);
        let usage = version.usage.by_all();
        Self {
            number: version.number,
            state: key.state(version, now),
            created_at: version.created_at.0,
            activates_at: version.activates_at.0,
            deactivates_at: seconds(key.deactivates_at(version)),
            suspended_at: seconds(version.marked.suspended_at),
            compromised_at: seconds(version.marked.compromised_at),
            destroyed_at: seconds(version.marked.destroyed_at),
            kid: version.kid.map(|kid| kid.to_string()).unwrap_or_default(),
            suite: version.suite,
            usage,
            destruction: usage.judge(&key.standing(version, now), now),
        }
    }
}

impl Authority {
    /// Shows the keys that the caller may look after.
    ///
    /// # Errors
    /// A [`Refusal`]: none at all, by the rules.
    pub fn list_keys(&self, call: Call<'_>) -> Result<KeysShown, Refusal> {
        self.unary(call, Op::ListKeys, Subject::NOBODY, |state, now| {
            if !state.policy.allows_on_some_key(call.caller, VerbName::Admin) {
                let refusal = Refusal::NoRule(VerbName::Admin);
                return (Entry::bare(refusal.outcome()), Err(refusal));
            }
            let writable = self.custody.as_ref().is_some_and(Custody::writable);
            let named = |name| state.policy.permit::<verb::Admin>(call.caller, Object::Key(name)).is_ok();
            let keys = state.ring.keys().filter(|key| named(key.name.as_str()));
            let shown = KeysShown {
                keyring_id: state.keyring.id.clone(),
                generation: state.keyring.generation,
                writable,
                keys: keys.map(|key| KeyShown::of(key, now)).collect(),
                ledger: self.usage_ledger(),
            };
            (Entry::bare(Outcome::Done), Ok(shown))
        })
    }

    /// The ledger that the use of keys is known by, if there is one.
    #[must_use]
    pub fn usage_ledger(&self) -> Option<UsageLedger> {
        self.ledger().map(|ledger| UsageLedger { id: ledger.id().to_owned(), path: ledger.path().to_owned() })
    }

    /// Shows one key.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn key(&self, call: Call<'_>, name: &str) -> Result<KeyShown, Refusal> {
        self.unary(call, Op::GetKey, Subject::NOBODY, |state, now| {
            let admitted: Admitted<'_, Key, verb::Admin> = match desk::key(state, call.caller, name) {
                Ok(admitted) => admitted,
                Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
            };
            let name = admitted.object.name.as_str();
            let entry =
                Entry { object: name, key: name, rule: &admitted.permit.rule().name, ..Entry::bare(Outcome::Done) };
            match Due::Unit(&state.policy, call).pay(&admitted.permit) {
                Ok(()) => (entry, Ok(KeyShown::of(admitted.object, now))),
                Err(refusal) => (Entry { outcome: refusal.outcome(), ..entry }, Err(refusal)),
            }
        })
    }
}
