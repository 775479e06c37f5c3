//! A drain always ends, whoever is still there, and finishes what can be finished.

use std::time::{Duration, Instant};

use crate::{
    peer::{BATCH_MINT, DATA, END_STREAM, GOAWAY, HEADERS, MINT, PREFACE, Peer, WATCH, batch_mint},
    service::{CONFIG, PATIENCE, Service},
    victim::Victim as _,
};

/// How long calls may go on in these tests, as the configuration has it.
const DEADLINE: Duration = Duration::from_secs(2);

fn service() -> Service {
    Service::start(
        &CONFIG
            .replace("[http]", "drain = \"2s\"\n[http]")
            .replace("[keyring]", "[limits]\ndeadline = \"30s\"\n[keyring]"),
    )
}

/// The process ends, and well.
fn ends_well(service: Service) {
    let (status, _, _dir) = service.wait();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_open_health_watch_is_told_and_does_not_hold_up_the_drain() {
    let service = service();
    let mut peer = Peer::greeted(&service);
    assert!(peer.call(1, WATCH, Some(&[])));
    // "Serving", a message that ends nothing.
    let first = peer.until(|frame| frame.kind == DATA).unwrap();
    assert_eq!((first.payload.as_slice(), first.flags), (&[0, 0, 0, 0, 2, 8, 1][..], 0));
    service.signal("TERM");
    let last = peer.until(|frame| frame.kind == DATA).unwrap();
    assert_eq!(last.payload, [0, 0, 0, 0, 2, 8, 2], "not serving");
    assert!(peer.until(crate::peer::Frame::ends_stream).is_some());
    peer.rest();
    ends_well(service);
}

#[test]
fn a_watcher_that_reads_nothing_does_not_hold_it_up_either() {
    let service = service();
    // No window at all: not even the first answer can be sent.
    let mut peer = Peer::greeted_with(&service, &[(4, 0)]);
    assert!(peer.call(1, WATCH, Some(&[])));
    peer.until(|frame| frame.kind == HEADERS).unwrap();
    service.signal("TERM");
    ends_well(service);
    drop(peer);
}

#[test]
fn connections_that_never_began_end_at_once() {
    let service = service();
    let silent = Peer::silent(&service);
    let mut half = Peer::silent(&service);
    half.write(&PREFACE[..11]);
    let mut preface = Peer::silent(&service);
    preface.write(PREFACE);
    let idle = Peer::greeted(&service);
    let mut header = Peer::greeted(&service);
    header.send(HEADERS, END_STREAM, 1, &crate::peer::grpc_header(MINT, &[]));
    service.await_metric(crate::victim::OPEN, 5);
    service.signal("TERM");
    ends_well(service);
    drop((silent, half, preface, idle, header));
}

#[test]
fn a_slow_reader_of_a_large_answer_is_dropped_at_the_deadline() {
    let service = service();
    let mut window = Peer::greeted_with(&service, &[(4, 10)]);
    assert!(window.call(1, BATCH_MINT, Some(&batch_mint(1000))));
    window.until(|frame| frame.kind == DATA).unwrap();
    // The same in HTTP/1.1, with answers until the socket takes no more.
    let mut deaf = Peer::silent(&service);
    let items = vec![serde_json::json!({"domain": "jobs.example.com", "client": "1"}); 1000];
    let body = serde_json::json!({ "items": items }).to_string();
    let call = format!(
        "POST {BATCH_MINT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    deaf.write_while_taken(call.as_bytes(), 20 * call.len());
    service.signal("TERM");
    ends_well(service);
    drop((window, deaf));
}

#[test]
fn a_slow_writer_of_a_request_is_dropped_at_the_deadline() {
    let service = service();
    let mut peer = Peer::greeted(&service);
    assert!(peer.call(1, MINT, None));
    peer.send(DATA, 0, 1, &[0, 0, 0, 0, 20, 10]);
    service.await_metric("countersign_requests_receiving", 1);
    service.signal("TERM");
    assert!(peer.until(|frame| frame.kind == GOAWAY).is_some());
    let begin = Instant::now();
    while peer.send(DATA, 0, 1, &[16]) {
        assert!(begin.elapsed() < PATIENCE + DEADLINE);
        std::thread::sleep(Duration::from_millis(20));
    }
    ends_well(service);
}

#[test]
fn what_was_in_flight_is_finished_and_answered() {
    let service = service();
    let mut peer = Peer::greeted(&service);
    assert!(peer.call(1, MINT, None));
    service.await_metric("countersign_requests_receiving", 1);
    service.signal("TERM");
    assert!(peer.until(|frame| frame.kind == GOAWAY).is_some());
    // The rest of the request, after the drain has begun.
    let message = [&[10, 16][..], b"jobs.example.com", &[16, 42]].concat();
    let framed = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()][..], &message].concat();
    assert!(peer.send(DATA, END_STREAM, 1, &framed));
    let answer = peer.until(|frame| frame.kind == DATA && frame.stream == 1).unwrap();
    assert!(answer.payload.len() > 20);
    assert!(peer.until(|frame| frame.stream == 1 && frame.ends_stream()).is_some());
    peer.rest();
    ends_well(service);
}
