//! All that the stand-ins know, in memory, and gone with the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    acme, countersign::Countersign, faults::Faults, hub, liveauth::accounts::Accounts, origins::Origins, trace::Trace,
};

/// One for the process.
pub(crate) struct World {
    pub(crate) origins: Origins,
    pub(crate) countersign: Countersign,
    pub(crate) trace: Trace,
    faults: Mutex<Faults>,
    accounts: Mutex<Accounts>,
    login: Mutex<String>,
    hub: Mutex<hub::memory::Memory>,
    acme: Mutex<acme::memory::Memory>,
}

impl World {
    pub(crate) fn new(origins: Origins, countersign: &str) -> Result<Self, String> {
        Ok(Self {
            origins,
            countersign: Countersign::at(countersign)?,
            trace: Trace::default(),
            faults: Mutex::default(),
            accounts: Mutex::default(),
            login: Mutex::default(),
            hub: Mutex::default(),
            acme: Mutex::default(),
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

    /// Keeps the token of the job site's login, until it is completed.
    pub(crate) fn keep_login(&self, token: String) {
        *locked(&self.login) = token;
    }

    /// That token.
    pub(crate) fn kept_login(&self) -> String {
        locked(&self.login).clone()
    }

    /// What Hub keeps.
    pub(crate) fn hub(&self) -> MutexGuard<'_, hub::memory::Memory> {
        locked(&self.hub)
    }

    /// What the app keeps.
    pub(crate) fn acme(&self) -> MutexGuard<'_, acme::memory::Memory> {
        locked(&self.acme)
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
