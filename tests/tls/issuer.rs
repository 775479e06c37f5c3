//! A certificate authority of a test, and what it issues.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};

/// A caller of the trust domain of the tests.
pub const CALLER: &str = "spiffe://example.org/ns/jobs/sa/portal";
/// The service itself.
pub const SERVICE: &str = "spiffe://example.org/countersign";

/// An authority: its certificate, and the right to sign with it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// PEM.
    pub pem: String,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// What a certificate says.
pub struct Wanted<'a> {
    pub names: &'a [&'a str],
    /// First and last year.
    pub years: (i32, i32),
    pub serial: u64,
    pub for_clients: bool,
    pub signs: bool,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self { names: &[CALLER], years: (2020, 2090), serial: 1, for_clients: true, signs: false }
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate with these names: URIs, IP addresses or DNS names.
    pub fn issue(&self, wanted: &Wanted<'_>) -> Pair {
        let mut params = params("the common name, which names nobody");
        (params.not_before, params.not_after) =
            (date_time_ymd(wanted.years.0, 1, 1), date_time_ymd(wanted.years.1, 1, 1));
        params.serial_number = Some(SerialNumber::from(wanted.serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if wanted.signs {
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        }
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if wanted.for_clients {
            params.extended_key_usages.push(client);
        }
        params.subject_alt_names = wanted.names.iter().map(|name| san(name)).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// The certificate of the service.
    pub fn service(&self) -> Pair {
        self.issue(&Wanted { names: &["127.0.0.1", "localhost", SERVICE], ..Wanted::default() })
    }

    /// A revocation list with these serial numbers, to be replaced in the last year.
    pub fn list(&self, serials: &[u64], until: i32) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 6, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 6, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
    params
}

fn san(name: &str) -> SanType {
    if name.contains("://") {
        SanType::URI(name.try_into().unwrap())
    } else if let Ok(address) = name.parse() {
        SanType::IpAddress(address)
    } else {
        SanType::DnsName(name.try_into().unwrap())
    }
}
