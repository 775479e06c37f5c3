//! `countersign keys`, as people and scripts run it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "keys_cli/backups.rs"]
mod backups;
#[path = "keys_cli/commands.rs"]
mod commands;
#[path = "keys_cli/killing.rs"]
mod killing;
#[path = "keys_cli/run.rs"]
mod run;
#[path = "keys_cli/terminal.rs"]
mod terminal;
#[path = "keys_cli/writers.rs"]
mod writers;
