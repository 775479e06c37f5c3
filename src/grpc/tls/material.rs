//! What the files of a TLS listener come to: our certificate with its key, whom we trust to name callers, and what they
//! revoked. Judged as a whole before it serves: each problem is one line that says what to do.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, revocation_list::CertificateRevocationList};
use zeroize::Zeroize as _;

use super::{
    files::{Contents, TlsFiles},
    provider::provider,
};
use crate::clock::UnixSeconds;

/// Ready to serve.
pub(super) struct Material {
    pub(super) certificate: Arc<SingleCertAndKey>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    /// When our certificate expires.
    pub(super) not_after: UnixSeconds,
    /// When the first CRL ought to have been replaced.
    pub(super) next_update: Option<UnixSeconds>,
    /// What is allowed but wrong, or soon will be.
    pub(super) warnings: Vec<String>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Material {
    /// Builds it from what was read of `files`.
    pub(super) fn build(files: &TlsFiles, contents: Contents, now: UnixSeconds) -> Result<Self, String> {
        let mut warnings = Vec::new();
        let Contents { certificate, key, ca, crls } = contents;
        let (certified, not_after) = own_certificate(files, &certificate, &key, now, &mut warnings)?;
        drop(key);
        let issuers = certificates(&ca, "CA file", &files.ca)?;
        let mut roots = RootCertStore::empty();
        let mut parsed = Vec::new();
        for issuer in &issuers {
            let (_, certificate) = X509Certificate::from_der(issuer).map_err(|_| malformed("CA file", &files.ca))?;
            roots.add(issuer.clone()).map_err(|_| malformed("CA file", &files.ca))?;
            if certificate.validity().not_after.timestamp() <= now.0 {
                let (name, shown) = (certificate.subject(), files.ca.display());
                warnings.push(format!("{name} in {shown} is past its notAfter and still trusted; replace it"));
            }
            parsed.push(certificate);
        }
        let lists = crls.iter().zip(&files.crls).map(|(bytes, path)| lists_in(bytes, path));
        let lists: Vec<CertificateRevocationListDer<'_>> =
            lists.collect::<Result<Vec<_>, String>>()?.into_iter().flatten().collect();
        let next_update = judge_lists(&lists, &parsed, files, now, &mut warnings)?;
        let owned = lists.iter().map(|list| CertificateRevocationListDer::from(list.as_ref().to_vec()));
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(owned)
            .build()
            .map_err(|error| format!("CA file {} and its CRLs: {error}", files.ca.display()))?;
        Ok(Self { certificate: Arc::new(certified.into()), clients, not_after, next_update, warnings })
    }
}

/// Our certificate and its key, which must be of one pair.
fn own_certificate(
    files: &TlsFiles,
    certificate: &[u8],
    key: &[u8],
    now: UnixSeconds,
    warnings: &mut Vec<String>,
) -> Result<(CertifiedKey, UnixSeconds), String> {
    let certified = pair(&files.certificate, certificate, &files.key, key)?;
    let malformed = || malformed("certificate", &files.certificate);
    let leaf = certified.cert.first().ok_or_else(malformed)?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| malformed())?;
    let (shown, validity) = (files.certificate.display(), leaf.validity());
    if validity.not_after.timestamp() <= now.0 {
        let expired = validity.not_after;
        warnings.push(format!("certificate {shown} expired at {expired}: callers refuse it; renew it"));
    } else if validity.not_before.timestamp() > now.0 {
        let begins = validity.not_before;
        warnings.push(format!("certificate {shown} is not valid before {begins}: callers refuse it; check the clock"));
    }
    if leaf.subject_alternative_name().map_err(|_| malformed())?.is_none() {
        warnings.push(format!("certificate {shown} has no subject alternative name: callers cannot check who we are"));
    }
    let not_after = UnixSeconds(validity.not_after.timestamp());
    Ok((certified, not_after))
}

/// A certificate with what lies above it, and its key, from PEM.
pub(super) fn pair(
    certificate_path: &Path,
    certificate: &[u8],
    key_path: &Path,
    key: &[u8],
) -> Result<CertifiedKey, String> {
    let chain = certificates(certificate, "certificate", certificate_path)?;
    let shown = key_path.display();
    let mut der = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| format!("key {shown} holds no unencrypted private key in PEM (PKCS #8, SEC 1 or PKCS #1)"))?;
    let signer = any_supported_type(&der);
    der.zeroize();
    let signer = signer
        .map_err(|_| format!("key {shown} is of no kind that is taken; use ECDSA P-256, P-384, Ed25519 or RSA"))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(format!(
            "key {shown} is not the key of certificate {}; put the two files of one pair there",
            certificate_path.display()
        )),
        Err(_) => Err(malformed("certificate", certificate_path)),
    }
}

/// All certificates of a PEM file; at least one.
pub(super) fn certificates(pem: &[u8], what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| malformed(what, path))?;
    if all.is_empty() {
        return Err(format!("{what} {} holds no certificate; put at least one there, in PEM", path.display()));
    }
    Ok(all)
}

/// The revocation lists in a file: PEM, or one in DER as issuers publish them.
fn lists_in<'a>(bytes: &'a [u8], path: &Path) -> Result<Vec<CertificateRevocationListDer<'a>>, String> {
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![bytes.into()]);
    }
    let all = CertificateRevocationListDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!("CRL {} holds no revocation list; fetch it from its issuer", path.display())),
        Err(_) => Err(malformed("CRL", path)),
    }
}

/// Whether each list is one of an issuer of ours, signed by it; gives when the first of them ends.
fn judge_lists(
    lists: &[CertificateRevocationListDer<'_>],
    issuers: &[X509Certificate<'_>],
    files: &TlsFiles,
    now: UnixSeconds,
    warnings: &mut Vec<String>,
) -> Result<Option<UnixSeconds>, String> {
    let ca = files.ca.display();
    let mut covered = vec![false; issuers.len()];
    let mut first: Option<UnixSeconds> = None;
    for der in lists {
        let (_, list) = CertificateRevocationList::from_der(der)
            .map_err(|_| format!("a CRL beside {ca} is malformed; fetch it again from its issuer"))?;
        let issuer = list.issuer();
        let of: Vec<usize> =
            (0..issuers.len()).filter(|&at| issuers[at].subject().as_raw() == issuer.as_raw()).collect();
        if of.is_empty() {
            return Err(format!(
                "a CRL is of {issuer}, whom {ca} does not hold; add its certificate there, or take the CRL away"
            ));
        }
        let signers: Vec<usize> =
            of.into_iter().filter(|&at| list.verify_signature(issuers[at].public_key()).is_ok()).collect();
        if signers.is_empty() {
            return Err(format!("the CRL of {issuer} is not signed by its key in {ca}; fetch it again"));
        }
        for at in signers {
            covered[at] = true;
        }
        let Some(next) = list.next_update() else {
            return Err(format!(
                "the CRL of {issuer} does not say when the next one comes; have it issued with nextUpdate"
            ));
        };
        if next.timestamp() <= now.0 {
            warnings.push(format!(
                "the CRL of {issuer} ought to have been replaced at {next}; it still counts: fetch the next one"
            ));
        }
        let next = UnixSeconds(next.timestamp());
        first = Some(first.map_or(next, |first| first.min(next)));
    }
    if !lists.is_empty() {
        for (issuer, _) in issuers.iter().zip(&covered).filter(|(_, covered)| !**covered) {
            let name = issuer.subject();
            warnings.push(format!("{name} in {ca} has no CRL while others have: whoever it issued to is refused"));
        }
    }
    Ok(first)
}

fn malformed(what: &str, path: &Path) -> String {
    format!("{what} {} is malformed; put a whole one there", path.display())
}
