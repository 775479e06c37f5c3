//! What can be wrong with a plugin, in words that end a sentence which has named it. Never a key.

use std::{fmt, io};

/// Most characters of a plugin's own words that are repeated.
const WORDS: usize = 200;

/// Why a plugin did not do what it was asked.
#[derive(Debug)]
pub enum KmsProblem {
    /// Nobody listens on its socket, or not for us.
    Unreachable(io::Error),
    /// The connection broke before the answer came.
    Broken,
    /// No answer in time; milliseconds.
    Late(u128),
    /// It refused: the gRPC code, and its own words.
    Refused {
        /// Whether it may pass by itself (UNAVAILABLE).
        unavailable: bool,
        /// The code, in words.
        code: &'static str,
        /// What it said, made one line.
        words: String,
    },
    /// It speaks another version of the protocol; which.
    Version(String),
    /// It says that it is not well; its own words.
    Unwell(String),
    /// Its answer breaks a rule of the protocol; which.
    Rule(&'static str),
    /// The thread that asks it could not be started, or broke.
    Ours,
}

impl KmsProblem {
    /// Whether asking again a moment later may help: it is not there yet, or says so itself.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Broken | Self::Refused { unavailable: true, .. })
    }

    /// The same, without anything that the plugin said.
    pub(super) fn without_words(self) -> Self {
        match self {
            Self::Refused { unavailable, code, .. } => Self::Refused { unavailable, code, words: String::new() },
            other => other,
        }
    }
}

impl fmt::Display for KmsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot be reached ({error}): start it, or correct the path"),
            Self::Broken => f.write_str("broke the connection before it answered: its log may say why"),
            Self::Late(after) => write!(f, "did not answer within {after} ms: its log may say why"),
            Self::Refused { code, words, .. } if words.is_empty() => write!(f, "refuses ({code}): its log may say why"),
            Self::Refused { code, words, .. } => write!(f, "refuses ({code}: {words}): its log may say more"),
            Self::Version(version) => {
                write!(f, "speaks version {version:?} of the protocol: v2 is needed, so update the plugin")
            }
            Self::Unwell(words) => write!(f, "says that it is not well ({words}): mend it first"),
            Self::Rule(rule) => write!(f, "breaks a rule of the protocol ({rule}): report that to those who make it"),
            Self::Ours => f.write_str("could not be asked, since this process has no thread for it: try again"),
        }
    }
}

/// Words of a plugin as part of a line: short, and without control characters.
pub(super) fn plain(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect()
}
