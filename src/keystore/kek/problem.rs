//! What can be wrong with the source of a key-encryption key, in one line that says what to do next. Never a secret.

use std::{fmt, io, os::fd::RawFd, path::PathBuf};

use crate::keystore::{KekSource, KmsProblem, PASSPHRASE_MAX, PASSPHRASE_MIN};

/// Why a key-encryption key cannot be had.
#[derive(Debug)]
pub enum KekProblem {
    /// The keyring is wrapped by another kind of source.
    OtherSource {
        /// The document.
        keyring: PathBuf,
        /// What was given.
        given: KekSource,
        /// What it is wrapped by, in words.
        wrapped_by: &'static str,
    },
    /// Not the name of a credential.
    CredentialName,
    /// systemd gave this process no credentials; the one that is wanted.
    NoCredentials(String),
    /// systemd gave it none of that name.
    NoCredential(String, PathBuf),
    /// `init` with a credential that is not there: we make none.
    CredentialIsGiven(String),
    /// The file descriptor cannot be read.
    Descriptor(RawFd, io::Error),
    /// A passphrase without a character.
    PassphraseEmpty,
    /// Fewer bytes than a new one may have.
    PassphraseTooShort,
    /// More bytes than it may have.
    PassphraseTooLong,
    /// The keyring is wrapped with another salt than when this process started.
    PassphraseForgotten,
    /// The plugin did not do what it was asked.
    Kms(KekSource, KmsProblem),
    /// There is not so much memory to stretch in; KiB.
    StretchMemory(u32),
}

impl KekProblem {
    /// Whether it lies with a process that is not there, or not well.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Kms(..))
    }
}

#[expect(clippy::unnecessary_debug_formatting, reason = "a path may hold a newline, and an error is one line")]
impl fmt::Display for KekProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSource { keyring, given, wrapped_by } => write!(
                f,
                "the keyring {keyring:?} is wrapped by {wrapped_by}, and {given} cannot open it: give what it is wrapped \
                 by (`keyring.kek_…` in the configuration, or --kek-…), or move it with `countersign keys rewrap`"
            ),
            Self::CredentialName => write!(
                f,
                "a credential's name is 1 to 255 printable ASCII characters without / and : and blanks, as in the \
                 unit's LoadCredential="
            ),
            Self::NoCredentials(name) => write!(
                f,
                "the credential {name} cannot be found, since $CREDENTIALS_DIRECTORY is not set: give it to the systemd \
                 unit with LoadCredential={name}:PATH or LoadCredentialEncrypted=, or, outside of a unit, start this \
                 with `systemd-run --pty --property=LoadCredential={name}:PATH`"
            ),
            Self::NoCredential(name, path) => write!(
                f,
                "there is no credential at {path:?}: add LoadCredential={name}:PATH to the systemd unit, or correct the \
                 name"
            ),
            Self::CredentialIsGiven(name) => write!(
                f,
                "there is no credential {name}, and init makes none: put 32 random bytes where LoadCredential={name}: \
                 takes it from, such as `openssl rand -base64 32`"
            ),
            Self::Descriptor(number, error) => write!(
                f,
                "the passphrase cannot be read from file descriptor {number} ({error}): start this with one that is open \
                 for reading, such as {number}< FILE in a shell, or OpenFile= in a systemd unit"
            ),
            Self::PassphraseEmpty => write!(f, "the passphrase is empty: give one of {PASSPHRASE_MIN} bytes or more"),
            Self::PassphraseTooShort => write!(
                f,
                "the passphrase has fewer than {PASSPHRASE_MIN} bytes, which can be guessed: take at least four words \
                 drawn at random"
            ),
            Self::PassphraseTooLong => {
                write!(f, "the passphrase has more than {PASSPHRASE_MAX} bytes: check what was given")
            }
            Self::PassphraseForgotten => write!(
                f,
                "restart needed: the keyring was wrapped with a passphrase anew, and this process has forgotten the one \
                 it was started with"
            ),
            Self::Kms(plugin, problem) => write!(f, "{plugin} {problem}"),
            Self::StretchMemory(kib) => {
                write!(f, "there are no {kib} KiB of memory to stretch the passphrase in: make room and try again")
            }
        }
    }
}

impl std::error::Error for KekProblem {}
