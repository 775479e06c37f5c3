//! A glance into a ledger's file, for commands that work on files: a service may have it open meanwhile, or none may run.

use std::{collections::BTreeMap, path::Path};

use super::{sqlite, usage::Name};
use crate::keyring::Evidence;

/// What a ledger holds of one keyring at a moment.
#[derive(PartialEq, Eq, Debug)]
pub struct Glance {
    /// The random name of the ledger, 32 hexadecimal digits.
    pub id: String,
    /// Where it is.
    pub path: String,
    /// The highest generation of the keyring that was seen; 0 where it is unknown.
    pub generation: u64,
    /// What is known of the use of its versions, by all processes. Of those that run it is stored ahead of use.
    pub used: BTreeMap<Name, Evidence>,
}

/// Looks what the ledger in this file holds of a keyring, changing nothing; `None` where no ledger is there.
///
/// # Errors
/// Why it cannot be read, in one line that says what to do.
pub fn glance(path: &Path, keyring: &str) -> Result<Option<Glance>, String> {
    sqlite::glance(path, keyring)
}
