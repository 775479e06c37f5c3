//! A client made of rustls, which holds on to its connection and speaks JSON over HTTP/1.1 on it.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, NamedGroup, RootCertStore, StreamOwned,
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{self, kx_group},
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};

pub struct Peer(BufReader<StreamOwned<ClientConnection, TcpStream>>);

/// A client's configuration from `NAME.crt`, `NAME.key` and `ca.crt` in a folder, which knows the post-quantum hybrid.
pub fn client(tls: &Path, name: &str) -> ClientConfig {
    client_with(tls, name, vec![kx_group::X25519MLKEM768, kx_group::X25519])
}

pub fn client_with(tls: &Path, name: &str, kx_groups: Vec<&'static dyn SupportedKxGroup>) -> ClientConfig {
    let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_file_iter(tls.join("ca.crt")).unwrap().map(Result::unwrap));
    let chain = CertificateDer::pem_file_iter(tls.join(format!("{name}.crt"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls.join(format!("{name}.key"))).unwrap();
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap()
}

impl Peer {
    /// Connects and shakes hands; that the server took the certificate shows in the first answer.
    pub fn connect(port: u16, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(BufReader::new(stream)))
    }

    /// What was negotiated: key exchange, ALPN, and the server's certificate in DER.
    pub fn negotiated(&self) -> (NamedGroup, Option<Vec<u8>>, Vec<u8>) {
        let connection = &self.0.get_ref().conn;
        let group = connection.negotiated_key_exchange_group().unwrap().name();
        let certificate = connection.peer_certificates().unwrap()[0].to_vec();
        (group, connection.alpn_protocol().map(<[u8]>::to_vec), certificate)
    }

    /// Mints on this connection; gives the HTTP status.
    pub fn mint(&mut self) -> io::Result<u16> {
        let body = r#"{"domain":"jobs.example.com","client":42}"#;
        let request = format!(
            "POST /countersign.v1.LiveAuthService/MintHash HTTP/1.1\r\nHost: any\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<u16> {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(code) = line.strip_prefix("http/1.1 ") {
                status = code[..3].parse().unwrap();
            } else if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.parse().unwrap();
            } else if line.is_empty() {
                break;
            }
        }
        self.0.read_exact(&mut vec![0; length])?;
        Ok(status)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// All that still comes, however the connection ends.
    pub fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest
    }

    /// Waits for the server to close the connection; whether it did so in order.
    pub fn closed(mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).is_ok_and(|_| rest.is_empty())
    }
}
