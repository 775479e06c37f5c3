//! Who is not let in, by OpenSSL's own client: the alert it gets, the label it is counted under, the line it causes.

use std::process::Command;

use crate::{
    guarded::{Guarded, LISTENER, config, outside, put},
    issuer::{Authority, CALLER, Wanted},
};

/// A caller's certificate that is refused, and how.
struct Case {
    result: &'static str,
    /// The alert's number (RFC 8446, section 6.2).
    alert: u8,
    /// What the log line must hold.
    words: &'static [&'static str],
}

/// Connects with `openssl s_client`; `None` where there is no OpenSSL.
fn s_client(guarded: &Guarded, args: &[&str]) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{}", guarded.port()), "-ign_eof"]);
    command.args(["-CAfile", &guarded.file("ca.crt"), "-verify_return_error"]).args(args);
    let output = outside("openssl", &mut command)?;
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn refuses(guarded: &Guarded, name: Option<&str>, case: &Case) {
    let files = name.map(|name| (guarded.file(&format!("{name}.crt")), guarded.file(&format!("{name}.key"))));
    let args = match &files {
        Some((certificate, key)) => vec!["-cert", certificate.as_str(), "-key", key.as_str()],
        None => Vec::new(),
    };
    let Some(said) = s_client(guarded, &args) else { return };
    assert!(said.contains(&format!("SSL alert number {}", case.alert)), "{}: {said}", case.result);
    guarded.await_handshake(case.result);
    guarded.service.await_log("refused a TLS client", 1);
    let log = guarded.service.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("refused a TLS client")).collect();
    let [line] = lines[..] else { panic!("{log}") };
    for word in case.words.iter().chain(&["127.0.0.1:", case.result, "\"WARN\""]) {
        assert!(line.contains(word), "{word:?} is not in: {line}");
    }
    assert!(guarded.service.http("/metrics").1.contains("countersign_tls_handshakes_total{result=\"ok\"} 0"));
}

/// The service refuses a caller with such a certificate of its own CA.
fn refuses_wanted(wanted: &Wanted<'_>, case: &Case) {
    let guarded = Guarded::start();
    put(&guarded.tls(), "bad", &guarded.ca.issue(wanted));
    refuses(&guarded, Some("bad"), case);
}

#[test]
fn no_certificate() {
    let case = Case { result: "no_certificate", alert: 116, words: &["sent no certificate", "not seen"] };
    refuses(&Guarded::start(), None, &case);
}

#[test]
fn a_certificate_of_another_ca() {
    let guarded = Guarded::start();
    put(&guarded.tls(), "bad", &Authority::new("another CA").issue(&Wanted::default()));
    let case = Case { result: "unknown_ca", alert: 48, words: &[CALLER, "client_ca does not hold"] };
    refuses(&guarded, Some("bad"), &case);
}

#[test]
fn a_certificate_of_another_ca_with_the_name_of_ours() {
    let guarded = Guarded::start();
    put(&guarded.tls(), "bad", &Authority::new("test CA").issue(&Wanted::default()));
    refuses(&guarded, Some("bad"), &Case { result: "bad_certificate", alert: 51, words: &[CALLER, "another key"] });
}

#[test]
fn an_expired_certificate() {
    let case = Case { result: "expired", alert: 45, words: &[CALLER, "renew it"] };
    refuses_wanted(&Wanted { years: (2020, 2021), ..Wanted::default() }, &case);
}

#[test]
fn a_certificate_of_the_future() {
    let case = Case { result: "not_yet_valid", alert: 45, words: &[CALLER, "clocks"] };
    refuses_wanted(&Wanted { years: (2080, 2090), ..Wanted::default() }, &case);
}

#[test]
fn a_certificate_for_servers_alone() {
    let case = Case { result: "wrong_purpose", alert: 43, words: &[CALLER, "clientAuth"] };
    refuses_wanted(&Wanted { for_clients: false, ..Wanted::default() }, &case);
}

#[test]
fn two_uri_names() {
    let names = &[CALLER, "spiffe://example.org/another"];
    let words = &[CALLER, "spiffe://example.org/another", "2 names of kind URI"];
    let case = Case { result: "several_identities", alert: 49, words };
    refuses_wanted(&Wanted { names, ..Wanted::default() }, &case);
}

#[test]
fn another_trust_domain() {
    let words = &["spiffe://example.com/a", "trust domain example.com", "example.org"];
    let case = Case { result: "wrong_trust_domain", alert: 49, words };
    refuses_wanted(&Wanted { names: &["spiffe://example.com/a"], ..Wanted::default() }, &case);
}

#[test]
fn a_common_name_and_nothing_else() {
    let case = Case { result: "bad_identity", alert: 49, words: &["\"none\"", "the common name does not count"] };
    refuses_wanted(&Wanted { names: &[], ..Wanted::default() }, &case);
}

#[test]
fn a_dns_name_where_a_spiffe_id_is_asked_for() {
    let case = Case { result: "bad_identity", alert: 49, words: &["DNS:portal.example.org", "no URI"] };
    refuses_wanted(&Wanted { names: &["portal.example.org"], ..Wanted::default() }, &case);
}

#[test]
fn a_spiffe_id_that_could_be_read_in_two_ways() {
    let case = Case { result: "bad_identity", alert: 49, words: &["spiffe://example.org/a/../b", "segments"] };
    refuses_wanted(&Wanted { names: &["spiffe://example.org/a/../b"], ..Wanted::default() }, &case);
}

#[test]
fn a_certificate_that_may_sign_others() {
    let case = Case { result: "bad_identity", alert: 49, words: &[CALLER, "keyCertSign"] };
    refuses_wanted(&Wanted { signs: true, ..Wanted::default() }, &case);
}

#[test]
fn two_dns_names_where_callers_are_known_by_one() {
    let listener = LISTENER.replace("trust_domain = \"example.org\"", "identity = \"dns\"");
    let guarded = Guarded::start_with(&config(&listener));
    let names = &["portal.example.org", "other.example.org"];
    put(&guarded.tls(), "bad", &guarded.ca.issue(&Wanted { names, ..Wanted::default() }));
    let case = Case { result: "several_identities", alert: 49, words: &["2 names of kind DNS"] };
    refuses(&guarded, Some("bad"), &case);
}

fn with_list(serials: &[u64], until: i32) -> Guarded {
    let listener = format!("{LISTENER}crls = [\"tls/ca.crl\"]\n");
    let (dir, ca) = crate::guarded::folder(&config(&listener));
    std::fs::write(dir.path().join("tls/ca.crl"), ca.list(serials, until)).unwrap();
    Guarded { service: crate::service::Service::start_in(dir), ca }
}

#[test]
fn a_revoked_certificate_and_no_other() {
    let guarded = with_list(&[7], 2090);
    put(&guarded.tls(), "bad", &guarded.ca.issue(&Wanted { serial: 7, ..Wanted::default() }));
    refuses(&guarded, Some("bad"), &Case { result: "revoked", alert: 44, words: &[CALLER, "revoked"] });
    assert!(guarded.mint_as("caller", &[]).status.success());
}

#[test]
fn a_list_past_its_date_still_counts_and_says_so() {
    let guarded = with_list(&[7], 2021);
    guarded.service.await_log("ought to have been replaced", 1);
    put(&guarded.tls(), "bad", &guarded.ca.issue(&Wanted { serial: 7, ..Wanted::default() }));
    refuses(&guarded, Some("bad"), &Case { result: "revoked", alert: 44, words: &["revoked"] });
    assert!(guarded.mint_as("caller", &[]).status.success());
    // 2021-01-01T00:00:00Z
    guarded.await_metric("countersign_tls_crl_next_update_timestamp_seconds{listener=\"127.0.0.1:0\"} 1609459200");
}

#[test]
fn an_issuer_without_a_list_where_another_has_one() {
    let guarded = with_list(&[], 2090);
    let second = Authority::new("second CA");
    std::fs::write(guarded.tls().join("ca.crt"), format!("{}{}", guarded.ca.pem, second.pem)).unwrap();
    guarded.service.signal("HUP");
    guarded.service.await_log("has no CRL while others have", 1);
    put(&guarded.tls(), "bad", &second.issue(&Wanted::default()));
    let words = &[CALLER, "add the issuer's to crls"];
    refuses(&guarded, Some("bad"), &Case { result: "unknown_revocation_status", alert: 48, words });
    assert!(guarded.mint_as("caller", &[]).status.success());
}

#[test]
fn tls_1_2() {
    let guarded = Guarded::start();
    let (certificate, key) = (guarded.file("caller.crt"), guarded.file("caller.key"));
    let Some(said) = s_client(&guarded, &["-tls1_2", "-cert", &certificate, "-key", &key]) else { return };
    assert!(said.contains("SSL alert number 70"), "{said}");
    guarded.await_handshake("protocol_version");
    guarded.service.await_log("does not offer TLS 1.3", 1);
}

#[test]
fn no_common_application_protocol() {
    let guarded = Guarded::start();
    let (certificate, key) = (guarded.file("caller.crt"), guarded.file("caller.key"));
    let Some(said) = s_client(&guarded, &["-alpn", "h3", "-cert", &certificate, "-key", &key]) else { return };
    assert!(said.contains("SSL alert number 120"), "{said}");
    guarded.await_handshake("no_application_protocol");
}

#[test]
fn a_client_that_does_not_trust_us() {
    let guarded = Guarded::start();
    std::fs::write(guarded.tls().join("other.crt"), Authority::new("another CA").pem).unwrap();
    let other = guarded.file("other.crt");
    let Some(said) = s_client(&guarded, &["-CAfile", &other]) else { return };
    assert!(said.contains("verify error"), "{said}");
    guarded.await_handshake("refused_by_peer");
    guarded.service.await_log("it refused us with the alert", 1);
}
