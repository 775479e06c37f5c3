//! A real `countersign serve` in a folder of its own, driven by JSON over its Unix socket or by its command line.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_countersign");
/// Long enough for a busy machine; nothing waits for it where all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A LiveAuth secret that is nobody's sample.
pub const SECRET: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
/// A hat1 key, hexadecimal.
pub const HAT1: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Domain jobs.example.com and app acme, all rights for this user.
pub const CONFIG: &str = r#"
[listen]
unix = "sock/countersign.sock"
[http]
address = "127.0.0.1:0"
[keyring]
path = "keyring"
kek_file = "kek"
[ledger]
path = "ledger.sqlite"

[journal]
path = "journal.jsonl"
wait_ms = 900
[[liveauth.domains]]
name = "jobs.example.com"
key = "jobs"
[[hub.apps]]
name = "acme"
key = "acme"
[[policy.rules]]
name = "all"
callers = ["*"]
verbs = ["mint", "verify", "seal", "open", "reseal", "revoke"]
domains = ["*"]
apps = ["*"]
"#;

pub struct Service {
    pub dir: TempDir,
    child: Child,
}

/// A folder with keys jobs (LiveAuth) and acme (hat1) and a configuration, not started.
pub fn folder(config: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    keys(at, &["init"], b"");
    keys(at, &["import", "--key", "jobs", "--kind", "liveauth", "--encoding", "raw"], SECRET.as_bytes());
    keys(at, &["import", "--key", "acme", "--kind", "hat1", "--encoding", "hex"], HAT1.as_bytes());
    fs::write(at.join("config.toml"), config).unwrap();
    dir
}

/// Runs `countersign keys …` on the keyring in `at`, and insists that it succeeds.
pub fn keys(at: &Path, args: &[&str], stdin: &[u8]) -> Output {
    let keyring = at.join("keyring");
    let kek = at.join("kek");
    let mut all = vec!["keys"];
    all.extend(args);
    all.extend(["--keyring", keyring.to_str().unwrap(), "--kek-file", kek.to_str().unwrap()]);
    let output = run(&all, stdin);
    assert!(output.status.success(), "{all:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs the binary with `stdin` and gives what it said.
pub fn run(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(BINARY)
        .args(args)
        .env_remove("COUNTERSIGN_ADDRESS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input closes it; that is its right.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Service {
    pub fn start(config: &str) -> Self {
        Self::start_in(folder(config))
    }

    pub fn start_in(dir: TempDir) -> Self {
        let command = serve(Command::new(BINARY), dir.path());
        Self::start_by(dir, command)
    }

    /// Starts by a command of the test's own, which [`serve`] has completed.
    pub fn start_by(dir: TempDir, mut command: Command) -> Self {
        let child = command.spawn().unwrap();
        let mut service = Self { dir, child };
        service.await_ready();
        service
    }

    /// A service that was started in `dir` by other means, with its log there.
    #[allow(dead_code, reason = "the tests of the journal need it")]
    pub fn attach(dir: TempDir, child: Child) -> Self {
        let mut service = Self { dir, child };
        service.await_ready();
        service
    }

    fn await_ready(&mut self) {
        let begin = Instant::now();
        while !self.log().contains("\"ready\"") {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the service ended with {status}: {}", self.log());
            }
            assert!(begin.elapsed() < PATIENCE, "not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock/countersign.sock")
    }

    pub fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Waits until the log holds `word` as often as `times`.
    pub fn await_log(&self, word: &str, times: usize) {
        let begin = Instant::now();
        while self.log().matches(word).count() < times {
            assert!(begin.elapsed() < PATIENCE, "{word} is not in the log: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end by itself.
    pub fn wait(mut self) -> (ExitStatus, Duration, TempDir) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
                return (status, begin.elapsed(), dir);
            }
            assert!(begin.elapsed() < PATIENCE, "does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Runs a client command against this service.
    pub fn cli(&self, args: &[&str], stdin: &[u8]) -> Output {
        let address = self.address();
        let mut all = args.to_vec();
        all.extend(["--address", &address]);
        run(&all, stdin)
    }

    /// Sends a unary RPC as JSON over HTTP/1.1; gives HTTP status and body.
    pub fn post(&self, method: &str, body: &Value) -> (u16, Value) {
        self.post_raw(method, body.to_string().as_bytes())
    }

    pub fn post_raw(&self, method: &str, body: &[u8]) -> (u16, Value) {
        let service = if method.ends_with("Hash") { "LiveAuthService" } else { "HubTokenService" };
        // Those of other services are named whole.
        let method = if method.contains('/') { method.to_owned() } else { format!("{service}/{method}") };
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let head = format!(
            "POST /countersign.v1.{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The answer may come, and the connection end, before an oversized body is through.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse(&answer)
    }

    /// A call that must succeed.
    pub fn ok(&self, method: &str, body: &Value) -> Value {
        let (status, answer) = self.post(method, body);
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }

    /// A call that must fail with this Connect code, reason and field ("" for none).
    pub fn fails(&self, method: &str, body: &Value, code: &str, reason: &str, field: &str) {
        let (status, answer) = self.post(method, body);
        assert_ne!(status, 200, "{method}: {answer}");
        assert_eq!(answer["code"], code, "{answer}");
        assert_eq!(reason_of(&answer), reason, "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
        assert!(field.is_empty() || detail_text(&answer, "google.rpc.BadRequest").contains(field), "{answer}");
    }

    /// The HTTP port, as the log names it.
    pub fn http(&self, path: &str) -> (u16, String) {
        let port = self.http_port();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn http_port(&self) -> u16 {
        let log = self.log();
        let ready = log.lines().find(|line| line.contains("\"ready\"")).unwrap();
        let line: Value = serde_json::from_str(ready).unwrap();
        line["http"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
    }

    pub fn seal(&self, payload: &[u8], username: &str) -> String {
        let request = json!({"app": "acme", "username": username, "payload": base64(payload)});
        self.ok("Seal", &request)["auth"].as_str().unwrap().to_owned()
    }

    pub fn open(&self, auth: &str, username: &str) -> Value {
        self.ok("Open", &json!({"app": "acme", "auth": auth, "username": username}))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Completes a command that ends in the binary: what it shall serve, and where it logs.
pub fn serve(mut command: Command, at: &Path) -> Command {
    fs::set_permissions(at, fs::Permissions::from_mode(0o700)).unwrap();
    command
        .args(["serve", "--allow-root", "--config"])
        .arg(at.join("config.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(at.join("log")).unwrap());
    command
}

fn parse(answer: &[u8]) -> (u16, Value) {
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n");
    let split = split.unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8_lossy(&answer[..split]);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &answer[split + 4..];
    (status, serde_json::from_slice(body).unwrap_or_else(|_| panic!("{head}\n{:?}", String::from_utf8_lossy(body))))
}

/// The reason in the `ErrorInfo` detail of a Connect error, read from its raw protobuf bytes.
pub fn reason_of(error: &Value) -> String {
    let bytes = detail(error, "google.rpc.ErrorInfo");
    let Some((&10, rest)) = bytes.split_first() else { return String::new() };
    String::from_utf8_lossy(&rest[1..=usize::from(rest[0])]).into_owned()
}

pub fn detail_text(error: &Value, name: &str) -> String {
    String::from_utf8_lossy(&detail(error, name)).into_owned()
}

/// The bytes of a detail of a Connect error.
pub fn detail(error: &Value, name: &str) -> Vec<u8> {
    let details = error["details"].as_array().cloned().unwrap_or_default();
    let found = details.iter().find(|detail| detail["type"] == name);
    found.map(|detail| unbase64(detail["value"].as_str().unwrap())).unwrap_or_default()
}

pub fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub fn unbase64(text: &str) -> Vec<u8> {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD_NO_PAD.decode(text.trim_end_matches('=')).unwrap()
}

/// Seconds since 1970.
pub fn now() -> i64 {
    countersign::clock::Clock::system().now().0
}
