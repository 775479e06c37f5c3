//! Where the key-encryption key (KEK) comes from. It opens one thing: the wrapped document key.

use std::{fmt, path::PathBuf};

use crate::{
    crypto::mac::MacKey,
    keystore::{KeystoreError, file},
};

/// Where the key-encryption key comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KekSource {
    /// The content of a file: 32 to 4096 bytes, without one trailing newline.
    File(PathBuf),
}

impl KekSource {
    /// The file that it is read from, where it is one: to be watched, and to be kept within reach.
    #[must_use]
    #[expect(clippy::unnecessary_wraps, reason = "a source need not be a file")]
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
        }
    }

    /// Loads the key.
    pub(super) fn load(&self) -> Result<MacKey, KeystoreError> {
        match self {
            Self::File(path) => Ok(MacKey::new(file::read_kek(path)?.expose())),
        }
    }
}

/// As it stands in a sentence: "the KEK file …".
#[expect(clippy::unnecessary_debug_formatting, reason = "a path may hold a newline, and an error is one line")]
impl fmt::Display for KekSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the KEK file {path:?}"),
        }
    }
}
