//! Who calls, as the transport found out, and the patterns that rules name callers by.

use std::{fmt, sync::Arc};

use super::spiffe::SpiffeId;

/// An authenticated caller.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Caller {
    /// The peer of a Unix socket, as the kernel says (`SO_PEERCRED`); the gid is the peer's primary one.
    Unix {
        /// User id.
        uid: u32,
        /// Primary group id.
        gid: u32,
    },
    /// A caller that a listener names, such as `dev-tcp`.
    Named(Arc<str>),
    /// The one SPIFFE ID of a client certificate.
    Spiffe(SpiffeId),
    /// The one DNS name of a client certificate, in lower case, on a listener that takes such.
    Dns(Arc<str>),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { uid, gid } => write!(f, "uid:{uid},gid:{gid}"),
            Self::Named(name) => write!(f, "name:{name}"),
            Self::Spiffe(id) => id.fmt(f),
            Self::Dns(name) => write!(f, "dns:{name}"),
        }
    }
}

impl Caller {
    /// Reads `uid:N`, `uid:N,gid:M` or `name:X`, as the command line takes a caller. Without a gid the caller
    /// is taken to be in no group that a rule names.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is no caller: write uid:N, uid:N,gid:M or name:X");
        if let Some(name) = text.strip_prefix("name:") {
            return if is_name(name) { Ok(Self::Named(name.into())) } else { Err(malformed()) };
        }
        let (uid, gid) = match text.split_once(',') {
            Some((uid, gid)) => (uid, gid.strip_prefix("gid:").and_then(number).ok_or_else(malformed)?),
            None => (text, u32::MAX),
        };
        let uid = uid.strip_prefix("uid:").and_then(number).ok_or_else(malformed)?;
        Ok(Self::Unix { uid, gid })
    }
}

/// How a rule names callers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CallerPattern {
    /// `uid:N`: exactly this user.
    Uid(u32),
    /// `name:X`: exactly the caller a listener calls so.
    Named(Arc<str>),
    /// `gid:N`: whoever has this primary group.
    Gid(u32),
    /// `*`: every authenticated caller.
    Any,
}

impl CallerPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = match text.split_once(':') {
            None if text == "*" => Some(Self::Any),
            Some(("uid", n)) => number(n).map(Self::Uid),
            Some(("gid", n)) => number(n).map(Self::Gid),
            Some(("name", name)) if is_name(name) => Some(Self::Named(name.into())),
            _ => None,
        };
        parsed.ok_or_else(|| format!("{text:?} is no caller: write uid:N, gid:N, name:X or *"))
    }
}

impl fmt::Display for CallerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(n) => write!(f, "uid:{n}"),
            Self::Named(name) => write!(f, "name:{name}"),
            Self::Gid(n) => write!(f, "gid:{n}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Canonical decimal below 2^32 - 1, which the kernel uses for "nobody at all".
fn number(text: &str) -> Option<u32> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if !canonical {
        return None;
    }
    text.parse().ok().filter(|&n| n != u32::MAX)
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}
