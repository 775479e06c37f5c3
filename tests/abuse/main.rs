//! Peers that do not keep to the protocol, or to good manners, against the real binary: it stays up, serves the others
//! meanwhile, holds no more memory than it should, and says in its metrics what happened.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod drain;
mod floods;
mod peer;
#[path = "../it/service.rs"]
#[allow(dead_code, reason = "shared with the other tests of the binary, which use the rest")]
mod service;
mod slow;
mod smuggling;
mod text;
mod victim;
