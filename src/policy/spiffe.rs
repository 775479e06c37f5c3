//! SPIFFE IDs (SPIFFE-ID standard, section 2): `spiffe://trust-domain/path`, read strictly and compared byte by byte. What
//! another reader might normalise — upper case, percent signs, dots, empty segments — is no ID here.

use std::{fmt, sync::Arc};

/// Bytes of a whole ID (SPIFFE-ID, section 2.3).
const MAX_LEN: usize = 2048;

/// Bytes of a trust domain (SPIFFE-ID, section 2.1).
const MAX_TRUST_DOMAIN_LEN: usize = 255;

const SCHEME: &str = "spiffe://";

/// The name of a workload, as its certificate gives it. It always has a path: the ID of a trust domain alone names its
/// signing authority and calls nobody.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SpiffeId {
    text: Arc<str>,
    /// Bytes of the scheme and the trust domain.
    path_at: usize,
}

impl SpiffeId {
    /// Reads an ID.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_LEN {
            return Err("longer than 2048 bytes");
        }
        let rest = text.strip_prefix(SCHEME).ok_or("does not begin with spiffe://")?;
        let (trust_domain, path) =
            rest.split_once('/').ok_or("names a trust domain and no workload: a path is missing")?;
        if !is_trust_domain(trust_domain) {
            return Err("the trust domain is not 1 to 255 of a-z 0-9 . _ -");
        }
        if !path.split('/').all(is_segment) {
            return Err("the path is not made of segments of A-Z a-z 0-9 . _ -, or has one that is empty, . or ..");
        }
        Ok(Self { path_at: SCHEME.len() + trust_domain.len(), text: text.into() })
    }

    /// The whole ID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.text[SCHEME.len()..self.path_at]
    }

    /// The path, from its slash on.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether it is the name of a trust domain.
#[must_use]
pub fn is_trust_domain(text: &str) -> bool {
    (1..=MAX_TRUST_DOMAIN_LEN).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_trust_domain_and_a_path() {
        let id = SpiffeId::parse("spiffe://prod.example.org/ns/jobs/sa/portal_1").unwrap();
        assert_eq!((id.trust_domain(), id.path()), ("prod.example.org", "/ns/jobs/sa/portal_1"));
        assert_eq!(id.to_string(), "spiffe://prod.example.org/ns/jobs/sa/portal_1");
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "spiffe://",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe:///a",
            "SPIFFE://example.org/a",
            "spiffe://Example.org/a",
            "spiffe://example.org:443/a",
            "spiffe://user@example.org/a",
            "spiffe://example.org//a",
            "spiffe://example.org/a/",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/./a",
            "spiffe://example.org/a%2fb",
            "spiffe://example.org/a?b",
            "spiffe://example.org/a#b",
            "spiffe://example.org/a b",
            "spiffe://example.org/ä",
            "spiffe://example.org/a\n",
            "https://example.org/a",
        ] {
            assert!(SpiffeId::parse(text).is_err(), "{text:?}");
        }
        assert!(SpiffeId::parse(&format!("spiffe://example.org/{}", "a".repeat(2048))).is_err());
        assert!(SpiffeId::parse(&format!("spiffe://{}/a", "a".repeat(256))).is_err());
    }
}
