//! Whether a request may be answered, as idibu would find out: from the document, with the HMAC crate, and without a line
//! of Countersign's.

use axum::http::StatusCode;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Refused, asked::Asked};

/// The secret that the vendor's document prints, which is what development keyrings hold.
const SECRET: &[u8] = b"whatissixtimesnine";

/// The domains that have it. Pages of the sandbox come from the loopback address, requests of Countersign name the domain.
const DOMAINS: &[&str] = &["jobs.example.com", "127.0.0.1", "localhost"];

/// The client, if the request has a good hash for it, in time, from a domain that has a secret.
pub(super) fn admitted(asked: &Asked, referer: Option<&str>, now: i64) -> Result<i64, Refused> {
    let no = |why: &str| Refused::new(StatusCode::FORBIDDEN, why);
    let (client, expires) = (asked.number("client")?, asked.number("expires")?);
    let hash = asked.text("hash")?;
    let host = referer.and_then(host).ok_or_else(|| no("no Referer: send one with your domain"))?;
    if !DOMAINS.contains(&host) {
        return Err(no("no secret for the domain of the Referer"));
    }
    let given = base16ct::lower::decode_vec(hash).map_err(|_| no("wrong hash"))?;
    // Over the texts as they came, as the document's PHP does.
    let signed = format!("{}-{}", asked.text("client")?, asked.text("expires")?);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).map_err(|_| no("wrong hash"))?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&given).map_err(|_| no("wrong hash"))?;
    if now > expires { Err(no("the hash has expired")) } else { Ok(client) }
}

/// The host of a Referer. Where a browser would not write it so, there is none.
fn host(referer: &str) -> Option<&str> {
    let rest = referer.strip_prefix("https://").or_else(|| referer.strip_prefix("http://"))?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    (plain && port.bytes().all(|b| b.is_ascii_digit())).then_some(host)
}
