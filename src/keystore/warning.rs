//! What is worth a warning about a keyring: a closed list, each item one line that says what to do next.

use std::{fmt, io, path::PathBuf};

use crate::keyring::KeyName;

/// Something that works, but that an operator should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// A LiveAuth secret below [`SHORT_SECRET`] bytes; key and version.
    ShortSecret(KeyName, u32),
    /// A LiveAuth secret that starts or ends with white space; key and version.
    EdgeWhitespace(KeyName, u32),
    /// The highest generation seen could not be noted at this path, and why.
    RollbackInMemoryOnly(PathBuf, io::ErrorKind),
    /// A file beside a keyring that was wrapped anew, with an earlier generation of it.
    OldCopy(PathBuf),
    /// A copy of the keyring that still holds what was destroyed; key and version.
    CopyHolds(PathBuf, KeyName, u32),
    /// A backup that was made of the keyring and cannot be read here.
    BackupOutOfReach(PathBuf),
    /// A backup that could not be noted, and why.
    BackupNotNoted(PathBuf, io::ErrorKind),
    /// A generation record that does not belong to what was restored.
    RecordIgnored(PathBuf),
}

/// Below how many bytes a LiveAuth secret is called short.
pub const SHORT_SECRET: usize = 20;

#[expect(clippy::unnecessary_debug_formatting, reason = "a path may hold a newline, and a warning is one line")]
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortSecret(name, number) => write!(
                f,
                "version {number} of key {name} has fewer than {SHORT_SECRET} bytes, which can be guessed from one \
                 hash: ask idibu for a longer secret"
            ),
            Self::EdgeWhitespace(name, number) => write!(
                f,
                "version {number} of key {name} starts or ends with white space, which is kept: import again without \
                 it if it is not part of the secret"
            ),
            Self::RollbackInMemoryOnly(path, kind) => write!(
                f,
                "the highest generation seen cannot be noted at {path:?} ({kind}): a rolled-back keyring is noticed \
                 only until this process ends"
            ),
            Self::CopyHolds(path, name, number) => write!(
                f,
                "{path:?} still holds version {number} of key {name}, for whoever can open it: remove it, and make a \
                 new backup with `countersign keys backup`"
            ),
            Self::BackupOutOfReach(path) => write!(
                f,
                "a backup of this keyring was made at {path:?}, which cannot be read from here: see to it that it is \
                 removed wherever it is now, and so are copies that others made"
            ),
            Self::BackupNotNoted(path, kind) => write!(
                f,
                "the backup {path:?} could not be noted beside the keyring ({kind}): when a version is destroyed, it \
                 will not be named among the copies to remove"
            ),
            Self::RecordIgnored(path) => write!(
                f,
                "the generation record {path:?} does not belong to this keyring and counted for nothing: if a service \
                 refuses the keyring as rolled back, restore it again with the generation that it names"
            ),
            Self::OldCopy(path) => write!(
                f,
                "{path:?} holds an earlier generation of this keyring, which still opens as it did then: remove it, or \
                 guard what opens it as before; the same goes for copies elsewhere"
            ),
        }
    }
}
