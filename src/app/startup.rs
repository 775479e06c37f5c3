//! What happens before the first thread: what cannot be protected is refused, and the process closes itself.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

use super::{Failure, Options, confinement::Confined};
use crate::{
    config::Config,
    crypto::arena::{self, Protection},
    keystore::Loaded,
};

pub(super) const EMPTY_POLICY: &str =
    "policy.rules is empty, so every call would be denied; add a rule (deploy/config.toml shows three)";

pub(super) const INSECURE_LOOPBACK: &str =
    "outbound.insecure_loopback is for `countersign dev` alone; take it out, and call vendors over https";

pub(super) fn refuse_what_cannot_be_protected(config: &Config, options: &Options) -> Result<(), Failure> {
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        return Err(Failure::usage("SSLKEYLOGFILE is set, which would write session keys to a file; unset it"));
    }
    if config.rules.is_empty() {
        return Err(Failure::usage(EMPTY_POLICY));
    }
    if config.outbound.insecure_loopback && options.dev.is_none() {
        return Err(Failure::usage(INSECURE_LOOPBACK));
    }
    if rustix::process::geteuid().is_root() && !options.allow_root {
        return Err(Failure::usage("running as root; start as a user of its own, or add --allow-root"));
    }
    Ok(())
}

/// What protects the process, and what does not although it should. A line for each.
#[derive(Clone, Default)]
pub struct Protections {
    /// In few words, such as "core dumps off".
    pub holding: Vec<String>,
    /// What fails, and why or what to do.
    pub lacking: Vec<String>,
}

impl Protections {
    fn note(&mut self, holds: &str, fails: &str, done: rustix::io::Result<()>) {
        match done {
            Ok(()) => self.holding.push(holds.to_owned()),
            Err(error) => self.lacking.push(format!("{fails}: {error}")),
        }
    }

    /// The same with what Landlock does.
    pub(super) fn with(mut self, confined: &Confined) -> Self {
        match confined.landlock() {
            Ok(abi) => self.holding.push(format!("Landlock ABI {abi}")),
            Err(why) => self.lacking.push(format!("no Landlock: {why}")),
        }
        self
    }

    /// The same with how keys lie in memory at this moment.
    #[must_use]
    pub fn with_key_memory(mut self) -> Self {
        let status = arena::status();
        let (Some(protection), size) = (status.protection, status.mapped >> 10) else { return self };
        let line = format!("keys {protection} ({size} KiB in {} mappings)", status.mappings);
        if protection < Protection::Unlocked {
            self.holding.push(line);
        } else {
            let why = status.shortfall.unwrap_or_default();
            self.lacking.push(format!("{line}, which may be swapped to disk: {why}"));
        }
        self
    }

    /// As `/readyz?verbose` shows them.
    pub(super) fn lines(&self) -> String {
        let lacking = self.lacking.iter().map(|lacking| format!("not protected: {lacking}\n"));
        std::iter::once(format!("protections: {}\n", self.holding.join(", "))).chain(lacking).collect()
    }
}

/// No core dumps, no tracing by others of the same user, no new privileges, no files for others, and as many
/// descriptors as the system allows. To be called before any secret is read and before any thread.
#[must_use]
pub fn harden() -> Protections {
    let mut protections = Protections::default();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let steps = [
        ("core dumps off", "core dumps stay possible", rustix::process::setrlimit(Resource::Core, none)),
        // The limit alone does not stop a core pattern that is a pipe.
        (
            "not dumpable",
            "debuggers stay possible",
            rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable),
        ),
        ("no new privileges", "new privileges stay possible", rustix::thread::set_no_new_privs(true)),
    ];
    for (holds, fails, done) in steps {
        protections.note(holds, fails, done);
    }
    let files = rustix::process::getrlimit(Resource::Nofile);
    let most = Rlimit { current: files.maximum, ..files };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, most) {
        protections.lacking.push(format!("the limit of open files stays low: {error}"));
    }
    protections
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
