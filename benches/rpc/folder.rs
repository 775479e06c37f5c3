//! A folder for `countersign dev` with everything that a bench turns on and off: a journal, and a listener that takes
//! TLS 1.3 with client certificates beside the one in clear.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

const CALLER: &str = "spiffe://example.org/bench";

/// The folder, where its TLS listener will be, and how to get in.
pub struct Folder {
    pub dir: tempfile::TempDir,
    pub tls: String,
    pub client: Arc<ClientConfig>,
}

impl Folder {
    pub fn new(journal: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        // Free a moment ago; `dev` says so if somebody was faster.
        let tls = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let client = certificates(dir.path());
        fs::write(dir.path().join("config.toml"), config(&tls, journal)).unwrap();
        Self { dir, tls, client }
    }
}

fn config(tls: &str, journal: bool) -> String {
    format!(
        r#"[listen]
unix = "countersign.sock"

[[listen.tls]]
address = "{tls}"
certificate = "service.crt"
key = "service.key"
client_ca = "ca.crt"
trust_domain = "example.org"

[keyring]
path = "keyring"
kek_file = "kek"

[ledger]
path = "ledger.sqlite"

[journal]
enabled = {journal}
path = "journal.jsonl"

[limits]
rate = "off"

[[liveauth.domains]]
name = "jobs.example.com"
key = "jobs.example.com"

[[hub.apps]]
name = "acme-contacts"
key = "acme-contacts"

[[policy.rules]]
name = "the bench, on the domain"
callers = ["{CALLER}", "name:dev-tcp"]
verbs = ["mint", "verify"]
domains = ["jobs.example.com"]

[[policy.rules]]
name = "the bench, on the app"
callers = ["{CALLER}", "name:dev-tcp"]
verbs = ["seal", "open", "verify"]
apps = ["acme-contacts"]

[[policy.rules]]
name = "others"
callers = ["spiffe://example.org/*", "gid:4000"]
verbs = ["verify"]
domains = ["*"]
"#
    )
}

/// An authority, the service's certificate and the caller's, ECDSA P-256 all of them.
fn certificates(dir: &Path) -> Arc<ClientConfig> {
    let params = || {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        params
    };
    let mut authority = params();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let issue = |name, purpose| {
        let mut params = params();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.subject_alt_names = vec![name];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let local = SanType::IpAddress("127.0.0.1".parse().unwrap());
    let (service, service_key) = issue(local, ExtendedKeyUsagePurpose::ServerAuth);
    let caller = SanType::URI(CALLER.try_into().unwrap());
    let (caller, caller_key) = issue(caller, ExtendedKeyUsagePurpose::ClientAuth);
    for (name, text) in
        [("ca.crt", ca.pem()), ("service.crt", service.pem()), ("service.key", service_key.serialize_pem())]
    {
        fs::write(dir.join(name), text).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.der().to_vec())).unwrap();
    let key = PrivateKeyDer::from_pem_slice(caller_key.serialize_pem().as_bytes()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let mut client = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![CertificateDer::from(caller.der().to_vec())], key)
        .unwrap();
    client.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(client)
}
