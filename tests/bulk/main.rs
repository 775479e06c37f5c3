//! `countersign hub reseal --in FILE --out FILE`, the real binary against the real service.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "tests fail loudly"
)]

#[path = "../it/service.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod service;

mod cut_off;
mod desk;
mod formats;
mod limits;
mod refusals;
