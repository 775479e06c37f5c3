//! A stand-in for the LiveAuth endpoint, from its document: regular GET requests, the three parameters that all need, the
//! HMAC of client, hyphen and expires under the secret of the Referer's domain, and JSON. It shares no code with what is
//! tested.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sha2::Sha256;

/// The document's own examples of answers.
pub const TOKEN: &str = "161bc25962da8fed6d2f59922fb642aa";
pub const PAGE: &str = "https://example.com/oauth/123456";
pub const CREDENTIAL: &str = "NDa3rcnc33y983v983bv9y9223c9y3";

/// What it is told to do in place of what the document says.
#[derive(Clone)]
pub enum Plan {
    /// What the document says.
    Faithful,
    /// This status and body.
    Answer(u16, Vec<u8>),
    /// These bytes, and the connection ends.
    Raw(Vec<u8>),
    /// Nothing, for as long as the test lasts.
    Silence,
    /// The connection ends so many times without an answer; then as the document says.
    Breaks(usize),
}

/// A request that it got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// The request line.
    pub line: String,
    /// The headers, their names in lower case, sorted.
    pub headers: Vec<(String, String)>,
    /// What came after them.
    pub body: String,
}

impl Heard {
    pub fn path(&self) -> &str {
        self.line.split(['?', ' ']).nth(1).unwrap()
    }

    /// Names and values of the query as they stand there, in order.
    pub fn query(&self) -> Vec<(String, String)> {
        let target = self.line.split(' ').nth(1).unwrap();
        let pairs = target.split_once('?').map_or("", |(_, query)| query).split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap()).collect()
    }

    pub fn value(&self, name: &str) -> Option<String> {
        self.query().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Watcher = Box<dyn FnMut(&Heard) + Send>;

#[derive(Default)]
struct Shared {
    heard: Mutex<Vec<Heard>>,
    plan: Mutex<Option<Plan>>,
    watcher: Mutex<Option<Watcher>>,
}

/// The stand-in, on a port of this machine.
pub struct Vendor {
    pub port: u16,
    /// The certificate of whoever vouches for it; nothing where it speaks http.
    pub ca: Option<PathBuf>,
    shared: Arc<Shared>,
    _folder: tempfile::TempDir,
}

impl Vendor {
    /// Over TLS, under a certificate for localhost.
    pub fn start(secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let ca = folder.path().join("vendor-ca.pem");
        fs::write(&ca, issuer.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        Self::listen(folder, Some((ca, Arc::new(config))), secret)
    }

    /// Over http, as in development.
    pub fn start_plain(secret: &str) -> Self {
        Self::listen(tempfile::tempdir().unwrap(), None, secret)
    }

    fn listen(folder: tempfile::TempDir, tls: Option<(PathBuf, Arc<rustls::ServerConfig>)>, secret: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let (ca, config) = tls.unzip();
        let (kept, secret) = (Arc::clone(&shared), secret.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared, secret, config) =
                    (stream.unwrap(), Arc::clone(&kept), secret.clone(), config.clone());
                thread::spawn(move || match config {
                    None => serve(stream, &shared, &secret),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        serve(rustls::StreamOwned::new(connection, stream), &shared, &secret);
                    }
                });
            }
        });
        Self { port, ca, shared, _folder: folder }
    }

    pub fn plan(&self, plan: Plan) {
        *self.shared.plan.lock().unwrap() = Some(plan);
    }

    /// Calls `watcher` with each request, before it is answered.
    pub fn watch(&self, watcher: impl FnMut(&Heard) + Send + 'static) {
        *self.shared.watcher.lock().unwrap() = Some(Box::new(watcher));
    }

    /// All requests since this was last asked.
    pub fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.shared.heard.lock().unwrap())
    }

    /// The one request since then.
    pub fn heard_one(&self) -> Heard {
        let heard = self.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.into_iter().next().unwrap()
    }
}

fn serve(mut stream: impl Read + Write, shared: &Shared, secret: &str) {
    let Some(heard) = request(&mut stream) else { return };
    shared.heard.lock().unwrap().push(heard.clone());
    if let Some(watcher) = &mut *shared.watcher.lock().unwrap() {
        watcher(&heard);
    }
    let plan = {
        let mut plan = shared.plan.lock().unwrap();
        let now = plan.clone().unwrap_or(Plan::Faithful);
        if let Plan::Breaks(times) = now {
            *plan = Some(if times == 0 { Plan::Faithful } else { Plan::Breaks(times - 1) });
        }
        now
    };
    let (status, body) = match plan {
        Plan::Silence => return thread::sleep(Duration::from_secs(60)),
        Plan::Breaks(times) if times > 0 => return,
        Plan::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
            let _ = stream.flush();
            return;
        }
        Plan::Answer(status, body) => (status, body),
        Plan::Faithful | Plan::Breaks(_) => match judged(&heard, secret) {
            Ok(body) => (200, body.into_bytes()),
            Err((status, why)) => (status, format!("{{\"error\": \"{why}\"}}").into_bytes()),
        },
    };
    let start = format!(
        "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(start.as_bytes()).and_then(|()| stream.write_all(&body)).and_then(|()| stream.flush());
}

fn request(stream: &mut impl Read) -> Option<Heard> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let end = loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n").map(str::to_owned);
    let line = lines.next().unwrap();
    let mut headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).unwrap())
        .collect();
    headers.sort();
    Some(Heard { line, headers, body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned() })
}

/// What the document has it answer, or with which status it refuses and why.
fn judged(heard: &Heard, secret: &str) -> Result<String, (u16, &'static str)> {
    if !heard.line.starts_with("GET ") || !heard.line.ends_with(" HTTP/1.1") {
        return Err((405, "use GET"));
    }
    let action = heard.path().strip_prefix("/clients/api/liveauth/").ok_or((404, "no such endpoint"))?;
    // It would be one of several domains of a customer; here there is one.
    if heard.header("referer") != Some("https://jobs.example.com/") {
        return Err((403, "no such domain"));
    }
    let one = |name: &str| {
        let query = heard.query();
        let mut values = query.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.clone());
        if values.next().is_some() { None } else { value }
    };
    let number = |name: &str| {
        one(name).filter(|text| text.parse::<u64>().is_ok_and(|n| n > 0)).ok_or((400, "a number is missing"))
    };
    let (client, expires) = (number("client")?, number("expires")?);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{client}-{expires}").as_bytes());
    let right = base16ct::lower::encode_string(&mac.finalize().into_bytes());
    if one("hash").as_deref() != Some(right.as_str()) {
        return Err((403, "wrong hash"));
    }
    if expires.parse::<i64>().unwrap() < crate::service::now() {
        return Err((403, "hash expired"));
    }
    match action {
        "test" => Ok("\"hello world\"".into()),
        "status" => {
            number("portal").and(number("profile"))?;
            Ok(r#"{"signed": true, "isProfile": true, "name": "John Doe", "picture": "http://social.network.com/img/c82f36R2.jpg"}"#.into())
        }
        "login" | "logout" => {
            number("portal")?;
            match one("link").as_deref() {
                None if action == "login" && one("id").is_none() => {}
                Some("global") if one("id").is_none() => {}
                Some("office" | "team" | "profile") => drop(number("id")?),
                _ => return Err((400, "link and id do not fit")),
            }
            Ok(if action == "login" { format!(r#"{{"url": "{PAGE}", "token": "{TOKEN}"}}"#) } else { "null".into() })
        }
        "complete-info" if one("token").as_deref() == Some(TOKEN) => {
            Ok(format!(r#"{{"portal_6_token": "{CREDENTIAL}"}}"#))
        }
        "complete-info" => Err((404, "no such login")),
        _ => Err((404, "no such action")),
    }
}
