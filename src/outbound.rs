//! The one way out: calls to the two vendors over HTTPS, from a thread of its own, so that nothing on the way of an
//! ordinary call ever looks up a name, connects or speaks TLS.
//!
//! Whoever sends names the origins that are allowed. Redirects are not followed, proxies of the environment not used,
//! answers not read beyond a bound; an address that is no public one is not dialled, whatever name led to it. A failure
//! says how far it came, and whether the vendor may have heard anything; it never says what was sent or answered. No
//! connection is kept: each is looked up and judged anew, and nothing is ever sent again unasked.

mod address;
mod client;
mod exchange;
mod fault;
mod resolve;
mod thread;

pub use address::is_public;
pub use client::{Roots, Settings};
pub use exchange::{Answer, Body, Method, Request};
pub use fault::{Fault, Problem, Sent};
pub use thread::{Outbound, Slot, Vendor};
