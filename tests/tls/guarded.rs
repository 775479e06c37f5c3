//! A running service with a TLS listener, in a folder with a CA, its own certificate and a caller's.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    issuer::{Authority, CALLER, Pair, Wanted},
    service::{self, CONFIG, PATIENCE, Service},
};

/// The listener of most tests, as the configuration has it; port 0 takes any free one.
pub const LISTENER: &str = r#"
[[listen.tls]]
address = "127.0.0.1:0"
certificate = "tls/tls.crt"
key = "tls/tls.key"
client_ca = "tls/ca.crt"
trust_domain = "example.org"
"#;

/// A service, its CA, and a caller whom it knows.
pub struct Guarded {
    pub service: Service,
    pub ca: Authority,
}

/// The configuration with `listener` after what stands under `[listen]`; only the caller of the tests has rights.
pub fn config(listener: &str) -> String {
    config_with(listener, "")
}

pub fn config_with(listener: &str, more: &str) -> String {
    let (listen, rest) = CONFIG.split_once("[http]").unwrap();
    let rest = rest.replace("callers = [\"*\"]", &format!("callers = [\"{CALLER}\", \"dns:portal.example.org\"]"));
    format!("{listen}{listener}[http]{rest}{more}")
}

/// A folder in which everything is there to be served.
pub fn folder(config: &str) -> (TempDir, Authority) {
    let ca = Authority::new("test CA");
    let dir = service::folder(config);
    let tls = dir.path().join("tls");
    fs::create_dir(&tls).unwrap();
    fs::write(tls.join("ca.crt"), &ca.pem).unwrap();
    put(&tls, "tls", &ca.service());
    put(&tls, "caller", &ca.issue(&Wanted::default()));
    (dir, ca)
}

/// Writes `NAME.crt` and `NAME.key`.
pub fn put(at: &Path, name: &str, pair: &Pair) {
    fs::write(at.join(format!("{name}.crt")), &pair.certificate).unwrap();
    secret(&at.join(format!("{name}.key")), &pair.key);
}

pub fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Guarded {
    pub fn start() -> Self {
        Self::start_with(&config(LISTENER))
    }

    pub fn start_with(config: &str) -> Self {
        let (dir, ca) = folder(config);
        Self { service: Service::start_in(dir), ca }
    }

    pub fn tls(&self) -> PathBuf {
        self.service.dir.path().join("tls")
    }

    pub fn file(&self, name: &str) -> String {
        self.tls().join(name).display().to_string()
    }

    /// The port of the first TLS listener.
    pub fn port(&self) -> u16 {
        self.ports()[0]
    }

    /// The ports of all TLS listeners, as the log names them.
    pub fn ports(&self) -> Vec<u16> {
        let log = self.service.log();
        let ready = log.lines().find(|line| line.contains("\"ready\"")).unwrap();
        let line: serde_json::Value = serde_json::from_str(ready).unwrap();
        let listeners = line["tls"].as_str().unwrap().split(' ');
        listeners.map(|address| address.rsplit(':').next().unwrap().parse().unwrap()).collect()
    }

    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port())
    }

    /// Waits until the metrics hold the line.
    pub fn await_metric(&self, line: &str) {
        let begin = Instant::now();
        loop {
            let metrics = self.service.http("/metrics").1;
            if metrics.lines().any(|there| there == line) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{line} is not in the metrics:\n{metrics}\n{}", self.service.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until one handshake, and no more, has ended so.
    pub fn await_handshake(&self, result: &str) {
        self.await_metric(&format!("countersign_tls_handshakes_total{{result=\"{result}\"}} 1"));
    }

    /// Mints by the command line over TLS, with the certificate `name`.
    pub fn mint_as(&self, name: &str, more: &[&str]) -> Output {
        let (address, certificate, key, ca) =
            (self.address(), self.file(&format!("{name}.crt")), self.file(&format!("{name}.key")), self.file("ca.crt"));
        let mut all = vec!["liveauth", "mint", "--domain", "jobs.example.com", "--client", "42", "--address", &address];
        all.extend(["--tls-cert", &certificate, "--tls-key", &key, "--tls-ca", &ca]);
        all.extend(more);
        service::run(&all, b"")
    }
}

/// The output of a program, or `None`, said on standard error, where it is not there.
pub fn outside(program: &str, command: &mut Command) -> Option<Output> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped(program);
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// Says that a test was skipped, past the capture of the test harness; fails it where nothing may be skipped.
pub fn skipped(what: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: needs {what}\n").as_bytes());
    assert_ne!(std::env::var("COUNTERSIGN_REQUIRE_TOOLS").as_deref(), Ok("1"), "needs {what}");
}
