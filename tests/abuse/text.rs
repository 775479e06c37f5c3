//! Text where it does not belong: control characters in names, values and paths, and what a log makes of it.

use crate::{
    peer::{END_HEADERS, END_STREAM, HEADERS, MINT, Peer, RST_STREAM, frame, grpc_header, literal},
    service::{CONFIG, Service},
    victim::Victim as _,
};

/// Every request is logged.
fn talkative() -> Service {
    Service::start(&format!("[log]\nlevel = \"debug\"\n{CONFIG}"))
}

#[test]
fn control_characters_in_a_header_reset_the_stream_and_reach_no_log() {
    let service = talkative();
    let fields: [(&[u8], &[u8]); 10] = [
        (b"x-a", b"one\r\ninjected: two"),
        (b"x-a", b"one\ninjected"),
        (b"x-a", b"one\rinjected"),
        (b"x-a", b"one\0injected"),
        (b"x-a\r\ninjected", b"one"),
        (b"x-a\ninjected", b"one"),
        (b"x\0a", b"one"),
        (b"X-Injected", b"an upper-case name"),
        (b"connection", b"injected"),
        (b"x-request-id", b"one\r\n{\"injected\":true}"),
    ];
    for (name, value) in fields {
        let mut peer = Peer::greeted(&service);
        peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &grpc_header(MINT, &[(name, value)]));
        // A close of the whole connection would do too.
        let answer = peer.until(|frame| frame.stream == 1);
        assert!(answer.is_none_or(|answer| answer.kind == RST_STREAM), "{name:?} {value:?}");
        service.serves_others();
    }
    for path in ["/a\r\nb", "/a b", "no slash", "", "/a\0b", "*"] {
        let mut peer = Peer::greeted(&service);
        peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &grpc_header(path, &[]));
        let answer = peer.until(|frame| frame.stream == 1);
        assert!(answer.is_none_or(|answer| answer.kind == RST_STREAM || answer.ends_stream()), "{path:?}");
        service.serves_others();
    }
    assert!(!service.log().contains("njected"), "{}", service.log());
    service.log_is_sound();
}

#[test]
fn pseudo_headers_twice_missing_or_late_reset_the_stream() {
    let service = talkative();
    let mut blocks = Vec::new();
    for (name, value) in [(":path", "/other"), (":method", "GET"), (":authority", "evil.example"), (":status", "200")] {
        blocks.push(grpc_header(MINT, &[(name.as_bytes(), value.as_bytes())]));
        let mut first = Vec::new();
        literal(&mut first, 0, name.as_bytes(), value.as_bytes());
        first.extend(grpc_header(MINT, &[]));
        blocks.push(first);
    }
    let mut no_path = Vec::new();
    literal(&mut no_path, 0, b":method", b"POST");
    blocks.push(no_path);
    for block in blocks {
        let mut peer = Peer::greeted(&service);
        peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &block);
        let answer = peer.until(|frame| frame.stream == 1);
        assert!(answer.is_none_or(|answer| answer.kind == RST_STREAM), "{block:?}");
    }
    service.serves_others();
    service.log_is_sound();
}

#[test]
fn a_request_id_stays_within_its_line_of_the_log() {
    let service = talkative();
    let long = "x".repeat(9000);
    let ids: [&[u8]; 8] = [
        b"\",\"injected\":\"yes",
        b"a\tinjected",
        b"\\u000ainjected",
        b"\x1b[31minjected\x1b[0m",
        "injected \u{2028} \u{202e}".as_bytes(),
        b"%0d%0ainjected",
        b"${jndi:injected}",
        long.as_bytes(),
    ];
    for id in ids {
        let mut peer = Peer::greeted(&service);
        // No rule lets anybody do this, so that it is logged.
        peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &grpc_header("/no/such", &[(b"x-request-id", id)]));
        let answer = peer.until(|frame| frame.stream == 1);
        assert!(answer.is_none_or(|answer| !answer.payload.windows(8).any(|part| part == b"injected")), "{id:?}");
    }
    // One that can be printed is taken over.
    let mut peer = Peer::greeted(&service);
    peer.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &grpc_header(MINT, &[(b"x-request-id", b"order-66")])));
    peer.until(|frame| frame.stream == 1).unwrap();
    service.await_log("order-66", 1);
    assert!(!service.log().contains("njected") && !service.log().contains("xxxx"), "{}", service.log());
    service.log_is_sound();
}

/// A name that the caller chooses and the service logs because it is not configured.
#[test]
fn an_unknown_name_stays_within_its_line_of_the_log() {
    let service = talkative();
    for name in ["a\"}\n{\"injected\":\"b\"}", "\u{1b}[2Jinjected", "a\r\ninjected"] {
        let (status, _) = service.post("Seal", &serde_json::json!({"app": name, "username": "u", "payload": ""}));
        assert_ne!(status, 200);
        let (status, _) = service.post("MintHash", &serde_json::json!({"domain": name, "client": "1"}));
        assert_ne!(status, 200);
    }
    service.log_is_sound();
}
