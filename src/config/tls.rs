//! `[[listen.tls]]` as checked values. The files are named here and read by whoever serves.

use std::path::{Path, PathBuf};

use super::raw;
use crate::{
    grpc::tls::{Identity, TlsFiles, TlsSettings},
    policy::is_trust_domain,
};

/// All TLS listeners, each on an address of its own.
pub(super) fn listeners(raw: &[raw::Tls], folder: &Path) -> Result<Vec<TlsSettings>, String> {
    let all = raw.iter().map(|raw| listener(raw, folder)).collect::<Result<Vec<_>, _>>()?;
    for (at, one) in all.iter().enumerate() {
        if one.address.port() != 0 && all[..at].iter().any(|other| other.address == one.address) {
            return Err(format!("listen.tls {} is there twice; give each listener an address of its own", one.address));
        }
    }
    Ok(all)
}

fn listener(raw: &raw::Tls, folder: &Path) -> Result<TlsSettings, String> {
    let place = format!("listen.tls {:?}", raw.address);
    let path = |text: &str, setting: &str| -> Result<PathBuf, String> {
        if text.is_empty() { Err(format!("{place}: {setting} is empty; name a file")) } else { Ok(folder.join(text)) }
    };
    let address = raw
        .address
        .parse()
        .map_err(|_| format!("{place} is no address; write IP:PORT, such as 0.0.0.0:50051 or [::]:50051"))?;
    let identity = match (raw.identity.as_deref().unwrap_or("spiffe"), &raw.trust_domain) {
        ("spiffe", Some(name)) if is_trust_domain(name) => Identity::Spiffe { trust_domain: name.clone() },
        ("spiffe", Some(name)) => {
            return Err(format!(
                "{place}: trust_domain {name:?} is none; write 1 to 255 of a-z 0-9 . _ -, without spiffe://"
            ));
        }
        ("spiffe", None) => {
            return Err(format!(
                "{place}: trust_domain is missing; name the one whose SPIFFE IDs are taken, or set identity = \"dns\""
            ));
        }
        ("dns", None) => Identity::Dns,
        ("dns", Some(_)) => {
            return Err(format!("{place}: trust_domain goes with identity = \"spiffe\"; take one of the two away"));
        }
        (other, _) => return Err(format!("{place}: identity {other:?} is unknown; write \"spiffe\" or \"dns\"")),
    };
    let files = TlsFiles {
        certificate: path(&raw.certificate, "certificate")?,
        key: path(&raw.key, "key")?,
        ca: path(&raw.client_ca, "client_ca")?,
        crls: raw.crls.iter().map(|crl| path(crl, "crls")).collect::<Result<_, _>>()?,
    };
    Ok(TlsSettings { address, files, identity, admin: raw.admin })
}
