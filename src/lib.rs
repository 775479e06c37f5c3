//! Countersign holds a company's integration secrets and uses them on request: it mints and verifies idibu
//! LiveAuth hashes, and seals, opens and verifies BroadSoft Hub auth tokens. No key ever leaves it.
//!
//! Rooms, from the top; imports point downward only, and `tests/layers.rs` enforces it.

pub mod audit;
pub mod clock;
pub mod crypto;
pub mod hub;
pub mod keyring;
pub mod liveauth;
pub mod policy;
pub mod verdict;
