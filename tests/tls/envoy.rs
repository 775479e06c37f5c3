//! A real Envoy in front: it shows us its own certificate, takes ours only by its SPIFFE ID, and passes calls on.

use std::{
    env, fs,
    fs::File,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    guarded::{Guarded, skipped},
    issuer::SERVICE,
    service::PATIENCE,
};

/// HTTP/1.1 in, HTTP/2 over mutual TLS out.
const CONFIG: &str = r#"
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: @PORT@ } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [ { match: { prefix: "/" }, route: { cluster: countersign } } ] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: countersign
    type: STATIC
    load_assignment:
      cluster_name: countersign
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: @UPSTREAM@ } } }
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          tls_params: { tls_maximum_protocol_version: TLSv1_3 }
          tls_certificates:
          - { certificate_chain: { filename: "@TLS@/caller.crt" }, private_key: { filename: "@TLS@/caller.key" } }
          validation_context:
            trusted_ca: { filename: "@TLS@/ca.crt" }
            match_typed_subject_alt_names:
            - { san_type: URI, matcher: { exact: "@NAME@" } }
"#;

struct Envoy {
    process: Child,
    port: u16,
    log: PathBuf,
}

impl Envoy {
    /// Starts it in front of the service, which it takes for whoever has this SPIFFE ID. `None`: it is not installed.
    fn start(guarded: &Guarded, name: &str) -> Option<Self> {
        // Free a moment ago; Envoy says so in its log if somebody else was quicker.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = guarded.service.dir.path();
        let (file, log) = (at.join("envoy.yaml"), at.join("envoy.log"));
        let config = CONFIG
            .replace("@PORT@", &port.to_string())
            .replace("@UPSTREAM@", &guarded.port().to_string())
            .replace("@TLS@", &guarded.tls().display().to_string())
            .replace("@NAME@", name);
        fs::write(&file, config).unwrap();
        let spawned = Command::new(program())
            .args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "warning", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn();
        if let Ok(process) = spawned {
            return Some(Self { process, port, log });
        }
        skipped("envoy");
        None
    }

    /// Sends one JSON call through it, once it listens; gives the HTTP status and the rest.
    fn mint(&mut self) -> (u16, String) {
        let begin = Instant::now();
        let mut stream = loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                break stream;
            }
            let log = fs::read_to_string(&self.log).unwrap();
            assert!(self.process.try_wait().unwrap().is_none() && begin.elapsed() < PATIENCE, "envoy: {log}");
            std::thread::sleep(Duration::from_millis(10));
        };
        let body = r#"{"domain":"jobs.example.com","client":42}"#;
        let length = body.len();
        write!(stream, "POST /countersign.v1.LiveAuthService/MintHash HTTP/1.1\r\nHost: any\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where `.ci/run` installs it, or whatever is on the path.
fn program() -> PathBuf {
    let tools = env::var_os("COUNTERSIGN_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci-tools"), PathBuf::from);
    let installed = tools.join("venv/bin/envoy");
    if installed.exists() { installed } else { "envoy".into() }
}

#[test]
fn envoy_passes_calls_on_to_whom_it_knows_by_spiffe_id() {
    let guarded = Guarded::start();
    let Some(mut envoy) = Envoy::start(&guarded, SERVICE) else { return };
    let (status, answer) = envoy.mint();
    assert!(status == 200 && answer.contains("\"hash\""), "{answer}\n{}", guarded.service.log());
    guarded.await_handshake("ok");
}

#[test]
fn envoy_takes_nobody_else() {
    let guarded = Guarded::start();
    let Some(mut envoy) = Envoy::start(&guarded, "spiffe://example.org/somebody-else") else { return };
    let (status, answer) = envoy.mint();
    assert_eq!(status, 503, "{answer}");
    guarded.service.await_log("it refused us with the alert", 1);
}
