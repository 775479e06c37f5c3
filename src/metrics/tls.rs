//! TLS: handshakes by how they ended, and the dates on which what was loaded ends by itself. Labels are the results
//! below and the addresses of listeners, so that no peer can add one.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{IntGaugeVec, Registry, opts};

use super::register;
use crate::clock::UnixSeconds;

macro_rules! results {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// How a TLS handshake ended.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Handshake { $($(#[doc = $doc])+ $variant,)+ }

        impl Handshake {
            /// All of them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The value of the label `result`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

results! {
    /// Let in.
    Ok = "ok",
    /// No client certificate came.
    NoCertificate = "no_certificate",
    /// Its issuer is not one of ours.
    UnknownCa = "unknown_ca",
    /// Past its notAfter.
    Expired = "expired",
    /// Before its notBefore.
    NotYetValid = "not_yet_valid",
    /// On a CRL.
    Revoked = "revoked",
    /// CRLs are configured, and none that can be used is of its issuer.
    UnknownRevocationStatus = "unknown_revocation_status",
    /// Not issued for clients (RFC 5280, extended key usage).
    WrongPurpose = "wrong_purpose",
    /// Malformed, or a signature that does not hold.
    BadCertificate = "bad_certificate",
    /// No name of the kind that the listener knows callers by, or a malformed one.
    BadIdentity = "bad_identity",
    /// More than one such name.
    SeveralIdentities = "several_identities",
    /// A SPIFFE ID of another trust domain.
    WrongTrustDomain = "wrong_trust_domain",
    /// Not finished in time.
    TimedOut = "timed_out",
    /// Ended for another one, because as many were under way as may be.
    Shed = "shed",
    /// What came was no TLS.
    NotTls = "not_tls",
    /// The client does not offer TLS 1.3.
    ProtocolVersion = "protocol_version",
    /// Neither h2 nor http/1.1 among the protocols the client offers (ALPN).
    NoApplicationProtocol = "no_application_protocol",
    /// The client refused us: most often, it does not trust our certificate.
    RefusedByPeer = "refused_by_peer",
    /// The client went away in the middle.
    HungUp = "hung_up",
    /// Anything else.
    Other = "other",
}

/// Handshakes, counted.
#[derive(Default, Debug)]
pub struct Handshakes([AtomicU64; Handshake::ALL.len()]);

impl Handshakes {
    /// Counts one.
    pub fn count(&self, result: Handshake) {
        self.0[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many ended so.
    #[must_use]
    pub fn of(&self, result: Handshake) -> &AtomicU64 {
        &self.0[result as usize]
    }
}

/// The dates of what TLS listeners serve with.
pub struct TlsDates {
    certificate: IntGaugeVec,
    crl: IntGaugeVec,
}

impl TlsDates {
    pub(super) fn new(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGaugeVec::new(opts!(name, help), &["listener"]).expect("the name and label are well-formed");
            register(registry, gauge.clone());
            gauge
        };
        Self {
            certificate: gauge(
                "countersign_tls_certificate_not_after_timestamp_seconds",
                "When our own certificate expires, Unix time in seconds, by listener.",
            ),
            crl: gauge(
                "countersign_tls_crl_next_update_timestamp_seconds",
                "When the first of the CRLs ought to have been replaced, Unix time in seconds, by listener.",
            ),
        }
    }

    /// Shows these for `listener` from now on.
    pub fn show(&self, listener: &str, not_after: UnixSeconds, next_update: Option<UnixSeconds>) {
        self.certificate.with_label_values(&[listener]).set(not_after.0);
        match next_update {
            Some(at) => self.crl.with_label_values(&[listener]).set(at.0),
            // There was none to show, or there no longer is.
            None => drop(self.crl.remove_label_values(&[listener])),
        }
    }
}
