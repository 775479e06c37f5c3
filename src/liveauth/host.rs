//! Canonical host names: ASCII, lower case, letters, digits and hyphens, no trailing dot.
//!
//! What a URL parser would quietly repair (control bytes, spaces, backslashes, userinfo) is refused before any
//! parsing, so that no two parties can read one text as two hosts.

use std::{borrow::Borrow, fmt, sync::Arc};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Longest host name, characters, without a trailing dot (RFC 1035, section 3.1).
const NAME_MAX: usize = 253;
/// Longest label, characters.
const LABEL_MAX: usize = 63;

/// A host name in its one canonical spelling. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostName(Arc<str>);

/// Why a text is no host name, or a Referer has none. What it shows never quotes the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HostProblem {
    /// Nothing at all.
    Empty,
    /// More than 253 characters.
    TooLong,
    /// A control byte, a space or a backslash.
    Forbidden,
    /// `user@` before the host.
    Userinfo,
    /// An IPv4 or IPv6 address.
    IpLiteral,
    /// Two dots in a row, or a dot at the start.
    EmptyLabel,
    /// A label above 63 characters.
    LabelTooLong,
    /// An underscore.
    Underscore,
    /// A label that starts or ends with a hyphen.
    Hyphen,
    /// Letters outside ASCII.
    NotAscii,
    /// Any other character that host names do not have.
    NotLdh,
    /// What follows the colon is no port.
    Port,
    /// A whole URL where a host name is wanted.
    Url,
    /// No `http://` or `https://` URL where one is wanted.
    NotUrl,
}

impl fmt::Display for HostProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the host name is empty: give one, such as jobs.example.com",
            Self::TooLong => "the host name is longer than 253 characters: give a shorter one",
            Self::Forbidden => "a control character, a space or a backslash is in it: remove it",
            Self::Userinfo => "there is an @ in front of the host: give the host name alone",
            Self::IpLiteral => "this is an IP address: secrets belong to host names, give one",
            Self::EmptyLabel => "the host name has an empty label: remove the dot too many",
            Self::LabelTooLong => "a label of the host name is longer than 63 characters: shorten it",
            Self::Underscore => "an underscore is no part of a host name: use the name of the web site",
            Self::Hyphen => "a label of the host name starts or ends with a hyphen: remove it",
            Self::NotAscii => "the host name is not ASCII: send its xn-- form",
            Self::NotLdh => "host names have letters, digits, hyphens and dots only: remove the rest",
            Self::Port => "the port is not a number from 0 to 65535: remove it",
            Self::Url => "this is a URL: give the host name alone",
            Self::NotUrl => "this is no http:// or https:// URL: pass the Referer header as it was received",
        })
    }
}

impl HostName {
    /// Reads the host name that a request carries: case is folded, one trailing dot and a port are ignored.
    pub fn from_request(text: &str) -> Result<Self, HostProblem> {
        // Nearly every caller writes the name as it is configured.
        if is_canonical(text) {
            return Ok(Self(text.into()));
        }
        refuse_before_parsing(text)?;
        if text.contains('/') {
            return Err(HostProblem::Url);
        }
        Self::from_authority(text)
    }

    /// Reads the host out of a Referer header: the host of an `http` or `https` URL.
    pub fn from_referer(text: &str) -> Result<Self, HostProblem> {
        if text.is_empty() {
            return Err(HostProblem::Empty);
        }
        refuse_before_parsing(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(HostProblem::NotUrl)?;
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(HostProblem::NotUrl);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        Self::from_authority(&rest[..end])
    }

    /// Reads a host name out of the configuration, where it may be in any script: it is converted by IDNA
    /// (UTS 46, non-transitional) once, here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_config(text: &str) -> Result<Self, String> {
        let refused = |why: &dyn fmt::Display| format!("{text:?} is no domain: {why}");
        let ascii = if text.is_ascii() {
            text.into()
        } else {
            Uts46::new()
                .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::VerifyAllowRootDot)
                .map_err(|_| refused(&"it cannot be converted by IDNA; write it as it is registered"))?
        };
        if ascii.contains(':') {
            return Err(refused(&"write the host name alone, without a scheme or a port"));
        }
        Self::from_request(&ascii).map_err(|problem| refused(&problem))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names above this one, the longest first, without the name itself.
    pub(super) fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('.').map(|(dot, _)| &self.0[dot + 1..])
    }

    /// Length of the public suffix that the name lies on or is, after Mozilla's list; where the list knows
    /// nothing it is the last label.
    pub(super) fn public_suffix_len(&self) -> usize {
        psl::suffix(self.0.as_bytes()).map_or(0, |suffix| suffix.as_bytes().len())
    }

    fn from_authority(text: &str) -> Result<Self, HostProblem> {
        if text.contains('@') {
            return Err(HostProblem::Userinfo);
        }
        if text.starts_with('[') || text.matches(':').count() > 1 {
            return Err(HostProblem::IpLiteral);
        }
        let host = match text.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => return Err(HostProblem::Port),
            None => text,
        };
        canonical(host.strip_suffix('.').unwrap_or(host))
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn refuse_before_parsing(text: &str) -> Result<(), HostProblem> {
    let forbidden = text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
    if forbidden { Err(HostProblem::Forbidden) } else { Ok(()) }
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether it is a canonical name already, in one pass. What it does not know it denies, and the long way decides.
fn is_canonical(text: &str) -> bool {
    let mut label = 0;
    let mut letter_in_last = false;
    let mut before = b'.';
    for &byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' => letter_in_last = true,
            b'0'..=b'9' => {}
            b'-' if label > 0 => {}
            b'.' if label > 0 && before != b'-' => {
                (label, letter_in_last, before) = (0, false, byte);
                continue;
            }
            _ => return false,
        }
        label += 1;
        if label > LABEL_MAX {
            return false;
        }
        before = byte;
    }
    // A last label without a letter may be a number, and one of `0x` and digits is.
    let hexadecimal = text.rsplit('.').next().is_some_and(|last| last.starts_with("0x"));
    (1..=NAME_MAX).contains(&text.len()) && label > 0 && before != b'-' && letter_in_last && !hexadecimal
}

fn canonical(host: &str) -> Result<HostName, HostProblem> {
    if host.is_empty() {
        return Err(HostProblem::Empty);
    }
    if !host.is_ascii() {
        return Err(HostProblem::NotAscii);
    }
    if host.len() > NAME_MAX {
        return Err(HostProblem::TooLong);
    }
    host.split('.').try_for_each(check_label)?;
    let last = host.rsplit('.').next().unwrap_or_default();
    if is_numeric(last) {
        return Err(HostProblem::IpLiteral);
    }
    Ok(HostName(host.to_ascii_lowercase().into()))
}

fn check_label(label: &str) -> Result<(), HostProblem> {
    if label.is_empty() {
        return Err(HostProblem::EmptyLabel);
    }
    if label.len() > LABEL_MAX {
        return Err(HostProblem::LabelTooLong);
    }
    if label.contains('_') {
        return Err(HostProblem::Underscore);
    }
    if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(HostProblem::NotLdh);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostProblem::Hyphen);
    }
    Ok(())
}

/// A host whose last label is a number is an IPv4 address to every browser, in whatever base (WHATWG URL,
/// "ends in a number").
fn is_numeric(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
