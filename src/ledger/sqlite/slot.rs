//! The place of one process among those that note use in a ledger. Each writes rows of its own, so that none takes back what
//! another has stored ahead; whoever comes after one that was killed takes its place, and goes on from its rows.
//!
//! A place is held by a lock on a file beside the ledger, which the system gives up with the process.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::Trouble;
use crate::metrics::LedgerFault;

/// Processes that note use in one ledger at a time.
const SLOTS: u32 = 16;

/// The place, held until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u32,
    _lock: File,
}

impl Slot {
    /// Takes the lowest that is free.
    pub(super) fn take(ledger: &Path) -> Result<Self, Trouble> {
        for number in 0..SLOTS {
            let mut path = ledger.to_owned().into_os_string();
            path.push(format!(".slot-{number}"));
            let io = |error: &std::io::Error| Trouble::new(LedgerFault::Io, format!("{}: {error}", path.display()));
            let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
            let lock = options.map_err(|error| io(&error))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { number, _lock: lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(io(&error)),
            }
        }
        Err(Trouble::new(LedgerFault::Locked, format!("{SLOTS} processes note use in it already")))
    }
}
