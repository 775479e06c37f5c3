//! A LiveAuth that does not do what its document says, and what callers are told then.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    desk::{Desk, asked, each},
    vendor::{Plan, TOKEN, Vendor},
};

/// What the details of an error say of the vendor.
fn said(known: &BTreeMap<String, String>) -> (&str, &str, &str, &str) {
    let get = |name: &str| known.get(name).map_or("", String::as_str);
    (get("vendor"), get("sent"), get("http_status"), get("vendor_message"))
}

fn raw(text: &str) -> Plan {
    Plan::Raw(text.as_bytes().to_vec())
}

#[test]
fn every_way_to_answer_wrongly_is_an_error_of_its_own() {
    let desk = Desk::open();
    let elsewhere = Vendor::start_plain("x");
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\n\r\n", elsewhere.port);
    let huge = format!("\"{}\"", "x".repeat(70_000)).into_bytes();
    let (refused, failed, unreadable) = (
        ("failed_precondition", "VENDOR_REFUSED"),
        ("unavailable", "VENDOR_FAILED"),
        ("unknown", "VENDOR_ANSWER_UNREADABLE"),
    );
    let answer = |status: u16, body: &str| Plan::Answer(status, body.as_bytes().to_vec());
    let cases = [
        (answer(403, r#"{"error": "wrong hash"}"#), refused, ("liveauth", "answered", "403", "wrong hash")),
        (answer(404, "not found\r\n\u{1b}[31m"), refused, ("liveauth", "answered", "404", "not found  [31m")),
        (
            answer(200, r#"{"error": {"message": "no such portal"}}"#),
            refused,
            ("liveauth", "answered", "200", "no such portal"),
        ),
        (answer(200, "\"Invalid hash\""), refused, ("liveauth", "answered", "200", "Invalid hash")),
        (answer(500, "<html><body>oops</body></html>"), failed, ("liveauth", "answered", "500", "")),
        (answer(429, "slow down"), failed, ("liveauth", "answered", "429", "slow down")),
        (answer(503, r#"{"message": "maintenance"}"#), failed, ("liveauth", "answered", "503", "maintenance")),
        (answer(200, "{\"signed\": \"yes\"}"), unreadable, ("liveauth", "answered", "200", "")),
        (answer(200, "<html></html>"), unreadable, ("liveauth", "answered", "200", "")),
        (answer(200, "callback({\"signed\": true})"), unreadable, ("liveauth", "answered", "200", "")),
        (answer(200, "{\"signed\": true"), unreadable, ("liveauth", "answered", "200", "")),
        (answer(200, ""), unreadable, ("liveauth", "answered", "200", "")),
        (Plan::Answer(200, huge), unreadable, ("liveauth", "answered", "", "")),
        (raw(&redirect), unreadable, ("liveauth", "answered", "", "")),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"signed\":"), failed, ("liveauth", "answered", "", "")),
        (raw("220 smtp.example.com\r\n"), failed, ("liveauth", "uncertain", "", "")),
    ];
    for (at, (plan, (code, reason), expected)) in cases.into_iter().enumerate() {
        desk.vendor.plan(plan);
        let (status, request) = ("GetStatus", asked(json!({"portal": 4, "profile": 2})));
        let known = desk.fails(status, &request, code, reason);
        assert_eq!(said(&known), expected, "case {at}");
    }
    assert_eq!(elsewhere.heard(), []);
    let (_, metrics) = desk.service.http("/metrics");
    for (result, count) in
        [("refused", 2), ("http_4xx", 3), ("http_5xx", 2), ("unreadable", 5), ("redirect", 1), ("too_large", 1)]
    {
        let line = format!(
            "countersign_outbound_calls_total{{action=\"status\",result=\"{result}\",vendor=\"liveauth\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[test]
fn a_vendor_that_is_silent_is_waited_for_as_long_as_configured_and_not_asked_again() {
    let desk = Desk::with(
        crate::desk::ALL,
        &[
            ("connect_timeout = \"10s\"", "connect_timeout = \"1s\""),
            ("api/liveauth/\"\ntimeout = \"20s\"", "api/liveauth/\"\ntimeout = \"2s\""),
        ],
    );
    desk.vendor.plan(Plan::Silence);
    for (method, request) in [&each()[0], &each()[2]] {
        let known = desk.fails(method, request, "deadline_exceeded", "VENDOR_TIMEOUT");
        assert_eq!(said(&known), ("liveauth", "uncertain", "", ""));
        assert_eq!(desk.vendor.heard().len(), 1);
    }
}

#[test]
fn only_what_changes_nothing_is_asked_once_more_and_only_where_nothing_was_answered() {
    let desk = Desk::open();
    for (method, request) in each() {
        let reads = matches!(method, "Test" | "GetStatus");
        desk.vendor.plan(Plan::Breaks(1));
        if reads {
            desk.ok(method, &request);
        } else {
            let known = desk.fails(method, &request, "unavailable", "VENDOR_FAILED");
            assert_eq!(said(&known), ("liveauth", "uncertain", "", ""));
        }
        assert_eq!(desk.vendor.heard().len(), if reads { 2 } else { 1 }, "{method}");
        desk.vendor.plan(Plan::Breaks(2));
        desk.fails(method, &request, "unavailable", "VENDOR_FAILED");
        assert_eq!(desk.vendor.heard().len(), if reads { 2 } else { 1 }, "{method}");
        desk.vendor.plan(Plan::Answer(500, Vec::new()));
        desk.fails(method, &request, "unavailable", "VENDOR_FAILED");
        assert_eq!(desk.vendor.heard().len(), 1, "{method}: an answer is an answer");
    }
}

#[test]
fn a_vendor_that_is_not_there_or_not_trusted_has_heard_nothing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let vendor = Vendor::start("x");
    let config = crate::desk::config(&vendor, crate::desk::ALL, "");
    let gone = config.replace(&format!("localhost:{}", vendor.port), &format!("localhost:{free}"));
    // Somebody else's authority.
    let other = Vendor::start("x");
    let (ours, theirs) = (vendor.ca.as_ref().unwrap(), other.ca.as_ref().unwrap());
    let untrusted = config.replace(ours.to_str().unwrap(), theirs.to_str().unwrap());
    let unknown = config.replace("https://localhost:", "https://no-such-host.invalid:");
    for config in [gone, untrusted, unknown] {
        let desk = Desk { service: crate::service::Service::start(&config), vendor: Vendor::start_plain("x") };
        let known = desk.fails("Login", &each()[2].1, "unavailable", "VENDOR_UNREACHABLE");
        assert_eq!(said(&known), ("liveauth", "nothing", "", ""), "{}", desk.service.log());
    }
    assert_eq!(vendor.heard(), []);
}

#[test]
fn an_address_inside_is_not_called_unless_that_is_configured() {
    let desk = Desk::with(crate::desk::ALL, &[("private_addresses = true", "private_addresses = false")]);
    let known = desk.fails("Test", &asked(json!({})), "failed_precondition", "OUTBOUND_REFUSED");
    assert_eq!(said(&known), ("liveauth", "nothing", "", ""));
    assert_eq!(desk.vendor.heard(), []);
    assert!(desk.service.log().contains("outbound.private_addresses"));
}

#[test]
fn what_the_vendor_repeats_of_our_secrets_is_taken_out_of_its_message() {
    let desk = Desk::open();
    let (tell, told) = std::sync::mpsc::channel();
    desk.vendor.watch(move |heard| tell.send(heard.value("hash").unwrap()).unwrap());
    // It repeats the token; the hash it cannot know before.
    desk.vendor.plan(Plan::Answer(400, format!("bad token {TOKEN}: {}", "long ".repeat(100)).into_bytes()));
    let known = desk.fails("CompleteInfo", &asked(json!({"token": TOKEN})), "failed_precondition", "VENDOR_REFUSED");
    let message = &known["vendor_message"];
    assert!(message.starts_with("bad token ***: long") && message.chars().count() <= 200, "{message}");
    assert_eq!(told.recv().unwrap().len(), 64);
}

#[test]
fn serve_does_not_start_with_what_is_for_development_and_check_says_what_does_not_fit() {
    let vendor = Vendor::start("x");
    let config = crate::desk::config(&vendor, crate::desk::ALL, "");
    let refused = |config: &str, words: &str| {
        let dir = crate::service::folder(config);
        let file = dir.path().join("config.toml");
        let serve = crate::service::run(&["serve", "--allow-root", "--config", file.to_str().unwrap()], b"");
        let said = crate::service::stderr(&serve);
        assert!(serve.status.code() == Some(2) && said.contains(words), "{said}");
    };
    let plain = config.replace("private_addresses = true", "private_addresses = true\ninsecure_loopback = true");
    refused(&plain, "insecure_loopback");
    refused(&config.replace("https://localhost", "http://localhost"), "https");
    refused(&config.replace("vendor-ca.pem", "no-such.pem"), "outbound.ca_file");
}
