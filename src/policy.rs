//! Who may do what. Default deny; rules only allow; the most specific rule that allows wins.
//!
//! A decision to allow is a [`Permit`], which only [`Policy::permit`] makes. Everything that uses a key demands
//! one of the right verb, and the rule that matched rides in it, so limits and records come from that rule.
//!
//! A permit to mint mints:
//!
//! ```
//! # use countersign::{clock::UnixSeconds, keyring::Key, liveauth::hash, policy::{Permit, verb}};
//! fn mint(permit: &Permit<'_, verb::Mint>, key: &Key, client: hash::ClientId, now: UnixSeconds) -> Result<hash::Minted, hash::MintProblem> {
//!     hash::mint(permit, key, client, now.plus(900), now)
//! }
//! ```
//!
//! The same with a permit to verify does not compile:
//!
//! ```compile_fail,E0308
//! # use countersign::{clock::UnixSeconds, keyring::Key, liveauth::hash, policy::{Permit, verb}};
//! fn mint(permit: &Permit<'_, verb::Verify>, key: &Key, client: hash::ClientId, now: UnixSeconds) -> Result<hash::Minted, hash::MintProblem> {
//!     hash::mint(permit, key, client, now.plus(900), now)
//! }
//! ```
//!
//! With a permit to have LiveAuth asked, a hash is made for the request, and given to nobody:
//!
//! ```
//! # use countersign::{clock::UnixSeconds, liveauth::{domain::Domain, hash, portal}, policy::{Permit, verb}};
//! # fn sign(permit: &Permit<'_, verb::PortalRead>, domain: &Domain, at: &portal::Endpoint, client: hash::ClientId, now: UnixSeconds) {
//! let signed = portal::sign(permit, domain, at, client, &portal::Test, now);
//! # }
//! ```
//!
//! Such a permit mints nothing else:
//!
//! ```compile_fail,E0308
//! # use countersign::{clock::UnixSeconds, keyring::Key, liveauth::hash, policy::{Permit, verb}};
//! fn mint(permit: &Permit<'_, verb::PortalLogin>, key: &Key, client: hash::ClientId, now: UnixSeconds) -> Result<hash::Minted, hash::MintProblem> {
//!     hash::mint(permit, key, client, now.plus(900), now)
//! }
//! ```
//!
//! And each action takes a permit of its own verb: who may have LiveAuth asked may not have a user logged in.
//!
//! ```compile_fail,E0308
//! # use countersign::{clock::UnixSeconds, liveauth::{domain::Domain, hash, portal}, policy::{Permit, verb}};
//! # fn sign(permit: &Permit<'_, verb::PortalRead>, domain: &Domain, at: &portal::Endpoint, client: hash::ClientId, login: &portal::Login, now: UnixSeconds) {
//! let signed = portal::sign(permit, domain, at, client, login, now);
//! # }
//! ```

mod caller;
mod callers;
mod objects;
mod permit;
mod rate;
mod right;
mod rule;
mod rules;
mod spiffe;

pub use caller::{Caller, CallerPattern};
pub use permit::{Meter, Permit};
pub use rate::{Bucket, Rate, batch_units};
pub use right::{Sealing, Verb, VerbName, verb};
pub use rule::{Object, ObjectPattern, Problem, Rule, RuleLimits};
pub use rules::{Denied, Explanation, Lack, Policy};
pub use spiffe::{SpiffeId, is_trust_domain};
