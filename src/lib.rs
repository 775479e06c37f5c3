//! Countersign holds a company's integration secrets and uses them on request: it mints and verifies idibu
//! LiveAuth hashes, and seals, opens and verifies BroadSoft Hub auth tokens. No key ever leaves it.
//!
//! Rooms, from the top; imports point downward only, within a band left may import right:
//!
//! ```text
//! cli · app · config                              compose     runtimes, signals, exit codes
//! grpc · http                                     transport   async; tonic, prost, axum and hyper stop here, but for keystore/kms
//! authority                                       use cases   permit -> act -> record
//! outbound · ledger · keystore · metrics · audit  effects     one kind of outside world each
//! liveauth · hub · keyring · policy · verdict     domain      pure: time, keys and randomness are arguments
//! crypto · clock                                  primitives  pure
//! ```
//!
//! `tests/layers.rs` enforces the table.

pub mod app;
pub mod audit;
pub mod authority;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod grpc;
pub mod http;
pub mod hub;
pub mod keyring;
pub mod keystore;
pub mod ledger;
pub mod liveauth;
pub mod metrics;
pub mod outbound;
pub mod policy;
pub mod verdict;
