//! Clients that no one here wrote, against the real binary: each runner in `tests/clients/` drives one of them through
//! every RPC, over the Unix socket and over TCP. A client that is not installed is skipped with a line on standard
//! error, unless `COUNTERSIGN_REQUIRE_TOOLS=1`, which `.ci/run` sets.

use std::{
    env,
    fmt::Write as _,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// What a runner ends with when its client is not installed.
const MISSING: i32 = 77;

/// How long `dev` may take to say that it is ready, on a machine busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// `countersign dev` in a folder of its own, on ports of its own.
struct Server {
    process: Child,
    unix: String,
    tcp: String,
    http: String,
    stderr: PathBuf,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stderr = folder.path().join("stderr");
        let mut process = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir"])
            .arg(folder.path().join("dev"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr).expect("a file for what the server says"))
            .spawn()
            .expect("the binary starts");
        let stdout = process.stdout.take().expect("standard output was asked for");
        let printed = until_ready(stdout);
        let mut server =
            Self { process, unix: String::new(), tcp: String::new(), http: String::new(), stderr, _folder: folder };
        let printed = printed.unwrap_or_else(|printed| {
            panic!("dev did not say that it is ready; it printed:\n{printed}\n{}", server.said());
        });
        let address = |name: &str, prefix: &str| {
            let found = printed.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                (words.next() == Some(name)).then(|| words.next()?.strip_prefix(prefix)).flatten()
            });
            found.unwrap_or_else(|| panic!("dev printed no line `{name} {prefix}...`:\n{printed}")).to_owned()
        };
        server.unix = address("socket", "unix:");
        server.tcp = address("grpc", "http://");
        server.http = address("http", "http://");
        server
    }

    /// What the server said on standard error, for the message of a test that failed.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.stderr).unwrap_or_default();
        format!("--- standard error of the server:\n{text}")
    }

    /// Runs a client against the Unix socket and against TCP. Answers whether it ran.
    fn driven_by(&self, runner: &str) -> bool {
        let targets = [format!("unix:{}", self.unix), self.tcp.clone()];
        run(runner, &targets, &|| self.said())
    }

    /// The body of a GET on the HTTP port, which must answer with 200.
    fn http_get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).expect("the HTTP port takes connections");
        // HTTP/1.0 leaves no room for chunks or for a connection that stays open.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.http).expect("a request is written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert_eq!(head.split_whitespace().nth(1), Some("200"), "{path}: {answer}\n{}", self.said());
        body.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the server prints up to the line that starts with "ready"; or what it printed, if that never comes.
fn until_ready(stdout: impl std::io::Read + Send + 'static) -> Result<String, String> {
    let (sender, lines) = mpsc::channel();
    // Goes on reading after the line has come: nobody may block the server's standard output.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut printed = String::new();
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if line.starts_with("ready") {
            return Ok(printed);
        }
        writeln!(printed, "{line}").expect("a String takes what is written to it");
    }
    Err(printed)
}

/// Runs a runner of `tests/clients/`, which must end with 0. Answers whether it ran: false where its client is missing.
fn run(runner: &str, arguments: &[String], said: &dyn Fn() -> String) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(runner);
    // Through bash, so that a checkout without mode bits works as well.
    let mut command = Command::new("bash");
    command.arg(&script).args(arguments).env("COUNTERSIGN_TOOLS", tools()).stdin(Stdio::null());
    let Ok(output) = command.output() else {
        return skipped("bash");
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(MISSING) {
        let what = stdout.lines().find_map(|line| line.strip_prefix("needs ")).unwrap_or(runner);
        return skipped(what);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{runner} ended with {}:\n{stdout}{stderr}{}", output.status, said());
    tell(&stdout);
    true
}

/// Says that a test was skipped for want of a program, or fails it where all programs must be there.
fn skipped(what: &str) -> bool {
    assert!(env::var_os("COUNTERSIGN_REQUIRE_TOOLS").is_none_or(|value| value != "1"), "needs {what}");
    tell(&format!("skipped: needs {what}\n"));
    false
}

/// Past the capture of the test harness: what was skipped must be seen when all tests pass, too.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Where `.ci/run` installs programs.
fn tools() -> PathBuf {
    env::var_os("COUNTERSIGN_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci-tools"), PathBuf::from)
}

#[test]
fn grpcio_does_every_rpc() {
    Server::start().driven_by("python/run.sh");
}

#[test]
fn grpc_js_does_every_rpc() {
    Server::start().driven_by("node/grpc.sh");
}

#[test]
fn grpc_go_does_every_rpc() {
    Server::start().driven_by("go/run.sh");
}

#[test]
fn grpcurl_does_every_rpc_by_reflection() {
    Server::start().driven_by("grpcurl.sh");
}

#[test]
fn curl_does_every_rpc_in_json_and_the_rules_of_json_hold() {
    Server::start().driven_by("connect/curl.sh");
}

#[test]
fn php_does_every_rpc_in_json_and_its_hash_hmac_agrees() {
    Server::start().driven_by("connect/php.sh");
}

#[test]
fn buf_curl_does_every_rpc_by_connect() {
    Server::start().driven_by("connect/buf.sh");
}

#[test]
fn connect_node_does_every_rpc_in_json_and_binary() {
    Server::start().driven_by("connect/node.sh");
}

#[test]
fn the_probes_answer_and_promtool_finds_nothing_in_the_metrics_of_every_rpc() {
    let server = Server::start();
    server.http_get("/livez");
    server.http_get("/readyz");
    // So that every counter and histogram there can be is there.
    if !server.driven_by("python/run.sh") {
        return;
    }
    let metrics = server.http_get("/metrics");
    assert!(metrics.contains("countersign_"), "no metric of ours:\n{metrics}");
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        skipped("promtool");
        return;
    };
    let mut stdin = promtool.stdin.take().expect("standard input was asked for");
    stdin.write_all(metrics.as_bytes()).expect("promtool reads the metrics");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let findings = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && findings.is_empty(), "promtool: {}", String::from_utf8_lossy(&findings));
}

#[test]
fn the_commands_that_dev_prints_can_be_pasted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("dev").display().to_string();
    let binary = env!("CARGO_BIN_EXE_countersign");
    let arguments = [binary, "dev", "--dir", &dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    run("paste.sh", &arguments.map(str::to_owned), &String::new);
}
