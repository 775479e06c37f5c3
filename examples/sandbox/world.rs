//! All that the stand-ins know, in memory, and gone with the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{countersign::Countersign, faults::Faults, liveauth::accounts::Accounts, origins::Origins, trace::Trace};

/// One for the process.
pub(crate) struct World {
    pub(crate) origins: Origins,
    pub(crate) countersign: Countersign,
    pub(crate) trace: Trace,
    faults: Mutex<Faults>,
    accounts: Mutex<Accounts>,
}

impl World {
    pub(crate) fn new(origins: Origins, countersign: &str) -> Result<Self, String> {
        Ok(Self {
            origins,
            countersign: Countersign::at(countersign)?,
            trace: Trace::default(),
            faults: Mutex::default(),
            accounts: Mutex::default(),
        })
    }

    /// What goes wrong on purpose.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    /// What idibu keeps.
    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        locked(&self.accounts)
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unix time in seconds, by the clock of whoever it is that Countersign deals with.
#[expect(clippy::disallowed_methods, reason = "the vendors are other companies, with clocks of their own")]
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Hexadecimal digits that nobody guesses, two for each of `N` bytes.
pub(crate) fn random<const N: usize>() -> String {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    base16ct::lower::encode_string(&bytes)
}
