//! Who may do what. Default deny; rules only allow; the most specific rule that allows wins.
//!
//! A decision to allow is a [`Permit`], which only [`Policy::permit`] makes. Everything that uses a key demands
//! one of the right verb, and the rule that matched rides in it, so limits and records come from that rule.
//!
//! ```compile_fail,E0308
//! # use countersign::{clock::UnixSeconds, keyring::Key, liveauth::hash, policy::{Permit, verb}};
//! fn mint_with_a_permit_to_verify(permit: &Permit<'_, verb::Verify>, key: &Key, now: UnixSeconds) {
//!     let _ = hash::mint(permit, key, 42, UnixSeconds(now.0 + 900), now);
//! }
//! ```

mod caller;
mod permit;
mod rules;

pub use caller::{Caller, CallerPattern};
pub use permit::{Permit, Verb, VerbName, verb};
pub use rules::{Denied, Explanation, Object, ObjectPattern, Policy, Problem, Rule, RuleLimits};
