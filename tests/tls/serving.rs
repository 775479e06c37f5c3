//! Who is let in, and what the connection is worth.

use std::{process::Command, sync::Arc};

use rustls::{NamedGroup, crypto::aws_lc_rs::kx_group};

use crate::{
    guarded::{Guarded, LISTENER, config, folder, outside, put, skipped},
    issuer::{Authority, SERVICE, Wanted},
    peer::{Peer, client, client_with},
    service::{Service, stderr, stdout},
};

#[test]
fn a_known_caller_mints_over_grpc_and_its_rule_is_asked_by_spiffe_id() {
    let guarded = Guarded::start();
    let minted = guarded.mint_as("caller", &[]);
    assert!(minted.status.success(), "{}{}", stderr(&minted), guarded.service.log());
    guarded.await_handshake("ok");
    // Nobody else has a rule: not another workload of the trust domain, and not the Unix socket's peer.
    put(
        &guarded.tls(),
        "stranger",
        &guarded.ca.issue(&Wanted { names: &["spiffe://example.org/x"], ..Wanted::default() }),
    );
    let refused = guarded.mint_as("stranger", &[]);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    // 2090-01-01T00:00:00Z
    guarded
        .await_metric("countersign_tls_certificate_not_after_timestamp_seconds{listener=\"127.0.0.1:0\"} 3786912000");
}

#[test]
fn a_listener_for_dns_names_takes_the_one_that_there_is_in_lower_case() {
    let listener = LISTENER.replace("trust_domain = \"example.org\"", "identity = \"dns\"");
    let guarded = Guarded::start_with(&config(&listener));
    let names = &["Portal.Example.ORG", "spiffe://elsewhere.example/x"];
    put(&guarded.tls(), "dns", &guarded.ca.issue(&Wanted { names, ..Wanted::default() }));
    let minted = guarded.mint_as("dns", &[]);
    assert!(minted.status.success(), "{}{}", stderr(&minted), guarded.service.log());
}

/// What the README tells people to paste makes certificates that are taken.
#[test]
fn the_certificates_that_the_readme_makes_are_taken() {
    let readme = include_str!("../../README.md");
    let begin = readme.find("openssl req -x509 -newkey").unwrap();
    let end = begin + readme[begin..].find("countersign liveauth mint").unwrap();
    let (dir, ca) = folder(&config(LISTENER));
    let script = format!("set -e; command -v openssl >&2 || exit 77\n{}", &readme[begin..end]);
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(dir.path().join("tls"));
    let Some(output) = outside("bash", &mut command) else { return };
    if output.status.code() == Some(77) {
        return skipped("openssl");
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let made = std::fs::read_to_string(dir.path().join("tls/ca.crt")).unwrap();
    assert_ne!(made, ca.pem);
    let guarded = Guarded { service: Service::start_in(dir), ca };
    let minted = guarded.mint_as("caller", &[]);
    assert!(minted.status.success(), "{}{}", stderr(&minted), guarded.service.log());
}

#[test]
fn the_command_line_says_what_is_wrong_between_the_two() {
    let guarded = Guarded::start();
    let failing = |name: &str, more: &[&str], code: i32, words: &[&str]| {
        let output = guarded.mint_as(name, more);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    };
    let address = guarded.address().replace("127.0.0.1", "localhost");
    assert!(guarded.mint_as("caller", &["--tls-server-name", SERVICE]).status.success());
    assert!(guarded.mint_as("caller", &["--tls-server-name", "localhost"]).status.success());
    assert!(address.contains("localhost"));
    failing("caller", &["--tls-server-name", "spiffe://example.org/other"], 4, &["does not name"]);
    failing("caller", &["--tls-server-name", "elsewhere.example"], 4, &["elsewhere.example", "--tls-server-name"]);
    failing("caller", &["--tls-server-name", "no name"], 2, &["no host name"]);
    put(&guarded.tls(), "bad", &guarded.ca.issue(&Wanted { years: (2020, 2021), ..Wanted::default() }));
    failing("bad", &[], 4, &["refused our certificate", "CertificateExpired"]);
    std::fs::remove_file(guarded.tls().join("bad.key")).unwrap();
    failing("bad", &[], 2, &["bad.key", "cannot be read"]);
    std::fs::write(guarded.tls().join("ca.crt"), Authority::new("another CA").pem).unwrap();
    failing("caller", &[], 4, &["--tls-ca"]);
    let output = crate::service::run(
        &["liveauth", "mint", "--domain", "d", "--client", "1", "--address", "https://127.0.0.1:1"],
        b"",
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--tls-cert FILE"), "{}", stderr(&output));
}

#[test]
fn a_client_that_can_gets_the_post_quantum_hybrid_and_h2_first() {
    let guarded = Guarded::start();
    let mut config = client(&guarded.tls(), "caller");
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let (group, protocol, _) = Peer::connect(guarded.port(), &Arc::new(config)).unwrap().negotiated();
    assert_eq!((group, protocol.as_deref()), (NamedGroup::X25519MLKEM768, Some(&b"h2"[..])));
    // One that does not know it, nor ALPN, is served with what it has.
    let older = client_with(&guarded.tls(), "caller", vec![kx_group::X25519]);
    let mut peer = Peer::connect(guarded.port(), &Arc::new(older)).unwrap();
    let (group, protocol, _) = peer.negotiated();
    assert_eq!((group, protocol, peer.mint().unwrap()), (NamedGroup::X25519, None, 200));
}

#[test]
fn no_session_is_ever_offered_for_resumption() {
    let guarded = Guarded::start();
    let session = guarded.file("session.pem");
    let request = "POST /countersign.v1.LiveAuthService/MintHash HTTP/1.1\r\nHost: any\r\nContent-Type: application/json\r\nContent-Length: 41\r\nConnection: close\r\n\r\n{\"domain\":\"jobs.example.com\",\"client\":42}";
    let input = guarded.tls().join("request");
    std::fs::write(&input, request).unwrap();
    let mut command = Command::new("sh");
    let script = format!(
        "command -v openssl >/dev/null || exit 77; openssl s_client -connect 127.0.0.1:{} -ign_eof -CAfile {} -cert {} -key {} -sess_out {session} < {}",
        guarded.port(),
        guarded.file("ca.crt"),
        guarded.file("caller.crt"),
        guarded.file("caller.key"),
        input.display()
    );
    let output = outside("sh", command.args(["-c", &script])).unwrap();
    if output.status.code() == Some(77) {
        return skipped("openssl");
    }
    let said = stdout(&output);
    assert!(said.contains("HTTP/1.1 200") && said.contains("TLSv1.3"), "{said}{}", stderr(&output));
    // OpenSSL writes the file when a ticket comes, and says so.
    assert!(!said.contains("Post-Handshake New Session Ticket"), "{said}");
    assert!(!std::path::Path::new(&session).exists());
}

#[test]
fn curl_mints_in_json_over_both_versions_of_http() {
    let guarded = Guarded::start();
    for version in ["--http1.1", "--http2"] {
        let mut command = Command::new("curl");
        command.args(["-sS", version, "--noproxy", "*", "-w", "\n%{http_version} %{http_code}"]);
        command.args(["--cacert", &guarded.file("ca.crt"), "--cert", &guarded.file("caller.crt")]);
        command.args(["--key", &guarded.file("caller.key"), "-H", "Content-Type: application/json"]);
        command.args(["-d", r#"{"domain":"jobs.example.com","client":42}"#]);
        command.arg(format!("{}/countersign.v1.LiveAuthService/MintHash", guarded.address()));
        let Some(output) = outside("curl", &mut command) else { return };
        let said = stdout(&output);
        let wanted = if version == "--http2" { "2 200" } else { "1.1 200" };
        assert!(said.contains("\"hash\"") && said.ends_with(wanted), "{said}{}", stderr(&output));
    }
}
