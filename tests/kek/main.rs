//! Every source of the key that opens a keyring, by the command line and through a service.

#![expect(clippy::unwrap_used, unreachable_pub, reason = "tests fail loudly; what is shared is public in its module")]

mod credential;
mod descriptor;
mod independent;
mod kms;
mod memory;
mod place;
mod plugin;
mod rewrap;
#[path = "../hardening/search.rs"]
mod search;
#[path = "../it/service.rs"]
#[allow(dead_code, reason = "the harness has more than these tests use")]
mod service;

/// Says what a test needs and does not have; where everything must be there, that is a failure.
fn skip(what: &str) {
    // Past the capture of the test harness: a skip must be seen when all tests pass, too.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: needs {what}\n").as_bytes());
    assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {what}");
}
