//! Rotation on a schedule: done by the keeper's thread itself, and on record like any change to a key.

use std::time::Instant;

use super::{Authority, Keeper, Ticket};
use crate::{
    audit::Op,
    keyring::{Key, KeyName},
    policy::Caller,
};

/// Whom the record names. No listener gives this name to a caller, so a rule that names it grants nothing to anybody.
const CALLER: &str = "schedule";

/// What stands in the place of the rule.
const RULE: &str = "keyring.rotate";

impl Authority {
    /// Has the keeper rotate every key whose time has come, where `every` says at what interval, in seconds; whether none of
    /// that failed. Another replica on the same keyring may have been first, which is no failure.
    #[must_use]
    pub fn rotate_what_is_due(&self, keeper: &mut dyn Keeper, every: impl Fn(&KeyName) -> Option<i64>) -> bool {
        let now = self.clock.now();
        let state = self.state.load_full();
        let interval = |key: &Key| {
            let every = every(&key.name)?;
            key.rotates_at(every, now).filter(|at| *at <= now).map(|_| every)
        };
        let due: Vec<_> = state.ring.keys().filter_map(|key| Some((key.name.clone(), interval(key)?))).collect();
        drop(state);
        // Every one is tried, whatever becomes of the one before.
        due.iter().filter(|(key, every)| !self.rotate_one(keeper, key, *every)).count() == 0
    }

    fn rotate_one(&self, keeper: &mut dyn Keeper, key: &KeyName, every: i64) -> bool {
        if self.journal().is_some_and(|journal| journal.counters().fault().is_some()) {
            tracing::error!(key = %key, "a key is due for rotation, and the journal takes no record: it waits");
            return false;
        }
        let ticket = Ticket {
            caller: Caller::Named(CALLER.into()),
            request_id: String::new(),
            arrived: Instant::now(),
            op: Op::RotateKey,
            rule: RULE.into(),
            object: key.as_str().to_owned(),
            number: 0,
        };
        let now = self.clock.now();
        let Some(done) = keeper.rotate_when_due(key, every, now).transpose() else { return true };
        match self.conclude(&ticket, key, now, done) {
            Ok(changed) => {
                tracing::info!(
                    key = %key,
                    version = changed.version.number,
                    activates_at = changed.version.activates_at,
                    "rotated a key by schedule"
                );
                true
            }
            Err(refusal) => {
                tracing::error!(key = %key, %refusal, "a key is due for rotation and was not rotated");
                false
            }
        }
    }
}
