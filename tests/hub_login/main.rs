//! Logging in to Hub, through the real service and a stand-in for Hub that was made from Hub's documents alone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod asking;
mod delivering;
mod faults;
mod grpc;
mod hostile;
mod hub;
mod page;
mod renewing;
mod resolving;
mod secrecy;
#[allow(dead_code, reason = "this binary uses its part")]
#[path = "../it/service.rs"]
mod service;
