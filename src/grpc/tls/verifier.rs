//! The judge of one handshake's client certificate: first its chain, dates, purpose and revocation (webpki), then the
//! one name that it must have. What was seen is noted for whoever logs and serves the connection; the alert that the
//! client gets names the kind of fault and no more.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, DistinguishedName, Error,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::identity::{Fault, Identity, Leaf};
use crate::{clock::UnixSeconds, policy::Caller};

/// What was seen of a client's certificate.
#[derive(Debug)]
pub(super) struct Seen {
    /// Its names, for a log line.
    pub(super) names: String,
    /// `None` where the chain was refused before names were asked for.
    pub(super) caller: Option<Result<Caller, Fault>>,
    /// When it expires.
    pub(super) not_after: UnixSeconds,
}

/// Where the judge leaves what it has seen.
pub(super) type Note = Arc<OnceLock<Seen>>;

/// Leaves the signatures of a handshake to another verifier, which the field holds.
macro_rules! signatures_by {
    ($field:ident) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &::rustls::pki_types::CertificateDer<'_>,
            signature: &::rustls::DigitallySignedStruct,
        ) -> Result<::rustls::client::danger::HandshakeSignatureValid, ::rustls::Error> {
            self.$field.verify_tls12_signature(message, certificate, signature)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &::rustls::pki_types::CertificateDer<'_>,
            signature: &::rustls::DigitallySignedStruct,
        ) -> Result<::rustls::client::danger::HandshakeSignatureValid, ::rustls::Error> {
            self.$field.verify_tls13_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<::rustls::SignatureScheme> {
            self.$field.supported_verify_schemes()
        }
    };
}

pub(super) use signatures_by;

#[derive(Debug)]
pub(super) struct Judge {
    pub(super) chains: Arc<dyn ClientCertVerifier>,
    pub(super) identity: Arc<Identity>,
    pub(super) note: Note,
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = self.chains.verify_client_cert(end_entity, intermediates, now);
        let leaf = Leaf::read(end_entity);
        let (names, not_after) = match &leaf {
            Ok(leaf) => (leaf.shown.clone(), leaf.not_after),
            Err(_) => ("unreadable".into(), UnixSeconds(0)),
        };
        let caller = chain.is_ok().then(|| leaf.and_then(|leaf| self.identity.of(&leaf)));
        let is_nobody = matches!(caller, Some(Err(_)));
        // Set once: rustls asks once a handshake.
        let _ = self.note.set(Seen { names, caller, not_after });
        // Goes out as the alert access_denied (RFC 8446, section 6.2).
        if is_nobody { Err(CertificateError::ApplicationVerificationFailure.into()) } else { chain }
    }

    signatures_by!(chains);
}
