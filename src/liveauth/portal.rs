//! What can be asked of the LiveAuth endpoint, as plain values: the request that the document describes, and its answer,
//! read as the document says it looks. A request is signed here, with a permit for just this: the hash goes nowhere but
//! into the URL.

mod ask;
mod link;
mod read;

use zeroize::Zeroize as _;

use super::{
    domain::Domain,
    hash::{self, ClientId, MintProblem},
};
use crate::{clock::UnixSeconds, policy::Permit};

pub use ask::{Ask, Began, CompleteInfo, Login, Logout, Status, StatusAnswer, TOKEN_MAX, Test};
pub use link::{Link, LinkKind, LinkProblem, PortalId};
pub use read::{Misread, complaint};

/// Seconds that the hash of such a request is valid: it is used at once, and clocks differ.
pub const TTL: i64 = 120;

/// Where the document says that the endpoint is.
pub const ENDPOINT: &str = "https://www.idibu.com/clients/api/liveauth/";

/// An endpoint: the URL that the names of actions are appended to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    base: String,
    origin: String,
    port: u16,
}

impl Endpoint {
    /// Reads an absolute URL; a slash is added at its end where there is none.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = |why: &str| Err(format!("{text:?} is no endpoint: {why}"));
        let Ok(mut url) = url::Url::parse(text) else {
            return refused("write an absolute URL, such as the default");
        };
        if !matches!(url.scheme(), "https" | "http") {
            return refused("write an https URL");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return refused("leave out user, password, query and fragment");
        }
        let (true, Some(port)) = (url.has_host(), url.port_or_known_default()) else {
            return refused("it has no host");
        };
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { origin: url.origin().ascii_serialization(), base: url.into(), port })
    }

    /// Its origin, as browsers write it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is reached without TLS, as in development alone.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.base.starts_with("http:")
    }
}

/// A request that was signed. Its URL signs a client in, so nothing shows it, and it is wiped when it is dropped.
pub struct Signed {
    /// Where to send the GET.
    pub url: String,
    /// The number of the key version that signed it.
    pub key_version: u32,
    hash: String,
}

impl Signed {
    /// What nobody else shall see of it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

impl Drop for Signed {
    fn drop(&mut self) {
        self.url.zeroize();
        self.hash.zeroize();
    }
}

/// Signs a request with the secret of `domain` that is active now, and notes that.
///
/// # Errors
/// [`MintProblem`].
pub fn sign<A: Ask>(
    permit: &Permit<'_, A::Verb>,
    domain: &Domain,
    endpoint: &Endpoint,
    client: ClientId,
    ask: &A,
    now: UnixSeconds,
) -> Result<Signed, MintProblem> {
    let ttl = TTL.min(domain.max_ttl).min(permit.max_ttl().unwrap_or(i64::MAX));
    let minted = hash::mint_for(permit, &domain.key, client, now.plus(ttl), now)?;
    let mut url = endpoint.base.clone();
    url.push_str(A::ACTION);
    let mut separator = '?';
    let hash = minted.hash.as_str().to_owned();
    let mut add = |name: &str, value: &str| {
        url.push(separator);
        separator = '&';
        url.push_str(name);
        url.push('=');
        url.extend(percent_encoding::utf8_percent_encode(value, OUTSIDE_OF_UNRESERVED));
    };
    add("client", &client.to_string());
    add("expires", &minted.expires.0.to_string());
    add("hash", &hash);
    ask.parameters(&mut add);
    Ok(Signed { url, key_version: minted.key_version, hash })
}

/// All but letters, digits and `-._~` (RFC 3986, section 2.3).
const OUTSIDE_OF_UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests;
