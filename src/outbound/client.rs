//! The client: what it is built from, and one exchange with it.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reqwest::{Certificate, Client, header, redirect::Policy, retry};
use tokio::{sync::Semaphore, time::timeout};
use url::{Host, Url};

use super::{
    address::Allowed,
    exchange::{Answer, Method, Request},
    fault::{Fault, Problem},
    resolve::{LOOKUPS, Resolver},
};

/// What the vendors see of us besides what they ask for.
const USER_AGENT: &str = "countersign";

/// How calls go out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How long it may take to look up a name, connect and agree on TLS.
    pub connect_timeout: Duration,
    /// How long a call may take altogether, where the vendor has no limit of its own.
    pub timeout: Duration,
    /// Most bytes of an answer's body.
    pub response_bytes: usize,
    /// Certificate authorities besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether addresses outside of the public internet are dialled.
    pub private_addresses: bool,
    /// Whether http is spoken to this machine.
    pub insecure_loopback: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            response_bytes: 65_536,
            ca_file: None,
            private_addresses: false,
            insecure_loopback: false,
        }
    }
}

/// The certificate authorities of a `ca_file`, read and found to be some.
pub struct Roots(Vec<Certificate>);

impl Roots {
    /// Reads the file of these settings, if they name one.
    ///
    /// # Errors
    /// What is wrong with it, in one line that says what to do.
    pub fn read(settings: &Settings) -> Result<Self, String> {
        settings.ca_file.as_deref().map_or(Ok(Self(Vec::new())), Self::read_file)
    }

    fn read_file(path: &Path) -> Result<Self, String> {
        let refused = |why: String| format!("outbound.ca_file {}: {why}", path.display());
        let pem = fs::read(path)
            .map_err(|error| refused(format!("cannot be read ({error}); check the path and its mode")))?;
        let found = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
        // What is in the wrapping is read when it is used.
        let usable = |found: &Vec<Certificate>| {
            Client::builder().no_proxy().tls_certs_only(found.iter().cloned()).build().is_ok()
        };
        found.filter(usable).map(Self).ok_or_else(|| {
            refused("holds no certificate that can be read, or one that cannot; it has to be PEM".into())
        })
    }
}

/// Both clients that settings ask for: with TLS, and without for development.
pub(super) struct Kit {
    settings: Settings,
    secure: Client,
    plain: Option<Client>,
}

impl Kit {
    /// Reads the certificate authorities of the system, and so waits for a disk.
    pub(super) fn build(settings: Settings, roots: Roots) -> Result<Self, reqwest::Error> {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        let allowed = if settings.private_addresses { Allowed::Any } else { Allowed::Public };
        let secure = builder(&settings, allowed, &lookups).https_only(true).tls_certs_merge(roots.0).build()?;
        // Without TLS, and so without roots.
        let plain = || builder(&settings, Allowed::Loopback, &lookups).tls_certs_only([]).build();
        let plain = settings.insecure_loopback.then(plain).transpose()?;
        Ok(Self { settings, secure, plain })
    }

    /// Sends a request and reads the answer, within `limit`. `allowed` are origins as browsers write them:
    /// `https://host`, with a port where it is not the scheme's own.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        allowed: &[String],
        limit: Duration,
    ) -> Result<Answer, Fault> {
        let (client, url) = self.admit(&request.url, allowed)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut asking = client.request(method, url).header(header::ACCEPT, "application/json");
        if let Some(referer) = &request.referer {
            asking = asking.header(header::REFERER, referer);
        }
        if let Some((kind, bytes)) = &request.body {
            asking = asking.header(header::CONTENT_TYPE, kind.content_type()).body(bytes.clone());
            if bytes.is_empty() {
                // Else there would be no length at all, which some servers wait for.
                asking = asking.header(header::CONTENT_LENGTH, 0);
            }
        }
        let mut began = false;
        let exchanged = timeout(limit, async {
            let mut answer = asking.send().await.map_err(|error| Fault::of_request(&error))?;
            began = true;
            let status = answer.status();
            if status.is_redirection() {
                return Err(Fault::answered(Problem::Redirect));
            }
            let too_large = Fault::answered(Problem::TooLarge);
            let most = self.settings.response_bytes;
            let announced = answer.content_length().map(usize::try_from);
            if announced.is_some_and(|length| length.is_ok_and(|length| length > most) || length.is_err()) {
                return Err(too_large);
            }
            // Wiped when it is dropped, whether or not it becomes whole.
            let mut whole = Answer { status: status.as_u16(), body: Vec::with_capacity(most.min(4096)) };
            loop {
                match answer.chunk().await {
                    Ok(Some(chunk)) if whole.body.len() + chunk.len() > most => return Err(too_large),
                    Ok(Some(chunk)) => whole.body.extend_from_slice(&chunk),
                    Ok(None) => return Ok(whole),
                    Err(_) => return Err(Fault::answered(Problem::Broken)),
                }
            }
        });
        match exchanged.await {
            Ok(exchanged) => exchanged,
            Err(_elapsed) if began => Err(Fault::answered(Problem::Timeout)),
            // Connecting has a shorter limit of its own, so this is mostly the answer that does not come.
            Err(_elapsed) => Err(Fault::of_silence()),
        }
    }

    /// The client for a URL, if it is one to be called.
    fn admit(&self, url: &str, allowed: &[String]) -> Result<(&Client, Url), Fault> {
        let url = Url::parse(url).map_err(|_| Fault::unsent(Problem::Url))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault::unsent(Problem::Url));
        }
        let client = match (url.scheme(), &self.plain) {
            ("https", _) => &self.secure,
            ("http", Some(plain)) => plain,
            _ => return Err(Fault::unsent(Problem::Insecure)),
        };
        let origin = url.origin().ascii_serialization();
        if !allowed.contains(&origin) {
            return Err(Fault::unsent(Problem::Origin));
        }
        let addresses = match (url.scheme(), self.settings.private_addresses) {
            ("http", _) => Allowed::Loopback,
            (_, true) => Allowed::Any,
            (_, false) => Allowed::Public,
        };
        // What is an address already is looked up by nobody. However it was spelt, the parser has made plain what it is.
        let literal: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) => None,
            None => return Err(Fault::unsent(Problem::Url)),
        };
        if literal.is_some_and(|address| !addresses.allows(address)) {
            let http = url.scheme() == "http";
            return Err(Fault::unsent(if http { Problem::Insecure } else { Problem::Address }));
        }
        Ok((client, url))
    }
}

fn builder(settings: &Settings, allowed: Allowed, lookups: &Arc<Semaphore>) -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .dns_resolver(Arc::new(Resolver::new(allowed, Arc::clone(lookups))))
        .connect_timeout(settings.connect_timeout)
        .redirect(Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .http1_only()
        // A connection that is kept may close just when something is sent over it, and then nobody knows what was heard.
        .pool_max_idle_per_host(0)
}
