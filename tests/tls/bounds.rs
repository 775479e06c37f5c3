//! What a peer cannot make us do: wait for its handshake, keep it for ever, fill the threshold, or hold up the end.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

use crate::{
    guarded::{Guarded, LISTENER, config_with},
    peer::{Peer, client},
    service::PATIENCE,
};

fn limits(lines: &str) -> String {
    config_with(LISTENER, &format!("\n[limits]\n{lines}\n"))
}

fn silent(guarded: &Guarded) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", guarded.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits until the other side has closed.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut said);
    said
}

#[test]
fn garbage_and_plain_http_are_told_apart_from_tls() {
    let guarded = Guarded::start();
    let mut http = silent(&guarded);
    http.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // An alert record (RFC 8446, section 6), and no HTTP.
    assert!(until_closed(http).starts_with(&[21, 3]));
    guarded.await_handshake("not_tls");
    guarded.service.await_log("what it sent is no TLS", 1);
    let mut garbage = silent(&guarded);
    garbage.write_all(&[0xff; 4096]).unwrap();
    until_closed(garbage);
    guarded.await_metric("countersign_tls_handshakes_total{result=\"not_tls\"} 2");
    drop(silent(&guarded));
    guarded.await_handshake("hung_up");
    assert!(!guarded.service.log().contains("went away"), "a probe of the port is no news");
    assert!(guarded.mint_as("caller", &[]).status.success());
}

#[test]
fn a_peer_that_says_nothing_is_sent_away() {
    let guarded = Guarded::start_with(&limits("handshake = \"1s\""));
    let mut half = silent(&guarded);
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    until_closed(silent(&guarded));
    until_closed(half);
    guarded.await_metric("countersign_tls_handshakes_total{result=\"timed_out\"} 2");
    guarded.service.await_log("took longer than 1000 ms", 2);
}

#[test]
fn stuck_handshakes_make_way_for_honest_ones() {
    let guarded = Guarded::start_with(&limits("handshakes = 4\nhandshake = \"1h\""));
    let stuck: Vec<TcpStream> = (0..8).map(|_| silent(&guarded)).collect();
    guarded.await_metric("countersign_tls_handshakes_total{result=\"shed\"} 4");
    assert!(guarded.mint_as("caller", &[]).status.success());
    guarded.await_metric("countersign_tls_handshakes_total{result=\"shed\"} 5");
    guarded.await_handshake("ok");
    guarded.service.await_log("limits.handshakes", 5);
    drop(stuck);
}

#[test]
fn a_connection_of_its_age_is_sent_away_in_order() {
    let guarded = Guarded::start_with(&limits("connection_age_min = \"1s\"\nconnection_age_max = \"1s\""));
    let mut peer = Peer::connect(guarded.port(), &Arc::new(client(&guarded.tls(), "caller"))).unwrap();
    assert_eq!(peer.mint().unwrap(), 200);
    assert!(peer.closed(), "an idle one is closed, with close_notify");
    guarded.await_metric("countersign_connections_total{result=\"aged\"} 1");
    let mut again = Peer::connect(guarded.port(), &Arc::new(client(&guarded.tls(), "caller"))).unwrap();
    assert_eq!(again.mint().unwrap(), 200);
}

/// Types of HTTP/2 frames (RFC 9113, section 6).
const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;

/// GOAWAY goes out at the age; a call that never ends is cut off after the grace.
#[test]
fn a_stream_that_does_not_end_gets_goaway_and_the_grace_and_no_more() {
    let lines =
        "connection_age_min = \"1s\"\nconnection_age_max = \"1s\"\nconnection_grace = \"1s\"\ndeadline = \"1h\"";
    let guarded = Guarded::start_with(&limits(lines));
    let mut config = client(&guarded.tls(), "caller");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut peer = Peer::connect(guarded.port(), &Arc::new(config)).unwrap();
    // The preface, settings, and the headers of a call whose message never comes (HPACK: static indices and literals).
    let mut headers = vec![0x83, 0x87, 0x41, 3];
    headers.extend(b"any");
    let path = b"/countersign.v1.LiveAuthService/MintHash";
    headers.extend([0x44, u8::try_from(path.len()).unwrap()]);
    headers.extend(path);
    headers.extend([0x5f, 16]);
    headers.extend(b"application/grpc");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend([0, 0, u8::try_from(headers.len()).unwrap(), 1, 4, 0, 0, 0, 1]);
    bytes.extend(&headers);
    peer.send(&bytes);
    let said = peer.rest();
    let (mut at, mut kinds) = (0, Vec::new());
    while let Some(head) = said.get(at..at + 9) {
        kinds.push(head[3]);
        at += 9 + usize::from(u16::from_be_bytes([head[1], head[2]]));
    }
    assert!(kinds.contains(&GOAWAY) && !kinds.contains(&HEADERS), "{kinds:?}");
    guarded.await_metric("countersign_connections_total{result=\"aged\"} 1");
    guarded.await_metric("countersign_connections_open 0");
}

#[test]
fn a_half_open_handshake_does_not_hold_up_the_drain() {
    let guarded =
        Guarded::start_with(&limits("handshake = \"1h\"").replacen("[listen]", "[listen]\ndrain = \"1h\"", 1));
    let nothing = silent(&guarded);
    let mut half = silent(&guarded);
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    guarded.await_metric("countersign_connections_open 2");
    guarded.service.signal("TERM");
    // An hour before either the handshake or the drain would be over by itself.
    let (status, _, _dir) = guarded.service.wait();
    assert_eq!(status.code(), Some(0));
    drop((nothing, half));
}

#[test]
fn connections_count_before_their_handshake() {
    let guarded = Guarded::start_with(&limits("connections = 1\nhandshake = \"1h\""));
    let first = silent(&guarded);
    guarded.await_metric("countersign_connections_open 1");
    assert!(until_closed(silent(&guarded)).is_empty());
    guarded.await_metric("countersign_connections_total{result=\"over_limit\"} 1");
    drop(first);
    guarded.await_metric("countersign_connections_open 0");
    assert!(guarded.mint_as("caller", &[]).status.success());
}
