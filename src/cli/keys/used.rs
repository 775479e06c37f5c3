//! What is known of the use of keys, for commands that work on files: what the ledger holds that the configuration names.

use std::path::PathBuf;

use crate::{
    authority::UsageLedger,
    cli::remark,
    keyring::Key,
    ledger::{self, Glance},
};

/// Which ledger is named.
pub(super) enum Named {
    /// This file.
    File(PathBuf),
    /// None, by the configuration.
    None,
    /// There is no configuration to name one.
    NoConfiguration,
}

/// What the use of keys is known by.
pub(super) enum Known {
    /// This ledger.
    By(UsageLedger),
    /// None; why, to stand after a colon.
    ByNone(&'static str),
}

impl Named {
    /// What a configuration names.
    pub(super) fn of(file: Option<PathBuf>) -> Self {
        file.map_or(Self::None, Self::File)
    }

    /// What the ledger holds of a keyring, or why nothing is known. One that cannot be read is remarked on.
    pub(super) fn glance(&self, keyring: &str) -> Result<Glance, &'static str> {
        let path = match self {
            Self::File(path) => path,
            Self::None => return Err("the configuration names none (ledger.path)"),
            Self::NoConfiguration => return Err("give --config in place of --keyring, so that its ledger is read"),
        };
        match ledger::glance(path, keyring) {
            Ok(Some(glance)) => Ok(glance),
            Ok(None) => Err("nothing is at the ledger.path of the configuration yet"),
            Err(problem) => {
                remark(&format!("warning: ledger: {problem}"));
                Err("the one that the configuration names cannot be read")
            }
        }
    }

    /// Makes known to keys what the ledger holds of their use.
    pub(super) fn tell(&self, keyring: &str, keys: &[Key]) -> Known {
        let Glance { id, path, used, .. } = match self.glance(keyring) {
            Ok(glance) => glance,
            Err(why) => return Known::ByNone(why),
        };
        for key in keys {
            for version in key.versions() {
                if let Some(evidence) = used.get(&(key.name.clone(), version.number)) {
                    version.usage.adopt(evidence);
                }
            }
        }
        Known::By(UsageLedger { id, path })
    }
}
