//! The real binary over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod bad_input;
mod cli;
mod drain;
mod http;
mod ledger;
mod reload;
mod rotation;
mod secrecy;
mod service;
mod startup;
mod verdicts;
