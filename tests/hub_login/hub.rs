//! A Hub of both generations, as its documents describe it: it opens `authenticate`, keeps what it is given, and gives it
//! back. It reads what it is sent with a parser of its own, and keeps all of it for the test to look at.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

use serde_json::{Value, json};

/// A session credential in the form that Express signs cookies in: with a plus sign and a slash.
pub const LOGIN_TOKEN: &str = "s:4Xk9dUqYp0wLz1Rm3Vn5Bt7Hc2Jf8Ga6.mNq/PcVfWb+Xe9sTyLr0KuDh3iOj5Zg7A1nE4wQx8M";
/// What a browser makes of it in a query.
pub const LOGIN_TOKEN_ENCODED: &str =
    "s%3A4Xk9dUqYp0wLz1Rm3Vn5Bt7Hc2Jf8Ga6.mNq%2FPcVfWb%2BXe9sTyLr0KuDh3iOj5Zg7A1nE4wQx8M";

/// How it misbehaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It answers with this status and body, and keeps nothing.
    Answer(u16, String),
    /// It keeps what it is given, and sends on to somewhere.
    Redirect(String),
    /// It keeps what it is given, and breaks off within its answer.
    Truncated,
    /// It keeps what it is given, and does not answer before it is let go.
    Silent,
    /// It reads the request, and hangs up.
    HangUp,
}

/// A request, as it came over the wire.
#[derive(Clone, Debug)]
pub struct Heard {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    /// By username: what was kept.
    kept: HashMap<String, String>,
    fault: Option<Fault>,
    released: bool,
}

pub struct Hub {
    port: u16,
    inside: Arc<(Mutex<State>, Condvar)>,
}

impl Hub {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inside = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let shared = Arc::clone(&inside);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream.unwrap(), port, &shared));
            }
        });
        Self { port, inside }
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inside.0.lock().unwrap()
    }

    pub fn misbehaves(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    pub fn behaves(&self) {
        let mut state = self.state();
        (state.fault, state.released) = (None, true);
        self.inside.1.notify_all();
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    /// What it keeps of a user.
    pub fn kept(&self, username: &str) -> Option<String> {
        self.state().kept.get(username).cloned()
    }

    /// Waits until it has heard so much.
    pub fn await_heard(&self, requests: usize) {
        let patience = crate::service::PATIENCE;
        let waiting = self.inside.1.wait_timeout_while(self.state(), patience, |state| state.heard.len() < requests);
        assert!(!waiting.unwrap().1.timed_out(), "Hub hears nothing");
    }

    /// What it opens in generation 1.
    pub fn authenticate_1(&self) -> String {
        let hub_url = self.origin().replace(':', "%3A").replace('/', "%2F");
        format!("/acme/authenticate?hubUrl={hub_url}&hubLoginToken={LOGIN_TOKEN_ENCODED}")
    }

    /// What it opens in generation 2, for a session of its own.
    pub fn authenticate_2(&self, session: &str) -> String {
        let callback = format!("{}/callback?session={session}", self.origin());
        let callback = callback.replace(':', "%3A").replace('/', "%2F").replace('?', "%3F").replace('=', "%3D");
        format!("/authenticate?callback={callback}")
    }

    /// A browser follows the redirect.
    pub fn browse(&self, url: &str) -> u16 {
        let target = url.strip_prefix(&self.origin()).unwrap_or_else(|| panic!("{url} is elsewhere"));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nhost: hub\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

fn serve(mut stream: TcpStream, port: u16, (state, changed): &(Mutex<State>, Condvar)) {
    let Some(heard) = read(&stream) else { return };
    let mut state = state.lock().unwrap();
    state.heard.push(heard.clone());
    changed.notify_all();
    let fault = state.fault.clone();
    let (status, body) = match &fault {
        Some(Fault::Answer(status, body)) => (*status, body.clone()),
        Some(Fault::HangUp) => return,
        _ => handle(&mut state, &heard, port),
    };
    if fault == Some(Fault::Silent) {
        let _let_go = changed.wait_while(state, |state| !state.released).unwrap();
        return;
    }
    let mut answer = match fault {
        Some(Fault::Redirect(ref to)) => format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
        _ => format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    if fault == Some(Fault::Truncated) {
        answer.truncate(answer.len() - 5);
    }
    let _ = stream.write_all(answer.as_bytes());
}

/// What its documents say that it does.
fn handle(state: &mut State, heard: &Heard, port: u16) -> (u16, String) {
    let (path, query) = heard.target.split_once('?').unwrap_or((&heard.target, ""));
    let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (heard.method.as_str(), segments.as_slice()) {
        ("POST", ["v1", "acme", username, "auth"]) => {
            let given = match heard.header("content-type") {
                Some("application/json") => {
                    let body = heard.json();
                    [body["hubLoginToken"].as_str(), body["auth"].as_str()].map(|text| text.map(str::to_owned))
                }
                Some("application/x-www-form-urlencoded") => {
                    ["hubLoginToken", "auth"].map(|name| parameter(&heard.body, name))
                }
                _ => return (415, "{}".into()),
            };
            let [Some(token), Some(auth)] = given else { return (400, "{}".into()) };
            if token != LOGIN_TOKEN {
                return (401, json!({"message": "not authenticated"}).to_string());
            }
            state.kept.insert((*username).to_owned(), auth);
            (200, json!({"url": format!("http://127.0.0.1:{port}/success?app=acme")}).to_string())
        }
        ("GET", ["callback"]) => {
            let (Some(auth), Some(username)) = (parameter(query, "auth"), parameter(query, "username")) else {
                return (400, "{}".into());
            };
            let Ok(Value::String(auth)) = serde_json::from_str(&auth) else { return (400, "{}".into()) };
            state.kept.insert(username, auth);
            (200, "{}".into())
        }
        ("PUT", ["callback"]) => {
            let body = heard.json();
            let [auth, new, username] =
                ["auth", "newAuth", "username"].map(|name| body[name].as_str().unwrap_or_default());
            if state.kept.get(username).is_none_or(|kept| kept != auth) {
                return (404, "{}".into());
            }
            state.kept.insert(username.to_owned(), new.to_owned());
            (200, "done".into())
        }
        ("POST", ["v1", "acme", _, "push"] | [_, "push"]) if heard.body.is_empty() => (200, "{}".into()),
        _ => (404, "{}".into()),
    }
}

fn read(stream: &TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Heard { method, target, headers, body: String::from_utf8(body).unwrap() })
}

/// A parameter as a form's: percent-encoded, and a plus sign is a space.
pub fn parameter(query: &str, wanted: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == wanted).then(|| decoded(&value.replace('+', " ")))
    })
}

pub fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}
