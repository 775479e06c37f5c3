//! What happens before the first thread: what cannot be protected is refused, and the process closes itself.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

use super::{Failure, Options};
use crate::{config::Config, keystore::Loaded};

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

/// No core dumps, no tracing by others of the same user, no new privileges, no files for others, and as many
/// descriptors as the system allows. To be called before any secret is read; gives what could not be done.
#[must_use]
pub fn harden() -> Vec<String> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let files = rustix::process::getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let steps = [
        ("core dumps stay possible", rustix::process::setrlimit(Resource::Core, none)),
        ("debuggers stay possible", rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        ("new privileges stay possible", rustix::thread::set_no_new_privs(true)),
        (
            "the limit of open files stays low",
            rustix::process::setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }),
        ),
    ];
    steps.into_iter().filter_map(|(what, done)| done.err().map(|error| format!("{what}: {error}"))).collect()
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
