//! A service that logs in to a Hub on this machine, and what the tests ask of it.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    hub::Hub,
    service::{self, BINARY, Service, detail_text, reason_of},
};

pub const JANE: &str = "jane+hub@example.com";

const CONFIG: &str = r#"
[listen]
unix = "sock/countersign.sock"
[keyring]
path = "keyring"
kek_file = "kek"
[ledger]
path = "ledger.sqlite"
[journal]
path = "journal.jsonl"
wait_ms = 900
[outbound]
connect_timeout = "1s"
timeout = "TIMEOUT"
insecure_loopback = true
[[hub.apps]]
name = "acme"
key = "acme"
max_chars = 8183
origins = ["HUB"]
APP
[[hub.apps]]
name = "other"
key = "other"
origins = ["HUB"]
[[policy.rules]]
name = "all"
callers = ["*"]
verbs = ["verify", "seal", "open", "reseal", "revoke", "login", "renew", "resolve", "notify"]
apps = ["*"]
"#;

/// A folder for a service whose app `acme` has these settings besides, and whose Hub this is.
pub fn folder(hub: &Hub, app: &str) -> TempDir {
    let dir = service::folder(&config(hub, app, "20s"));
    service::keys(dir.path(), &["create", "--key", "other", "--kind", "hat1"], b"");
    dir
}

pub fn config(hub: &Hub, app: &str, timeout: &str) -> String {
    CONFIG.replace("HUB", &hub.origin()).replace("APP", app).replace("TIMEOUT", timeout)
}

/// Only `dev` speaks http to a Hub on this machine.
pub fn start(dir: TempDir) -> Service {
    let command = dev(dir.path());
    Service::start_by(dir, command)
}

pub fn started(hub: &Hub, app: &str) -> Service {
    start(folder(hub, app))
}

fn dev(at: &Path) -> Command {
    fs::set_permissions(at, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new(BINARY);
    command
        .args(["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir"])
        .arg(at)
        .stdin(Stdio::null())
        .stdout(File::create(at.join("said")).unwrap())
        .stderr(File::options().create(true).append(true).open(at.join("log")).unwrap());
    command
}

/// Its TCP address, as it says it.
pub fn tcp(service: &Service) -> String {
    let begin = Instant::now();
    loop {
        let said = fs::read_to_string(service.dir.path().join("said")).unwrap();
        let mut lines = said.lines().filter(|line| line.trim_start().starts_with("grpc"));
        let address = lines.next().and_then(|line| line.split_whitespace().find(|word| word.starts_with("http://")));
        // The line is whole once there is more.
        if let Some(address) = address.filter(|_| said.contains("ready")) {
            return address.to_owned();
        }
        assert!(begin.elapsed() < service::PATIENCE, "it does not say where it listens: {said}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// HTTP status and answer of an RPC of `HubLoginService`.
pub fn post(service: &Service, method: &str, body: &Value) -> (u16, Value) {
    let mut answer = Vec::new();
    send(service, method, body).read_to_end(&mut answer).unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// The same, without waiting for the answer.
pub fn send(service: &Service, method: &str, body: &Value) -> UnixStream {
    let body = body.to_string();
    let mut stream = UnixStream::connect(service.socket()).unwrap();
    write!(
        stream,
        "POST /countersign.v1.HubLoginService/{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream
}

pub fn ok(service: &Service, method: &str, body: &Value) -> Value {
    let (status, answer) = post(service, method, body);
    assert_eq!(status, 200, "{method}: {answer}\n{}", service.log());
    answer
}

/// Fails so; gives the message.
pub fn fails(service: &Service, method: &str, body: &Value, code: &str, reason: &str, field: &str) -> String {
    let (status, answer) = post(service, method, body);
    assert_ne!(status, 200, "{method}: {answer}");
    assert_eq!((answer["code"].as_str().unwrap(), reason_of(&answer).as_str()), (code, reason), "{answer}");
    assert!(field.is_empty() || detail_text(&answer, "google.rpc.BadRequest").contains(field), "{answer}");
    answer["message"].as_str().unwrap().to_owned()
}

pub fn begun(service: &Service, authenticate_url: &str) -> String {
    let begun = ok(service, "BeginLogin", &json!({"app": "acme", "authenticateUrl": authenticate_url}));
    begun["loginState"].as_str().unwrap().to_owned()
}

pub fn completing(login_state: &str, username: &str) -> Value {
    json!({"app": "acme", "loginState": login_state, "username": username, "payload": service::base64(b"refresh-token"), "kind": "PAYLOAD_KIND_OAUTH_REFRESH_TOKEN"})
}

/// Logs a user in, in whichever generation.
pub fn logged_in(service: &Service, authenticate_url: &str, username: &str) -> Value {
    let done = ok(service, "CompleteLogin", &completing(&begun(service, authenticate_url), username));
    assert_eq!(done["verdict"], "VERDICT_VALID", "{done}");
    done
}

pub fn resolved(service: &Service, token: &str) -> Value {
    ok(service, "ResolveLogin", &json!({"app": "acme", "hubLoginToken": token}))
}

/// The records of the journal that are about an operation.
pub fn records(at: &Path, op: &str) -> Vec<Value> {
    let journal = fs::read_to_string(at.join("journal.jsonl")).unwrap();
    let records = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["op"] == op).collect()
}
