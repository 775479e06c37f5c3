//! Whose certificate is trusted: that of an authority of the system, or of the configured file, for just the host that is
//! called.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
    thread,
};

use countersign::outbound::{Outbound, Problem, Request, Roots, Sent, Settings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{LONG, fails, get, send, server::answer, settings, started};

/// An authority, and its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file, _folder: folder }
    }

    /// A server of TLS with a certificate for this name; gives its port.
    fn serve(&self, name: &str) -> u16 {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(answer("200 OK", "over TLS").as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        port
    }

    fn trusted(&self) -> Settings {
        Settings { ca_file: Some(self.file.clone()), insecure_loopback: false, ..settings() }
    }
}

#[test]
fn the_configured_authority_is_trusted_and_no_other_for_the_host_that_is_called() {
    let (ours, other) = (Authority::new(), Authority::new());
    let by_address = format!("https://127.0.0.1:{}", ours.serve("127.0.0.1"));
    let got = get(ours.trusted(), &by_address, "/").unwrap();
    assert_eq!((got.status, got.body.as_slice()), (200, b"over TLS".as_slice()));
    let by_name = format!("https://localhost:{}", ours.serve("localhost"));
    assert_eq!(get(ours.trusted(), &by_name, "/").unwrap().status, 200);

    fails(get(other.trusted(), &by_name, "/"), Sent::Nothing, Problem::Tls);
    let for_another = format!("https://localhost:{}", ours.serve("www.idibu.com"));
    fails(get(ours.trusted(), &for_another, "/"), Sent::Nothing, Problem::Tls);
    // An address inside is one also where its certificate is trusted.
    let careful = Settings { private_addresses: false, ..ours.trusted() };
    fails(get(careful, &by_name, "/"), Sent::Nothing, Problem::Address);
}

#[test]
fn a_server_that_speaks_no_tls_is_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = [0; 4096];
        let read = stream.read(&mut heard).unwrap();
        stream.write_all(answer("400 Bad Request", "speak plainly").as_bytes()).unwrap();
        String::from_utf8_lossy(&heard[..read]).into_owned()
    });
    let ours = Authority::new();
    fails(get(ours.trusted(), &format!("https://127.0.0.1:{port}"), "/"), Sent::Nothing, Problem::Tls);
    let heard = heard.join().unwrap();
    assert!(!heard.is_empty() && !heard.contains("HTTP/"), "{heard:?}");
}

#[test]
fn a_file_without_authorities_is_refused_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let read = |content: Option<&str>| {
        let file = folder.path().join("ca.pem");
        content.inspect(|content| std::fs::write(&file, content).unwrap());
        let problem = Roots::read(&Settings { ca_file: Some(file), ..settings() }).map(drop).unwrap_err();
        assert!(problem.contains("outbound.ca_file") && problem.contains("ca.pem"), "{problem}");
        problem
    };
    assert!(read(None).contains("cannot be read"));
    assert!(read(Some("")).contains("PEM"));
    assert!(read(Some("no certificate")).contains("PEM"));
    assert!(read(Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).contains("certificate"));
}

#[test]
fn a_changed_file_is_taken_up() {
    let (before, after) = (Authority::new(), Authority::new());
    let origin = format!("https://localhost:{}", after.serve("localhost"));
    let outbound: &'static Outbound = Box::leak(Box::new(started(before.trusted())));
    let ask = || send(outbound, Request::get(format!("{origin}/")), &[&origin], LONG);
    fails(ask(), Sent::Nothing, Problem::Tls);
    outbound.take_up(after.trusted(), Roots::read(&after.trusted()).unwrap());
    assert_eq!(ask().unwrap().status, 200);
    outbound.close(LONG);
}
