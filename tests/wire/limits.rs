//! Sizes, rates, load, connections.

use std::{sync::atomic::Ordering, time::Duration};

use countersign::{grpc::Limits, policy::Rate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{BATCH_OPEN, CHECK, MINT, OPEN, Running, framed, limits};

#[tokio::test]
async fn a_message_over_the_limit_of_its_rpc_is_too_large() {
    let running = Running::start(limits());
    let large = vec![0xff; 64 * 1024 + 1];
    for (path, length) in [(OPEN, 64 * 1024 + 1), (OPEN, u32::MAX), (BATCH_OPEN, 1024 * 1024 + 1)] {
        let prefix = [&[0][..], &length.to_be_bytes()].concat();
        let reply = running.grpc(path, &[], prefix.into()).await;
        assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(8), Some("MESSAGE_TOO_LARGE")));
    }
    assert_eq!(running.grpc(OPEN, &[], framed(&large[1..])).await.reason().as_deref(), Some("UNDECODABLE"));
    assert_eq!(running.grpc(BATCH_OPEN, &[], framed(&large)).await.reason().as_deref(), Some("UNDECODABLE"));
    for kind in ["application/json", "application/proto"] {
        let reply = running.connect(OPEN, kind, &large).await;
        assert_eq!((reply.status, reply.json_code().as_str()), (429, "resource_exhausted"), "{kind}");
        assert_eq!(running.connect(BATCH_OPEN, kind, &large).await.status, 400, "{kind}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_caller_over_its_rate_is_told_when_to_retry_whatever_connection_it_takes() {
    let rate = Some(Rate { per_second: 1, burst: 2 });
    let running = Running::start(Limits { rate, ..limits() });
    for _ in 0..2 {
        assert_eq!(running.grpc(CHECK, &[], framed(b"")).await.grpc_status(), Some(0));
    }
    let reply = running.grpc(MINT, &[], framed(b"")).await;
    assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(8), Some("RATE_LIMITED")));
    assert!(reply.retry_after().is_some_and(|after| after > Duration::ZERO && after <= Duration::from_secs(1)));
    assert_eq!(running.connect(MINT, "application/json", b"{}").await.status, 429);
    running.server().reload_limits(limits());
    assert_eq!(running.grpc(CHECK, &[], framed(b"")).await.grpc_status(), Some(0));
    running.stop().await;
}

#[tokio::test]
async fn load_over_the_bound_is_shed_with_a_hint_to_retry() {
    let running = Running::start(Limits { in_flight: 0, ..limits() });
    for path in [MINT, OPEN] {
        let reply = running.grpc(path, &[], framed(b"")).await;
        assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(14), Some("OVERLOADED")));
        assert!(reply.retry_after().is_some());
    }
    assert_eq!(running.connect(OPEN, "application/json", b"{}").await.status, 503);
    running.stop().await;
}

#[tokio::test]
async fn headers_over_the_limit_are_refused_in_both_protocols() {
    let running = Running::start(limits());
    let large = "x".repeat(17 * 1024);
    assert_eq!(running.grpc(CHECK, &[("x-large", &large)], framed(b"")).await.status, 431);
    let reply = running.http1(&format!("POST {MINT} HTTP/1.1\r\nx-large: {large}"), b"").await;
    assert_eq!(reply.status, 431);
    running.stop().await;
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once_and_the_others_go_on() {
    let running = Running::start(Limits { connections: 1, ..limits() });
    let mut first = running.unix().await;
    first.write_all(b"POST").await.unwrap();
    running.until(|counters| counters.connections_open.load(Ordering::Relaxed) == 1).await;
    let mut second = running.unix().await;
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0);
    first.write_all(b" / HTTP/1.1\r\nconnection: close\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert_eq!(running.counters.connections_over_limit.load(Ordering::Relaxed), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_whole_is_closed() {
    let running = Running::start(Limits { handshake: Duration::from_millis(50), ..limits() });
    for start in [&b""[..], b"PRI * HTTP", b"POST / HTTP/1.1\r\nhost:"] {
        let mut stream = running.unix().await;
        stream.write_all(start).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    }
    running.until(|counters| counters.connections_open.load(Ordering::Relaxed) == 0).await;
    assert_eq!(running.counters.connections_timed_out.load(Ordering::Relaxed), 3);
    running.stop().await;
}
