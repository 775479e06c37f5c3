//! What the real service keeps of the use of key versions: ahead of use, exact once it stopped, never too little.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod kept;
#[expect(dead_code, reason = "shared with the tests of the whole service")]
#[path = "../it/service.rs"]
mod service;
mod shown;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign::{
    clock::Clock,
    keystore,
    ledger::{Ledger, UsageRow},
};

use crate::service::PATIENCE;

/// What the ledger in `at` knows of a version, by all processes, as anybody can read it at any time.
fn used(at: &Path, key: &str, version: u32) -> Vec<UsageRow> {
    let ledger = Ledger::open(&at.join("ledger.sqlite"), Clock::system(), Arc::default()).unwrap();
    let keyring = keystore::summary(&at.join("keyring")).unwrap().keyring_id;
    let rows = ledger.usage(&keyring, false).unwrap();
    rows.own.into_iter().chain(rows.others).filter(|row| row.key == key && row.version == version).collect()
}

/// The same where there is one row.
fn row(at: &Path, key: &str, version: u32) -> UsageRow {
    let rows = used(at, key, version);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.into_iter().next().unwrap()
}

/// Waits until it is so.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
