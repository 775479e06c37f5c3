//! What can be ordered of the keyring, and what comes of it, as plain values.

use crate::{
    audit::Code,
    authority::{KeyKind, Suite, VersionShown},
    crypto::secret::Secret,
    keyring::KeyName,
};

/// A change to one key.
pub struct Order {
    /// The key.
    pub key: KeyName,
    /// What is done to it.
    pub edit: Edit,
}

/// What is done to a key. Times are Unix seconds; `None` leaves them to the keyring.
pub enum Edit {
    /// Draw a new hat1 key.
    Create {
        /// What it seals with.
        suite: Suite,
        /// When it mints.
        activates_at: Option<i64>,
    },
    /// Take a secret in.
    Import {
        /// What it is for.
        kind: KeyKind,
        /// The secret.
        secret: Secret,
        /// For hat1: what it seals with.
        suite: Option<Suite>,
        /// When it mints.
        activates_at: Option<i64>,
    },
    /// Stage a successor.
    Rotate {
        /// The secret, if it is given.
        secret: Option<Secret>,
        /// For hat1: what it seals with.
        suite: Option<Suite>,
        /// When it takes over.
        activates_at: Option<i64>,
    },
    /// Set a version aside.
    Suspend(u32),
    /// Bring it back.
    Resume(u32),
    /// Say that it is known to others.
    MarkCompromised(u32),
    /// Take its material away.
    Destroy {
        /// The version.
        number: u32,
        /// Although something may still need it.
        force: bool,
    },
}

impl Edit {
    /// The version that the order names; 0 where it makes one.
    pub(super) const fn number(&self) -> u32 {
        match self {
            Self::Create { .. } | Self::Import { .. } | Self::Rotate { .. } => 0,
            Self::Suspend(number)
            | Self::Resume(number)
            | Self::MarkCompromised(number)
            | Self::Destroy { number, .. } => *number,
        }
    }
}

/// What a keeper did to the keyring.
pub struct Edited {
    /// The version.
    pub number: u32,
    /// The keyring's generation with it.
    pub generation: u64,
    /// What an operator should know, a line each.
    pub warnings: Vec<String>,
    /// Why it is not in force although it is on disk; `None`: it is.
    pub lacks: Option<String>,
}

/// A version after a change.
pub struct Changed {
    /// The key.
    pub key: String,
    /// What it is for.
    pub kind: KeyKind,
    /// The version.
    pub version: VersionShown,
    /// The keyring's generation with it.
    pub generation: u64,
    /// What an operator should know, a line each.
    pub warnings: Vec<String>,
}

/// Why keys were not changed, or not wholly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeysProblem {
    /// Keys cannot be changed by this service.
    ReadOnly,
    /// There is a key of that name.
    Exists,
    /// The version's state does not allow it.
    StateForbids,
    /// What the version made may be in use still, as far as is known.
    StillNeeded,
    /// A successor is staged already.
    AlreadyStaged,
    /// The keys would not make a ring.
    Unsound,
    /// The keyring on disk is not taken.
    Unusable,
    /// The disk, or another writer, stands in the way. Nothing was changed.
    Unwritable,
    /// It is on disk, but not in force or not on record.
    Incomplete,
    /// The files as they are were refused.
    ReloadRefused,
    /// The service is about to end.
    Stopping,
}

impl KeysProblem {
    pub(in crate::authority) const fn code(self) -> Code {
        match self {
            Self::Exists => Code::AlreadyExists,
            Self::Unwritable | Self::Stopping => Code::Unavailable,
            Self::ReadOnly
            | Self::StateForbids
            | Self::StillNeeded
            | Self::AlreadyStaged
            | Self::Unsound
            | Self::Unusable
            | Self::Incomplete
            | Self::ReloadRefused => Code::FailedPrecondition,
        }
    }

    pub(in crate::authority) const fn reason(self) -> &'static str {
        match self {
            Self::ReadOnly => "KEYRING_READ_ONLY",
            Self::Exists => "KEY_EXISTS",
            Self::StateForbids => "STATE_FORBIDS",
            Self::StillNeeded => "STILL_NEEDED",
            Self::AlreadyStaged => "ALREADY_STAGED",
            Self::Unsound => "KEYRING_UNSOUND",
            Self::Unusable => "KEYRING_UNUSABLE",
            Self::Unwritable => "KEYRING_UNWRITABLE",
            Self::Incomplete => "CHANGE_INCOMPLETE",
            Self::ReloadRefused => "RELOAD_REFUSED",
            Self::Stopping => "STOPPING",
        }
    }
}
