//! The other end: how the command line proves who it is and checks who answers. TLS 1.3, a certificate of our own, and
//! the server's checked against the host of the address, another DNS name, or one SPIFFE ID.

use std::{io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, Error, RootCertStore,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    sign::SingleCertAndKey,
    version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    files::TlsFiles,
    identity::{Identity, Leaf},
    material,
    provider::provider,
    verifier::signatures_by,
};
use crate::policy::{Caller, SpiffeId};

/// A connection to the service.
pub(in crate::grpc) type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;

/// Whom the server's certificate must name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerIdentity {
    /// The host of the address.
    Host,
    /// This DNS name or IP address.
    Name(String),
    /// This SPIFFE ID, and no other URI.
    Spiffe(SpiffeId),
}

impl ServerIdentity {
    /// Reads a host name or a SPIFFE ID.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("spiffe://") {
            return SpiffeId::parse(text).map(Self::Spiffe).map_err(|problem| format!("{text:?}: {problem}"));
        }
        match ServerName::try_from(text) {
            Ok(_) => Ok(Self::Name(text.to_owned())),
            Err(_) => Err(format!("{text:?} is no host name and no SPIFFE ID")),
        }
    }
}

/// What a client connects with.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: Option<String>,
}

impl ClientTls {
    /// Reads the client's certificate and key, and the CA file that the server's certificate must lead to.
    ///
    /// # Errors
    /// What is wrong with them, in one line.
    pub fn load(files: &TlsFiles, server: &ServerIdentity) -> Result<Self, String> {
        let contents = files.read()?;
        let certified = material::pair(&files.certificate, &contents.certificate, &files.key, &contents.key)?;
        let mut roots = RootCertStore::empty();
        for issuer in material::certificates(&contents.ca, "CA file", &files.ca)? {
            roots
                .add(issuer)
                .map_err(|_| format!("CA file {} is malformed; put a whole one there", files.ca.display()))?;
        }
        let roots = Arc::new(roots);
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| format!("CA file {}: {error}", files.ca.display()))?;
        let verifier: Arc<dyn ServerCertVerifier> = match server {
            ServerIdentity::Host | ServerIdentity::Name(_) => chains,
            ServerIdentity::Spiffe(id) => Arc::new(OneWorkload { id: id.clone(), roots, chains }),
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        let name = if let ServerIdentity::Name(name) = server { Some(name.clone()) } else { None };
        Ok(Self { config: Arc::new(config), name })
    }

    /// Shakes hands with whoever listens at `host`; in words for people where that fails.
    pub(in crate::grpc) async fn connect(&self, stream: TcpStream, host: &str) -> Result<ClientStream, String> {
        let name = self.name.as_deref().unwrap_or(host);
        let server = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
            .map_err(|_| format!("{name:?} is no name that a certificate can have"))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(server, stream).await.map_err(|error| said(&error, name))
    }
}

/// Takes a server that has exactly this SPIFFE ID, whatever its host is called.
#[derive(Debug)]
struct OneWorkload {
    id: SpiffeId,
    roots: Arc<RootCertStore>,
    /// For signatures.
    chains: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for OneWorkload {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        let identity = Identity::Spiffe { trust_domain: self.id.trust_domain().to_owned() };
        match Leaf::read(end_entity).and_then(|leaf| identity.of(&leaf)) {
            Ok(Caller::Spiffe(id)) if id == self.id => Ok(ServerCertVerified::assertion()),
            _ => Err(CertificateError::NotValidForName.into()),
        }
    }

    signatures_by!(chains);
}

fn said(error: &io::Error, name: &str) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate is of an issuer that the file of --tls-ca does not hold".into()
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!(
            "its certificate does not name {name}; mend --address, or say whom to expect with --tls-server-name"
        ),
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "its certificate has expired".into()
        }
        Some(Error::InvalidMessage(_)) => "it does not speak TLS; for plain HTTP/2 write http://".into(),
        Some(Error::AlertReceived(alert)) => refused(&format!("{alert:?}")),
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

/// What an alert of the server's means.
fn refused(alert: &str) -> String {
    format!("it refused our certificate with the alert {alert}; its log says why")
}

/// The server's alert somewhere in what ended a connection. TLS 1.3 lets the client finish first, so that a refused
/// certificate shows only in what comes after.
pub(in crate::grpc) fn alert_in(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    const SAYS: &str = "received fatal alert: ";
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if let Some(at) = text.find(SAYS) {
            let alert = &text[at + SAYS.len()..];
            let end = alert.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(alert.len());
            return Some(refused(&alert[..end]));
        }
        cause = error.source();
    }
    None
}
