//! What happens before the first thread: what cannot be protected is refused, and the process closes itself.

use std::io::IsTerminal as _;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use tracing_subscriber::EnvFilter;

use super::{Failure, Options};
use crate::{
    config::{Config, Log, LogFormat},
    keystore::Loaded,
};

pub(super) const EMPTY_POLICY: &str =
    "policy.rules is empty, so every call would be denied; add a rule (deploy/config.toml shows three)";

pub(super) fn refuse_what_cannot_be_protected(config: &Config, options: &Options) -> Result<(), Failure> {
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        return Err(Failure::usage("SSLKEYLOGFILE is set, which would write session keys to a file; unset it"));
    }
    if config.rules.is_empty() {
        return Err(Failure::usage(EMPTY_POLICY));
    }
    if rustix::process::geteuid().is_root() && !options.allow_root {
        return Err(Failure::usage("running as root; start as a user of its own, or add --allow-root"));
    }
    Ok(())
}

/// No core dumps, no tracing by others of the same user, no new privileges, no files for others.
pub(super) fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let closed = rustix::process::setrlimit(Resource::Core, none)
        .and_then(|()| rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .and_then(|()| rustix::thread::set_no_new_privs(true));
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if let Err(error) = closed {
        tracing::warn!(%error, "the process could not close itself to core dumps and debuggers");
    }
}

/// Lines go to standard error; standard output is for what a command was asked for.
pub(super) fn log(log: &Log, dev: bool) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| Failure::usage(format!("log.level {:?} is not understood: {error}", log.level)))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(dev && std::io::stderr().is_terminal());
    let set = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Human => lines.compact().with_target(false).try_init(),
    };
    set.map_err(|error| Failure::ours(format!("logging does not start: {error}")))
}

/// Says what is worth saying of the keys that were loaded, and refuses the vendor's published sample secret
/// outside development.
pub(super) fn judge_keys(loaded: &Loaded, dev: bool) -> Result<(), Failure> {
    for warning in &loaded.warnings {
        tracing::warn!("keyring: {warning}");
    }
    match loaded.sample_secrets.first() {
        Some(key) if !dev => Err(Failure::usage(format!(
            "key {key} holds the secret that the LiveAuth document prints, which everybody knows; import the one idibu gave you"
        ))),
        _ => Ok(()),
    }
}
