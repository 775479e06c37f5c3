//! Every request makes one event, and no request makes two, whatever becomes of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::harness::{CHECK, MINT, OPEN, Running, framed, limits};

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// What came on top of `before`.
fn since(before: &BTreeMap<(String, String), u64>, running: &Running) -> Vec<(String, String, u64)> {
    let after = running.events().into_iter();
    let more = after.map(|(of, count)| {
        let before = before.get(&of).copied().unwrap_or_default();
        (of.0, of.1, count - before)
    });
    more.filter(|(_, _, more)| *more > 0).collect()
}

macro_rules! assert_one_event {
    ($running:expr, $op:literal, $outcome:literal, $request:expr) => {{
        let before = $running.events();
        let _ = $request.await;
        assert_eq!(since(&before, &$running), [($op.to_owned(), $outcome.to_owned(), 1)]);
    }};
}

#[tokio::test]
async fn health_checks_and_reflection_are_events() {
    let running = Running::start(limits());
    running.server().set_serving(true);
    assert_one_event!(running, "health_check", "OK", running.grpc(CHECK, &[], framed(b"")));
    assert_one_event!(running, "health_check", "NOT_FOUND", running.grpc(CHECK, &[], framed(b"\x0a\x01x")));
    assert_one_event!(running, "health_check", "INVALID_ARGUMENT", running.grpc(CHECK, &[], framed(b"\xff")));
    // A list of services: field 7, an empty string.
    assert_one_event!(running, "reflection", "OK", running.grpc(REFLECTION, &[], framed(b"\x3a\x00")));
    let before = running.events();
    let watch = tokio::spawn({
        let channel = running.channel().await;
        async move {
            let mut client = tonic_health::pb::health_client::HealthClient::new(channel);
            client.watch(tonic_health::pb::HealthCheckRequest::default()).await.unwrap().into_inner()
        }
    });
    let watching = watch.await.unwrap();
    assert_eq!(since(&before, &running), [("health_watch".to_owned(), "OK".to_owned(), 1)]);
    drop(watching);
    assert_one_event!(running, "health_watch", "INVALID_ARGUMENT", running.grpc(WATCH, &[], framed(b"\xff")));
    running.stop().await;
}

#[tokio::test]
async fn what_is_refused_before_it_is_a_call_is_an_event_too() {
    let running = Running::start(limits());
    let json = "content-type: application/json";
    let post = format!("POST {MINT} HTTP/1.1\r\n");
    assert_one_event!(
        running,
        "mint_hash",
        "PERMISSION_DENIED",
        running.http1(&format!("{post}{json}\r\norigin: https://evil.example"), b"{}")
    );
    assert_one_event!(
        running,
        "mint_hash",
        "PERMISSION_DENIED",
        running.http1_tcp(&format!("{post}{json}\r\nhost: evil.example"), b"{}")
    );
    assert_one_event!(
        running,
        "mint_hash",
        "UNIMPLEMENTED",
        running.http1(&format!("GET {MINT} HTTP/1.1\r\n{json}"), b"")
    );
    assert_one_event!(running, "mint_hash", "UNIMPLEMENTED", running.connect(MINT, "text/plain", b"{}"));
    assert_one_event!(running, "mint_hash", "UNIMPLEMENTED", running.connect(MINT, "application/grpc", b"{}"));
    assert_one_event!(running, "open", "UNIMPLEMENTED", running.grpc(OPEN, &[("grpc-encoding", "gzip")], framed(b"")));
    assert_one_event!(
        running,
        "mint_hash",
        "INVALID_ARGUMENT",
        running.http1(&format!("{post}{json}\r\nconnect-protocol-version: 2"), b"{}")
    );
    assert_one_event!(running, "unknown", "UNIMPLEMENTED", running.grpc("/nobody.v1.Service/Method", &[], framed(b"")));
    assert_one_event!(running, "open", "INVALID_ARGUMENT", running.grpc(OPEN, &[], Bytes::new()));
    // As far as a use case: it refuses for want of a rule.
    assert_one_event!(
        running,
        "mint_hash",
        "PERMISSION_DENIED",
        running.connect(MINT, "application/json", br#"{"domain":"a.example","client":"1"}"#)
    );
    running.stop().await;
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_answer_makes_an_event() {
    let running = Running::start(limits());
    let call = running.begin_call(MINT).await;
    assert!(running.events().is_empty());
    call.abort();
    running.until(|counters| counters.receiving.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
    while running.events().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.events(), BTreeMap::from([(("mint_hash".to_owned(), "CANCELLED".to_owned()), 1)]));
    running.stop().await;
}
