//! Who may do what: the order of rules against a slow model of it, and the real binary's rates, explanations and reloads.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod decisions;
mod model;
mod order;
mod polling;
mod rates;
#[expect(dead_code, reason = "shared with the tests of the whole service")]
#[path = "../it/service.rs"]
mod service;
