//! The origin of a Hub: scheme, host and port, in one canonical spelling.
//!
//! What a URL parser would quietly repair (control characters, backslashes, user names, addresses like `127.1`, letters
//! outside ASCII) is refused before any parsing, and what a parser still changes is refused after it.

use std::fmt;

use url::{Host, Url};

use crate::hub::token::ORIGIN_MAX;

/// Why a text is no address of a Hub. What it shows goes after the name of the field, and quotes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressProblem {
    /// Nothing at all.
    Empty,
    /// More than so many characters.
    TooLong(usize),
    /// A control character, a space, a backslash, or something outside ASCII.
    Forbidden,
    /// Not `https://`; plain `http://` is for loopback addresses alone.
    NotHttps,
    /// A user name before the host.
    Userinfo,
    /// No host name, or an address, in its usual spelling.
    Host,
    /// No port from 1 to 65535 in its usual spelling.
    Port,
    /// Something behind host and port.
    Path,
    /// A fragment.
    Fragment,
    /// Not as browsers and servers spell URLs: a dot segment, or a character that has to be encoded.
    NotCanonical,
    /// A parameter of its own that is ours to add.
    OurParameter,
}

impl fmt::Display for AddressProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty: name a Hub, such as https://hub.example.com"),
            Self::TooLong(most) => write!(f, "is longer than {most} characters"),
            Self::Forbidden => {
                f.write_str("has a control character, a space, a backslash or something outside ASCII in it")
            }
            Self::NotHttps => f.write_str("does not start with https:// (http:// is for loopback addresses alone)"),
            Self::Userinfo => f.write_str("has a user name in front of the host"),
            Self::Host => f.write_str("has no host name in its usual spelling"),
            Self::Port => f.write_str("has no port from 1 to 65535 in its usual spelling"),
            Self::Path => f.write_str("has more than a host and a port"),
            Self::Fragment => f.write_str("has a fragment"),
            Self::NotCanonical => {
                f.write_str("is not spelt as URLs are: it has a dot segment, or something that must be encoded")
            }
            Self::OurParameter => f.write_str("has a parameter auth or username of its own, which are ours to add"),
        }
    }
}

/// Scheme, host and port: `https://hub.example.com`, `https://hub.example.com:8443`, `http://127.0.0.1:8080`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    text: String,
    port: u16,
    is_secure: bool,
}

impl Origin {
    /// Reads one; letters may be of either case, and nothing may follow.
    pub fn parse(text: &str) -> Result<Self, AddressProblem> {
        is_plain(text, ORIGIN_MAX)?;
        let (scheme, authority) = text.split_once("://").ok_or(AddressProblem::NotHttps)?;
        let is_secure = scheme.eq_ignore_ascii_case("https");
        if !is_secure && !scheme.eq_ignore_ascii_case("http") {
            return Err(AddressProblem::NotHttps);
        }
        if authority.contains('@') {
            return Err(AddressProblem::Userinfo);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(AddressProblem::Path);
        }
        let authority = authority.to_ascii_lowercase();
        let (host, port) = split_port(&authority)?;
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'[' | b']' | b':')) {
            return Err(AddressProblem::Host);
        }
        let scheme = if is_secure { "https" } else { "http" };
        let parsed = Url::parse(&format!("{scheme}://{host}/")).map_err(|_| AddressProblem::Host)?;
        // What the parser spells otherwise is an address in disguise.
        if parsed.host_str() != Some(host) {
            return Err(AddressProblem::Host);
        }
        let is_loopback = match parsed.host().ok_or(AddressProblem::Host)? {
            Host::Domain(name) => is_host_name(name).then_some(false).ok_or(AddressProblem::Host)?,
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        if !is_secure && !is_loopback {
            return Err(AddressProblem::NotHttps);
        }
        let usual = if is_secure { 443 } else { 80 };
        let port = port.unwrap_or(usual);
        let shown = if port == usual { String::new() } else { format!(":{port}") };
        Ok(Self { text: format!("{scheme}://{host}{shown}"), port, is_secure })
    }

    /// The canonical text, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The port that is connected to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is `https`; else it is a loopback address.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// So many printable ASCII characters at most, no space and no backslash.
pub(super) fn is_plain(text: &str, most: usize) -> Result<(), AddressProblem> {
    if text.is_empty() {
        return Err(AddressProblem::Empty);
    }
    if text.len() > most {
        return Err(AddressProblem::TooLong(most));
    }
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_plain { Ok(()) } else { Err(AddressProblem::Forbidden) }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), AddressProblem> {
    let name_ends = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[name_ends..].find(':').map(|at| name_ends + at) else { return Ok((authority, None)) };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    let number: u16 = port.parse().map_err(|_| AddressProblem::Port)?;
    if number == 0 || number.to_string() != port { Err(AddressProblem::Port) } else { Ok((host, Some(number))) }
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn origins_have_one_spelling() {
        for (written, canonical) in [
            ("https://core.broadsoftlabs.com", "https://core.broadsoftlabs.com"),
            ("HTTPS://Core.BroadSoftLabs.com", "https://core.broadsoftlabs.com"),
            ("https://hub.example.com:443", "https://hub.example.com"),
            ("https://hub.example.com:8443", "https://hub.example.com:8443"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("https://192.0.2.7", "https://192.0.2.7"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.8.7:80", "http://127.9.8.7"),
            ("http://[::1]:9", "http://[::1]:9"),
        ] {
            assert_eq!(Origin::parse(written).map(|origin| origin.text), Ok(canonical.to_owned()), "{written}");
        }
        assert_eq!(Origin::parse("https://h.example").unwrap().port(), 443);
        assert_eq!(Origin::parse("http://[::1]").unwrap().port(), 80);
    }

    #[test]
    fn what_is_no_origin_or_hides_another_is_refused() {
        use AddressProblem::{Empty, Forbidden, Host, NotHttps, Path, Port, TooLong, Userinfo};
        for (text, problem) in [
            ("", Empty),
            ("https://", Host),
            ("hub.example.com", NotHttps),
            ("http://hub.example.com", NotHttps),
            ("http://10.0.0.1", NotHttps),
            ("http://localhost:8080", NotHttps),
            ("ftp://hub.example.com", NotHttps),
            ("javascript://hub.example.com", NotHttps),
            ("https:hub.example.com", NotHttps),
            ("https:/hub.example.com", NotHttps),
            ("https:///hub.example.com", Path),
            ("https://hub.example.com/", Path),
            ("https://hub.example.com?x", Path),
            ("https://hub.example.com#x", Path),
            ("https://hub.example.com\\@evil.example", Forbidden),
            ("https://hub.example.com@evil.example", Userinfo),
            ("https://hub.example.com:x@evil.example", Userinfo),
            ("https://hub.example.com%40evil.example", Host),
            ("https://hub.example.com%2eevil.example", Host),
            ("https://hub.example.com\r\nHost: evil.example", Forbidden),
            ("https://hub.example.com\t", Forbidden),
            ("https://hub .example.com", Forbidden),
            ("https://hüb.example.com", Forbidden),
            ("https://hub.example\u{3002}com", Forbidden),
            ("https://\u{200b}hub.example.com", Forbidden),
            ("https://hub.example.com.", Host),
            ("https://.hub.example.com", Host),
            ("https://hub..example.com", Host),
            ("https://-hub.example.com", Host),
            ("https://hub_.example.com", Host),
            ("https://hub,example.com", Host),
            ("https://*.example.com", Host),
            ("https://xn--.example", Host),
            ("https://127.1", Host),
            ("https://0x7f.0.0.1", Host),
            ("https://2130706433", Host),
            ("https://0177.0.0.1", Host),
            ("https://[::ffff:127.0.0.1]", Host),
            ("https://[0:0::1]", Host),
            ("https://[::1", Port),
            ("https://hub.example.com:", Port),
            ("https://hub.example.com:0", Port),
            ("https://hub.example.com:0443", Port),
            ("https://hub.example.com:+443", Port),
            ("https://hub.example.com:65536", Port),
            ("https://hub.example.com:443:443", Port),
        ] {
            assert_eq!(Origin::parse(text), Err(problem), "{text}");
        }
        assert_eq!(Origin::parse(&format!("https://{}", "h".repeat(300))), Err(TooLong(255)));
        assert_eq!(Origin::parse(&format!("https://{}.example", "h".repeat(64))), Err(Host));
    }

    proptest! {
        /// Whatever is taken means to a URL parser what it means to us, and is its own canonical text.
        #[test]
        fn what_is_taken_is_read_alike_by_a_url_parser(text in "(https?://)?[a-zA-Z0-9.:@/\\\\%\\[\\]-]{0,24}") {
            if let Ok(origin) = Origin::parse(&text) {
                let url = Url::parse(&text).unwrap();
                prop_assert_eq!(url.origin().ascii_serialization(), origin.as_str());
                prop_assert_eq!(url.port_or_known_default(), Some(origin.port()));
                prop_assert!(url.username().is_empty() && url.path() == "/" && url.query().is_none());
                prop_assert_eq!(Origin::parse(origin.as_str()), Ok(origin));
            }
        }
    }
}
