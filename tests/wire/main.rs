//! The transport over real sockets: what it refuses before any use case, limits, health, reflection, sockets, and a drain
//! that ends.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on fails, in its helpers too")]

mod events;
mod harness;
mod limits;
mod refusals;
mod serving;
mod sockets;
