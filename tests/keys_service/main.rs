//! `KeyService` of the real binary: on which listeners it is, who may use it, what its changes do at once, what they leave
//! in the journal, and that the command line says the same through it as on the files.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod agreeing;
mod changing;
mod explaining;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../tls/guarded.rs"]
mod guarded;
mod insisting;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../tls/issuer.rs"]
mod issuer;
mod killing;
mod looking;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../tls/peer.rs"]
mod peer;
mod reach;
mod secrecy;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../it/service.rs"]
mod service;
mod wire;
