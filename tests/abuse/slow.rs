//! Peers that send or take too little, for too long.

use std::time::Duration;

use crate::{
    peer::{BATCH_MINT, DATA, END_HEADERS, END_STREAM, HEADERS, MINT, PREFACE, Peer, SETTINGS, frame, grpc_header},
    service::{CONFIG, Service},
    victim::{TIMED_OUT, Victim as _},
};

/// Writes a part every few milliseconds until the service has ended the connection or answered; gives what came.
fn dribble(mut peer: Peer, parts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    for part in parts {
        if !peer.write(&part) || peer.has_answer() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    peer.rest()
}

#[test]
fn who_does_not_get_to_the_point_is_cut_off_and_counted() {
    let service = Service::start(&format!("[limits]\nhandshake = \"1s\"\ndeadline = \"1s\"\n{CONFIG}"));
    let mut silent = Peer::silent(&service);
    let mut half = Peer::silent(&service);
    half.write(&PREFACE[..10]);
    let mut one = Peer::silent(&service);
    one.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-");
    service.serves_others();
    for peer in [&mut silent, &mut half, &mut one] {
        peer.rest();
    }
    // A byte now and then does not buy more time.
    dribble(
        Peer::silent(&service),
        PREFACE[..23].iter().map(|byte| vec![*byte]).chain(std::iter::repeat_n(Vec::new(), 200)),
    );
    let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Long: ".iter().copied().chain(std::iter::repeat(b'x'));
    dribble(Peer::silent(&service), head.map(|byte| vec![byte]).take(2000));
    service.await_metric(TIMED_OUT, 5);
    service.serves_others();
}

#[test]
fn a_request_whose_content_dribbles_ends_at_its_deadline() {
    let service = Service::start(&format!("[limits]\ndeadline = \"1s\"\n{CONFIG}"));
    let mut peer = Peer::greeted(&service);
    peer.call(1, MINT, None);
    peer.send(DATA, 0, 1, &[0, 0, 0, 1, 0]);
    while !peer.has_answer_on(1) {
        peer.send(DATA, 0, 1, &[10]);
        std::thread::sleep(Duration::from_millis(20));
    }
    service.serves_others();
    let head = b"POST /countersign.v1.LiveAuthService/MintHash HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n";
    let body = std::iter::once(head.to_vec()).chain(std::iter::repeat_n(b" ".to_vec(), 2000));
    let answer = dribble(Peer::silent(&service), body);
    assert!(answer.starts_with(b"HTTP/1.1 504"), "{}", String::from_utf8_lossy(&answer));
    let seen = "countersign_requests_total{key=\"\",op=\"mint_hash\",outcome=\"DEADLINE_EXCEEDED\"}";
    service.await_metric(seen, 2);
}

/// More of them than there are places for calls.
#[test]
fn calls_whose_content_never_comes_take_no_places() {
    let service = Service::start(&format!("[limits]\nin_flight = 8\ndeadline = \"60s\"\n{CONFIG}"));
    let mut peer = Peer::greeted(&service);
    for call in 0..12 {
        assert!(peer.call(2 * call + 1, MINT, None));
    }
    service.await_metric("countersign_requests_receiving", 12);
    service.serves_others();
    drop(peer);
    service.await_metric("countersign_requests_receiving", 0);
}

/// A header block that is never finished holds its own connection and nothing else.
#[test]
fn a_header_that_is_never_finished_is_its_own_affair() {
    let service = Service::start(CONFIG);
    let before = service.resident();
    let mut peers: Vec<Peer> = (0..50).map(|_| Peer::greeted(&service)).collect();
    for peer in &mut peers {
        peer.send(HEADERS, END_STREAM, 1, &grpc_header(MINT, &[]));
        service.serves_others();
    }
    service.has_not_grown_since(before);
}

/// Each answer is some 100 KB, and the peer opens no window for any of them.
#[test]
fn answers_that_nobody_takes_are_bounded() {
    let service = Service::start(&format!("[limits]\ndeadline = \"60s\"\n{CONFIG}"));
    let before = service.resident();
    // Initial window size 0.
    let mut peer = Peer::greeted_with(&service, &[(4, 0)]);
    // A thousand empty items, each of which is answered by why it is refused.
    let message = [10, 0].repeat(1000);
    let calls = 250;
    for call in 0..calls {
        assert!(peer.call(2 * call + 1, BATCH_MINT, Some(&message)));
    }
    let (mut refused, mut held) = (0, 0);
    while refused + held < calls {
        let answer = peer.until(|frame| frame.kind == HEADERS).unwrap();
        *(if answer.flags & END_STREAM != 0 { &mut refused } else { &mut held }) += 1;
    }
    assert!(held > 4 && refused > 4, "{held} held, {refused} refused");
    let shed = "countersign_requests_total{key=\"\",op=\"batch_mint_hash\",outcome=\"UNAVAILABLE\"}";
    assert_eq!(service.metric(shed), u64::from(refused));
    // What is small is served nevertheless.
    service.serves_others();
    service.has_not_grown_since(before);
    // Once the peer is gone, so is what was kept for it.
    drop(peer);
    let mut next = Peer::greeted_with(&service, &[(4, 0)]);
    let served = (0..).map(|call| 2 * call + 1).take(2000).any(|stream| {
        next.call(stream, BATCH_MINT, Some(&message));
        let answer = next.until(|frame| frame.kind == HEADERS && frame.stream == stream).unwrap();
        answer.flags & END_STREAM == 0
    });
    assert!(served);
}

/// Many answers asked for, none read: the service stops reading before it holds much.
#[test]
fn a_peer_that_reads_nothing_holds_up_itself() {
    let service = Service::start(&format!("[limits]\nrate = \"off\"\n{CONFIG}"));
    let before = service.resident();
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut peer = Peer::silent(&service);
        let mut calls = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        for stream in (1..400).step_by(2) {
            calls.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &grpc_header(MINT, &[])));
        }
        peer.write_while_taken(&calls, calls.len());
        peers.push(peer);
        service.serves_others();
    }
    service.has_not_grown_since(before);
}
