//! Who calls, as the transport found out, and the patterns that rules name callers by. Both are read strictly and compared
//! byte by byte.

use std::{fmt, sync::Arc};

use super::spiffe::SpiffeId;

/// The gid of a caller who is in no group that a rule can name; the kernel uses it for "nobody at all".
const NO_GROUP: u32 = u32::MAX;

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
            Self::Unix { uid, gid: NO_GROUP } => write!(f, "uid:{uid}"),
            Self::Unix { uid, gid } => write!(f, "uid:{uid},gid:{gid}"),
            Self::Named(name) => write!(f, "name:{name}"),
            Self::Spiffe(id) => id.fmt(f),
            Self::Dns(name) => write!(f, "dns:{name}"),
        }
    }
}

impl Caller {
    /// Reads `spiffe://TRUST-DOMAIN/PATH`, `dns:NAME`, `uid:N`, `uid:N,gid:M` or `name:X`, as the command line takes a
    /// caller. Without a gid the caller is taken to be in no group that a rule names.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let malformed = || {
            format!("{text:?} is no caller: write spiffe://TRUST-DOMAIN/PATH, dns:NAME, uid:N, uid:N,gid:M or name:X")
        };
        if is_spiffe(text) {
            return SpiffeId::parse(text)
                .map(Self::Spiffe)
                .map_err(|problem| format!("{text:?} is no SPIFFE ID: {problem}"));
        }
        match text.split_once(':') {
            Some(("name", name)) if is_name(name) => Ok(Self::Named(name.into())),
            Some(("dns", name)) => dns(name).map(Self::Dns),
            Some(("uid", ids)) => {
                let (uid, gid) = match ids.split_once(',') {
                    Some((uid, gid)) => (uid, gid.strip_prefix("gid:").and_then(number).ok_or_else(malformed)?),
                    None => (ids, NO_GROUP),
                };
                Ok(Self::Unix { uid: number(uid).ok_or_else(malformed)?, gid })
            }
            _ => Err(malformed()),
        }
    }
}

/// How a rule names callers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CallerPattern {
    /// `spiffe://TRUST-DOMAIN/PATH`: exactly this workload.
    Spiffe(SpiffeId),
    /// `spiffe://TRUST-DOMAIN/PATH/*` or `spiffe://TRUST-DOMAIN/*`: every workload below, by whole segments of the path,
    /// at least one more. Kept with its last slash and without the star.
    SpiffePrefix(Arc<str>),
    /// `dns:NAME`: exactly this DNS name.
    Dns(Arc<str>),
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
        if is_spiffe(text) {
            return spiffe(text).map_err(|problem| format!("{text:?} names no caller: {problem}"));
        }
        let parsed = match text.split_once(':') {
            None if text == "*" => Some(Self::Any),
            Some(("uid", n)) => number(n).map(Self::Uid),
            Some(("gid", n)) => number(n).map(Self::Gid),
            Some(("name", name)) if is_name(name) => Some(Self::Named(name.into())),
            Some(("dns", name)) => return dns(name).map(Self::Dns),
            _ => None,
        };
        parsed.ok_or_else(|| {
            format!(
                "{text:?} is no caller: write spiffe://TRUST-DOMAIN/PATH (/* at the end for all below), dns:NAME, uid:N, gid:N, name:X or *"
            )
        })
    }

    /// Whether it names this caller.
    #[must_use]
    pub fn fits(&self, caller: &Caller) -> bool {
        match (self, caller) {
            (Self::Any, _) => true,
            (Self::Spiffe(wanted), Caller::Spiffe(id)) => wanted == id,
            (Self::SpiffePrefix(prefix), Caller::Spiffe(id)) => id.as_str().starts_with(&**prefix),
            (Self::Dns(wanted), Caller::Dns(name)) | (Self::Named(wanted), Caller::Named(name)) => wanted == name,
            (Self::Uid(wanted), Caller::Unix { uid, .. }) => wanted == uid,
            (Self::Gid(wanted), Caller::Unix { gid, .. }) => wanted == gid,
            _ => false,
        }
    }

    /// A caller whom it names, and whom nothing narrower does, for questions about the pattern as such.
    #[must_use]
    pub fn example(&self) -> Caller {
        match self {
            Self::Spiffe(id) => Caller::Spiffe(id.clone()),
            Self::SpiffePrefix(prefix) => {
                // A segment that nobody would write into a rule, unless the ID would be too long with it.
                let below = ["_any_", "x"].iter().find_map(|name| SpiffeId::parse(&format!("{prefix}{name}")).ok());
                below.map_or(Caller::Named("nobody".into()), Caller::Spiffe)
            }
            Self::Dns(name) => Caller::Dns(Arc::clone(name)),
            Self::Uid(uid) => Caller::Unix { uid: *uid, gid: NO_GROUP },
            Self::Gid(gid) => Caller::Unix { uid: u32::MAX, gid: *gid },
            Self::Named(name) => Caller::Named(Arc::clone(name)),
            Self::Any => Caller::Unix { uid: u32::MAX, gid: NO_GROUP },
        }
    }
}

impl fmt::Display for CallerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(id) => id.fmt(f),
            Self::SpiffePrefix(prefix) => write!(f, "{prefix}*"),
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uid(n) => write!(f, "uid:{n}"),
            Self::Named(name) => write!(f, "name:{name}"),
            Self::Gid(n) => write!(f, "gid:{n}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Whether the text means to be a SPIFFE ID, so that its own reader says what is wrong with it.
fn is_spiffe(text: &str) -> bool {
    text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"))
}

fn spiffe(text: &str) -> Result<CallerPattern, &'static str> {
    let Some(prefix) = text.strip_suffix('*') else {
        return SpiffeId::parse(text).map(CallerPattern::Spiffe);
    };
    if !prefix.ends_with('/') {
        return Err("a * stands for whole segments of the path: write it after a slash, at the end");
    }
    // What is below it must be an ID, so the shortest name below it is read.
    SpiffeId::parse(&format!("{prefix}x")).map(|_| CallerPattern::SpiffePrefix(prefix.into()))
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

/// A DNS name as certificates have it (RFC 1035, section 2.3.4 and RFC 5280, section 4.2.1.6), in lower case, without a
/// star: a certificate's name is one host's, and so is a rule's.
fn dns(text: &str) -> Result<Arc<str>, String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    };
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(text.into());
    }
    Err(format!("dns:{text} names no caller: write one whole host name in lower case, without a star or a last dot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_callers_are_written_as_they_are_read() {
        for text in [
            "spiffe://example.org/ns/jobs/sa/web",
            "spiffe://example.org/ns/jobs/*",
            "spiffe://example.org/*",
            "dns:web-1.example.org",
            "dns:localhost",
            "uid:0",
            "gid:4294967294",
            "name:dev-tcp",
            "*",
        ] {
            assert_eq!(CallerPattern::parse(text).unwrap().to_string(), text);
        }
        for text in ["spiffe://example.org/a", "dns:a.example.org", "uid:7,gid:9", "uid:7", "name:dev-tcp"] {
            assert_eq!(Caller::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn patterns_are_read_strictly() {
        for bad in [
            "",
            "uid:",
            "uid:-1",
            "uid:+1",
            "uid:01",
            "uid:4294967295",
            "uid:4294967296",
            "root",
            "name:A b",
            "**",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org/ns/jobs/",
            "spiffe://example.org/ns/jo*",
            "spiffe://example.org*",
            "spiffe://*",
            "spiffe://*/ns",
            "spiffe://example.org/*/sa/web",
            "spiffe://example.org/ns/**",
            "spiffe://example.org/ns//*",
            "spiffe://example.org/../*",
            "spiffe://Example.org/*",
            "SPIFFE://example.org/a",
            "dns:",
            "dns:*.example.org",
            "dns:Web.example.org",
            "dns:web.example.org.",
            "dns:-web.example.org",
            "dns:web..example.org",
            "dns:wéb.example.org",
        ] {
            let said = CallerPattern::parse(bad).unwrap_err();
            assert!(said.contains("caller") && !said.contains('\n'), "{bad:?}: {said}");
        }
        for bad in ["*", "gid:1", "spiffe://example.org/*", "uid:1,gid:", "uid:1,2", "uid:1,gid:4294967295", "dns:A"] {
            assert!(Caller::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_ends_on_a_whole_segment_and_stands_for_at_least_one_more() {
        let fits = |pattern: &str, id: &str| CallerPattern::parse(pattern).unwrap().fits(&Caller::parse(id).unwrap());
        let jobs = "spiffe://example.org/ns/jobs/*";
        assert!(fits(jobs, "spiffe://example.org/ns/jobs/sa"));
        assert!(fits(jobs, "spiffe://example.org/ns/jobs/sa/web"));
        assert!(!fits(jobs, "spiffe://example.org/ns/jobs"));
        assert!(!fits(jobs, "spiffe://example.org/ns/jobsite/sa"));
        assert!(!fits(jobs, "spiffe://example.com/ns/jobs/sa"));
        assert!(fits("spiffe://example.org/*", "spiffe://example.org/a"));
        assert!(!fits("spiffe://example.org/*", "spiffe://example.org.evil/a"));
    }

    #[test]
    fn a_pattern_has_a_caller_whom_it_names() {
        let longest = format!("spiffe://example.org/{}/*", "a".repeat(2048 - 23));
        for text in
            ["spiffe://t/a", "spiffe://t/a/*", "spiffe://t/*", "dns:a", "uid:1", "gid:1", "name:x", "*", &longest]
        {
            let pattern = CallerPattern::parse(text).unwrap();
            assert!(pattern.fits(&pattern.example()), "{text}");
        }
    }
}
