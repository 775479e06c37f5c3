//! A sandbox of a test's own, and requests to it.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Once,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// For a machine busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running example, ended on drop.
pub struct Sandbox {
    process: Child,
    pub front: String,
    pub liveauth: String,
    pub social: String,
    pub hub: String,
    pub acme: String,
    /// Countersign's.
    pub socket: PathBuf,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Sandbox {
    /// On ports of its own.
    pub fn start() -> Self {
        Self::start_with(&["--port", "0"])
    }

    pub fn start_with(args: &[&str]) -> Self {
        let mut command = Command::new(built());
        let mut process =
            command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let front = lines.next().expect("the example says something");
        assert!(front.starts_with("http://127.0.0.1:"), "the first line is no address: {front}");
        let rest: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("ready")).collect();
        let origin = |what: &str| {
            let line = rest.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what} in {rest:?}"));
            line.split_whitespace().next().unwrap().to_owned()
        };
        let (liveauth, social) = (origin("LiveAuth endpoint"), origin("social network"));
        let (hub, acme) = (origin("BroadSoft Hub"), origin("Acme Contacts"));
        let socket = PathBuf::from(origin("Countersign itself").strip_prefix("unix:").unwrap());
        Self { process, front, liveauth, social, hub, acme, socket }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal, and waits for the end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        self.process.wait().unwrap()
    }

    /// The parameters of a hash that Countersign has minted for a page: client, expires, hash.
    pub fn minted(&self) -> [String; 3] {
        let page = get(&self.front, "/liveauth/test", &[]).body;
        ["client", "expires", "hash"].map(|name| {
            let rest = page.split_once(&format!("x-liveauth-{name}\" content=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.to_owned()
        })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Asked, not killed: so it takes its folder and Countersign with it.
        if matches!(self.process.try_wait(), Ok(None)) {
            self.end(Signal::TERM);
        }
    }
}

impl Answer {
    /// The header's value; nothing where it is not there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A GET with further headers.
pub fn get(origin: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask("GET", origin, path, headers, "")
}

/// One request on a connection of its own. `headers` may name another Host.
pub fn ask(method: &str, origin: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let authority = origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        write!(request, "Host: {authority}\r\n").unwrap();
    }
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    write!(stream, "{request}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// The example's binary. Whoever runs all tests has had it built already; for a single target it is built here.
pub fn built() -> PathBuf {
    static BUILD: Once = Once::new();
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let release = folder.file_name().is_some_and(|name| name == "release");
    BUILD.call_once(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--offline", "--example", "sandbox", "--target-dir"]);
        cargo.arg(folder.parent().unwrap()).args(release.then_some("--release")).current_dir(root());
        assert!(cargo.stdin(Stdio::null()).status().unwrap().success(), "the example does not build");
    });
    folder.join("examples/sandbox")
}

/// Where screenshots are kept.
pub fn screenshots() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("sandbox-screenshots")
}

/// Says that a test was skipped, past the capture of the test harness; fails it where nothing may be skipped.
pub fn skipped(what: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: needs {what}\n").as_bytes());
    assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {what}");
}

/// Where `.ci/run` installs programs.
pub fn tools() -> PathBuf {
    std::env::var_os("COUNTERSIGN_TOOLS").map_or_else(|| root().join("target/ci-tools"), PathBuf::from)
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
