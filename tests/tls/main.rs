//! Mutual TLS against the real binary: who is let in, who is not and what is said about it, and how certificates change
//! under a running service. Peers are OpenSSL, curl, Envoy, the command line and rustls itself.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod bounds;
mod envoy;
mod guarded;
mod issuer;
mod peer;
mod provider;
mod refusals;
mod reloads;
#[allow(dead_code, reason = "this binary uses its part")]
#[path = "../it/service.rs"]
mod service;
mod serving;
mod startup;
