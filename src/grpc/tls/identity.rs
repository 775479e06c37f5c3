//! Who a client certificate says its holder is: exactly one SPIFFE ID of our trust domain, or, where a listener says
//! so, exactly one DNS name. The common name is never read: it was never checked by anybody.

use std::fmt;

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::{
    clock::UnixSeconds,
    metrics::Handshake,
    policy::{Caller, SpiffeId},
};

/// Names of a certificate that are shown in a log line, and bytes of each.
const SHOWN_NAMES: usize = 8;
const SHOWN_BYTES: usize = 256;

/// By which name a listener knows its callers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// The one URI among the subject alternative names, which is a SPIFFE ID of this trust domain.
    Spiffe {
        /// The trust domain.
        trust_domain: String,
    },
    /// The one DNS name among the subject alternative names.
    Dns,
}

/// What is read of a certificate.
pub(super) struct Leaf {
    uris: Vec<String>,
    dns: Vec<String>,
    /// Whether it may sign certificates or CRLs, which no workload's may (SPIFFE X.509-SVID, section 4.3).
    signs: bool,
    pub(super) not_after: UnixSeconds,
    /// For a log line.
    pub(super) shown: String,
}

/// Why a certificate that is valid names no caller.
#[derive(Debug)]
pub(super) enum Fault {
    Unreadable,
    Signs,
    None(&'static str),
    Several(&'static str, usize),
    Malformed(&'static str),
    WrongTrustDomain { theirs: String, ours: String },
}

impl Leaf {
    /// Reads a certificate in DER.
    pub(super) fn read(der: &[u8]) -> Result<Self, Fault> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Fault::Unreadable)?;
        let mut leaf = Self {
            uris: Vec::new(),
            dns: Vec::new(),
            signs: certificate.is_ca(),
            not_after: UnixSeconds(certificate.validity().not_after.timestamp()),
            shown: String::new(),
        };
        if let Some(usage) = certificate.key_usage().map_err(|_| Fault::Unreadable)? {
            leaf.signs |= usage.value.key_cert_sign() || usage.value.crl_sign();
        }
        let names = certificate.subject_alternative_name().map_err(|_| Fault::Unreadable)?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        for name in names {
            match name {
                GeneralName::URI(uri) => leaf.uris.push((*uri).to_owned()),
                GeneralName::DNSName(name) => leaf.dns.push((*name).to_owned()),
                _ => {}
            }
        }
        leaf.shown = shown(names);
        Ok(leaf)
    }
}

impl Identity {
    /// The caller that the certificate names.
    pub(super) fn of(&self, leaf: &Leaf) -> Result<Caller, Fault> {
        if leaf.signs {
            return Err(Fault::Signs);
        }
        match self {
            Self::Spiffe { trust_domain } => {
                let id = SpiffeId::parse(only(&leaf.uris, "URI")?).map_err(Fault::Malformed)?;
                if id.trust_domain() != trust_domain {
                    let theirs = id.trust_domain().to_owned();
                    return Err(Fault::WrongTrustDomain { theirs, ours: trust_domain.clone() });
                }
                Ok(Caller::Spiffe(id))
            }
            Self::Dns => {
                let name = only(&leaf.dns, "DNS")?.to_ascii_lowercase();
                if !is_host_name(&name) {
                    return Err(Fault::Malformed("the DNS name is no plain host name; wildcards name nobody"));
                }
                Ok(Caller::Dns(name.into()))
            }
        }
    }
}

impl Fault {
    pub(super) fn result(&self) -> Handshake {
        match self {
            Self::Unreadable => Handshake::BadCertificate,
            Self::Signs | Self::None(_) | Self::Malformed(_) => Handshake::BadIdentity,
            Self::Several(..) => Handshake::SeveralIdentities,
            Self::WrongTrustDomain { .. } => Handshake::WrongTrustDomain,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("its certificate is malformed; issue it anew"),
            Self::Signs => f.write_str(
                "its certificate may sign certificates or CRLs, which no workload's may; issue it without CA and keyCertSign",
            ),
            Self::None(kind) => write!(
                f,
                "its certificate has no {kind} among its subject alternative names (the common name does not count); issue one with exactly one"
            ),
            Self::Several(kind, count) => write!(
                f,
                "its certificate has {count} names of kind {kind}, so it is not clear who calls; issue one with exactly one"
            ),
            Self::Malformed(problem) => {
                write!(f, "its certificate's name is not taken: {problem}; issue one with such a name")
            }
            Self::WrongTrustDomain { theirs, ours } => write!(
                f,
                "it is of trust domain {theirs}, this listener is for {ours}; issue a certificate there, or mend listen.tls trust_domain"
            ),
        }
    }
}

fn only<'a>(names: &'a [String], kind: &'static str) -> Result<&'a str, Fault> {
    match names {
        [] => Err(Fault::None(kind)),
        [name] => Ok(name),
        more => Err(Fault::Several(kind, more.len())),
    }
}

/// Labels of letters, digits, hyphens and underscores, 253 bytes at most, in lower case.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn shown(names: &[GeneralName<'_>]) -> String {
    let mut text = Vec::new();
    for name in names.iter().take(SHOWN_NAMES) {
        let (kind, name) = match name {
            GeneralName::URI(uri) => ("URI:", *uri),
            GeneralName::DNSName(name) => ("DNS:", *name),
            GeneralName::RFC822Name(name) => ("email:", *name),
            _ => ("another kind of name", ""),
        };
        let safe: String = name.chars().filter(|c| !c.is_control()).take(SHOWN_BYTES).collect();
        text.push(format!("{kind}{safe}"));
    }
    if names.len() > SHOWN_NAMES {
        text.push(format!("and {} more", names.len() - SHOWN_NAMES));
    }
    if text.is_empty() { "none".into() } else { text.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(uris: &[&str], dns: &[&str]) -> Leaf {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (uris, dns) = (owned(uris), owned(dns));
        Leaf { uris, dns, signs: false, not_after: UnixSeconds(0), shown: String::new() }
    }

    fn spiffe() -> Identity {
        Identity::Spiffe { trust_domain: "example.org".into() }
    }

    fn refused(identity: &Identity, leaf: &Leaf) -> Handshake {
        identity.of(leaf).unwrap_err().result()
    }

    #[test]
    fn one_spiffe_id_of_the_trust_domain_is_a_caller_whatever_dns_names_stand_beside_it() {
        let caller = spiffe().of(&leaf(&["spiffe://example.org/a"], &["a.example", "b.example"])).unwrap();
        assert_eq!(caller.to_string(), "spiffe://example.org/a");
    }

    #[test]
    fn none_two_another_domain_and_another_scheme_are_not() {
        assert_eq!(refused(&spiffe(), &leaf(&[], &["a.example"])), Handshake::BadIdentity);
        assert_eq!(refused(&spiffe(), &leaf(&["https://example.org/a"], &[])), Handshake::BadIdentity);
        let two = leaf(&["spiffe://example.org/a", "https://example.org/a"], &[]);
        assert_eq!(refused(&spiffe(), &two), Handshake::SeveralIdentities);
        assert_eq!(refused(&spiffe(), &leaf(&["spiffe://example.com/a"], &[])), Handshake::WrongTrustDomain);
        let signer = Leaf { signs: true, ..leaf(&["spiffe://example.org/a"], &[]) };
        assert_eq!(refused(&spiffe(), &signer), Handshake::BadIdentity);
    }

    #[test]
    fn a_dns_name_is_taken_in_lower_case_and_a_wildcard_is_not() {
        let caller = Identity::Dns.of(&leaf(&["spiffe://example.org/a"], &["Portal.Example.ORG"])).unwrap();
        assert_eq!(caller.to_string(), "dns:portal.example.org");
        for bad in ["*.example.org", "", "a..b", "a b", "-a", "a.example.org."] {
            assert_eq!(refused(&Identity::Dns, &leaf(&[], &[bad])), Handshake::BadIdentity, "{bad}");
        }
        assert_eq!(refused(&Identity::Dns, &leaf(&[], &["a", "b"])), Handshake::SeveralIdentities);
        assert_eq!(refused(&Identity::Dns, &leaf(&["spiffe://example.org/a"], &[])), Handshake::BadIdentity);
    }
}
