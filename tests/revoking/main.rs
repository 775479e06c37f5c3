//! Cutting off tokens, grants, users and apps, by the real binary: what it does, and that it lasts, whatever happens.

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
#[path = "../journal/tools.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod tools;

mod asking;
mod clock;
mod faults;
mod killing;
mod rules;
mod scale;
mod sharing;
