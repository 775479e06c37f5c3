//! The programs in `examples/clients/`, each against the real binary: over the Unix socket, over mutual TLS with
//! certificates of `test-ca.sh`, and through a relay that lets them meet a rate limit and a service that is not there.
//! What a program needs and is not installed is skipped with a line on standard error, unless
//! `COUNTERSIGN_REQUIRE_TOOLS=1`, which `.ci/run` sets. And the pages that quote the programs quote them as they are.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests fail loudly and say what they skip"
)]

mod quotes;
mod relay;
#[allow(dead_code, reason = "this binary uses its part")]
#[path = "../it/service.rs"]
mod service;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use relay::{Relay, Seen};
use service::Service;

/// What a runner ends with when its program is not installed.
const MISSING: i32 = 77;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const MINT: &str = "/countersign.v1.LiveAuthService/MintHash";
const VERIFY: &str = "/countersign.v1.LiveAuthService/VerifyHash";

/// Whether gRPC itself makes a call again, as the service config of a program says, or the program does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Retries {
    ByServiceConfig,
    ByProgram,
}

#[test]
fn the_python_client_does_what_it_says() {
    runs("python.sh", Retries::ByServiceConfig);
}

#[test]
fn the_node_client_does_what_it_says() {
    runs("node.sh", Retries::ByServiceConfig);
}

#[test]
fn the_go_client_does_what_it_says() {
    runs("go.sh", Retries::ByServiceConfig);
}

#[test]
fn the_java_client_does_what_it_says() {
    runs("java.sh", Retries::ByServiceConfig);
}

#[test]
fn the_rust_client_does_what_it_says() {
    runs("rust.sh", Retries::ByProgram);
}

fn runs(runner: &str, retries: Retries) {
    let dir = service::folder(&config());
    let tls = dir.path().join("tls");
    if !made_certificates(&tls) {
        return;
    }
    let service = Service::start_in(dir);
    let relay = Relay::start(&service.socket());
    let direct = service.address();
    let secure = format!("https://localhost:{}", tls_port(&service));
    let relayed = format!("unix:{}", relay.socket().display());
    let Some(output) = run(runner, &tls, &[&direct, &secure, &relayed], &service) else { return };
    let mut runs = output.split("--- ").skip(1).map(|run| run.split_once('\n').unwrap());
    for address in [&direct, &secure, &relayed] {
        let (named, said) = runs.next().unwrap_or_else(|| panic!("no run with {address}:\n{output}"));
        assert_eq!(named, address, "{output}");
        is_as_promised(said);
    }
    is_well_behaved(&relay.seen(), retries);
}

/// The caller is known as the owner of this process over the Unix socket, and by its SPIFFE ID over TLS. A rate that a
/// few calls more than the burst meet.
fn config() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let shown = format!(
        r#"
[listen]
unix = "sock/countersign.sock"
[[listen.tls]]
address = "127.0.0.1:50051"
certificate = "tls/tls.crt"
key = "tls/tls.key"
client_ca = "tls/ca.crt"
trust_domain = "example.org"
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
[limits]
rate = 2
burst = 51
[[liveauth.domains]]
name = "jobs.example.com"
key = "jobs"
[[hub.apps]]
name = "acme-contacts"
key = "acme"
[[policy.rules]]
name = "the examples"
callers = ["uid:{uid}", "spiffe://example.org/ns/jobs/sa/portal"]
verbs = ["mint", "verify", "seal", "open"]
domains = ["jobs.example.com"]
apps = ["acme-contacts"]
"#
    );
    // Any free port: the page for clients shows the listener with one.
    shown.replace("127.0.0.1:50051", "127.0.0.1:0")
}

/// What every program prints, in whatever language.
fn is_as_promised(said: &str) {
    let lines: Vec<&str> = said.lines().collect();
    let [health, minted, rest @ ..] = lines.as_slice() else { panic!("too little was said:\n{said}") };
    assert_eq!(*health, "health: SERVING");
    assert!(minted.starts_with("minted: client=42&expires=") && minted.contains("&hash="), "{said}");
    let [verified, mine, theirs, refused] = rest else { panic!("four lines more are wanted:\n{said}") };
    assert_eq!(*verified, "verified: VERDICT_VALID");
    assert_eq!(*mine, "opened for jane@example.com: 14 bytes");
    assert_eq!(*theirs, "not opened for john@example.com: VERDICT_WRONG_CONTEXT");
    // Languages spell codes differently; reason and field are ours.
    let code = refused.strip_prefix("refused: ").and_then(|rest| rest.strip_suffix(", TTL_TOO_LONG, ttl"));
    let code = code.unwrap_or_else(|| panic!("{said}")).replace('_', "").to_ascii_lowercase();
    assert_eq!(code, "invalidargument");
}

/// What the program sent by way of the relay: a deadline and a host with every call, a retry where nobody was there,
/// and after each refusal for its rate a call that was let through, because it had waited for as long as it was told.
fn is_well_behaved(calls: &[Seen], retries: Retries) {
    for call in calls {
        assert!(call.timeout.is_some(), "{call:?} has no deadline");
        assert_eq!(call.host, "localhost", "{call:?}");
    }
    assert_eq!(calls[0].path, HEALTH);
    let (first, again) = calls.iter().zip(&calls[1..]).find(|(call, _)| call.path == MINT).unwrap();
    assert!(first.limited && again.path == MINT, "{first:?} was to be refused, and made again: {again:?}");
    assert_eq!(again.attempts, None, "RESOURCE_EXHAUSTED is for the program to wait for: {again:?}");
    let (first, again) = calls.iter().zip(&calls[1..]).find(|(call, _)| call.path == VERIFY).unwrap();
    assert!(first.unavailable && again.path == VERIFY, "{first:?} was to be retried at once, not {again:?}");
    let attempts = (retries == Retries::ByServiceConfig).then_some("1");
    assert_eq!(again.attempts.as_deref(), attempts, "{again:?}");
    for (call, next) in calls.iter().zip(&calls[1..]).filter(|(call, _)| call.limited) {
        assert!(!next.limited, "after {call:?}, {next:?} came before there was room");
    }
}

fn tls_port(service: &Service) -> u16 {
    let log = service.log();
    let ready = log.lines().find(|line| line.contains("\"ready\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(ready).unwrap();
    line["tls"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

/// Has the script that users are shown make certificates. False where openssl is missing.
fn made_certificates(at: &Path) -> bool {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        skipped("openssl");
        return false;
    }
    let script = root().join("examples/clients/test-ca.sh");
    // Through bash, so that a checkout without mode bits works as well.
    let Ok(made) = Command::new("bash").arg(script).arg(at).stdin(Stdio::null()).output() else {
        skipped("bash");
        return false;
    };
    let log = fs::read_to_string(at.join("openssl.log")).unwrap_or_default();
    assert!(made.status.success(), "{}{log}", service::stderr(&made));
    true
}

/// What the program said to each address; `None` where something that it needs is missing.
fn run(runner: &str, tls: &Path, addresses: &[&str], service: &Service) -> Option<String> {
    let output = Command::new("bash")
        .arg(root().join("tests/clients/examples").join(runner))
        .args(addresses)
        .env("COUNTERSIGN_TOOLS", tools())
        .env("COUNTERSIGN_TLS_CERT", tls.join("caller.crt"))
        .env("COUNTERSIGN_TLS_KEY", tls.join("caller.key"))
        .env("COUNTERSIGN_TLS_CA", tls.join("ca.crt"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = service::stdout(&output);
    if output.status.code() == Some(MISSING) {
        skipped(said.lines().find_map(|line| line.strip_prefix("needs ")).unwrap_or(runner));
        return None;
    }
    let (stderr, log) = (service::stderr(&output), service.log());
    assert!(output.status.success(), "{runner} ended with {}:\n{said}{stderr}\n{log}", output.status);
    Some(said)
}

/// Says that a test was skipped, past the capture of the test harness; fails it where nothing may be skipped.
fn skipped(what: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: needs {what}\n").as_bytes());
    assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {what}");
}

/// Where `.ci/run` installs programs.
fn tools() -> PathBuf {
    std::env::var_os("COUNTERSIGN_TOOLS").map_or_else(|| root().join("target/ci-tools"), PathBuf::from)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
