//! The journal of the real binary, and everything that can go wrong with it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip; metrics are numbers of floating point"
)]

#[path = "../it/service.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod service;

mod clock;
mod faults;
mod independent;
mod killing;
mod load;
mod records;
mod rotation;
mod tools;
mod verifying;
