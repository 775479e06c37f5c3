//! The sealed keyring, through the library and on real files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "keystore/bad_files.rs"]
mod bad_files;
#[path = "keystore/changing.rs"]
mod changing;
#[path = "keystore/home.rs"]
mod home;
#[path = "keystore/marking.rs"]
mod marking;
#[path = "keystore/restoring.rs"]
mod restoring;
#[path = "keystore/rollback.rs"]
mod rollback;
