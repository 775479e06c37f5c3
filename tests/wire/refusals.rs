//! Requests that never reach a use case, in every form.

use std::time::Duration;

use bytes::Bytes;
use countersign::grpc::Limits;

use crate::harness::{CHECK, MINT, OPEN, Running, framed, limits};

const WATCH: &str = "/grpc.health.v1.Health/Watch";

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let running = Running::start(limits());
    for path in ["/countersign.v1.LiveAuthService/Mint", "/nobody.v1.Service/Method", "/"] {
        let reply = running.grpc(path, &[], framed(b"")).await;
        assert_eq!(reply.grpc_status(), Some(12), "{path}");
        assert_eq!(reply.reason().as_deref(), Some("UNKNOWN_METHOD"));
        let reply = running.connect(path, "application/json", b"{}").await;
        assert_eq!((reply.status, reply.json_code().as_str()), (404, "unimplemented"), "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_message_that_does_not_decode_is_the_callers_fault() {
    let running = Running::start(limits());
    let not_utf8 = [10, 2, 0xff, 0xfe];
    for body in [framed(b"\xff\xff\xff"), framed(&not_utf8), Bytes::from_static(&[0, 0, 0, 0, 9, 1]), Bytes::new()] {
        let reply = running.grpc(OPEN, &[], body).await;
        assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(3), Some("UNDECODABLE")));
    }
    for body in [&b"\xff\xff\xff"[..], &not_utf8] {
        let reply = running.connect(OPEN, "application/proto", body).await;
        assert_eq!((reply.status, reply.json_code().as_str()), (400, "invalid_argument"));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_health_check_is_refused_with_a_reason_like_any_call() {
    let running = Running::start(limits());
    for path in [CHECK, WATCH] {
        for body in [&b"\xff\xff\xff"[..], &[10, 2, 0xff, 0xfe]] {
            let reply = running.grpc(path, &[], framed(body)).await;
            assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(3), Some("UNDECODABLE")), "{path}");
        }
    }
    let reply = running.grpc(CHECK, &[], framed(b"\x0a\x01x")).await;
    assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(5), Some("UNKNOWN_SERVICE")));
    assert_eq!(running.grpc(CHECK, &[], framed(b"")).await.grpc_status(), Some(0));
    running.stop().await;
}

#[tokio::test]
async fn compression_is_not_implemented() {
    let running = Running::start(limits());
    let reply = running.grpc(OPEN, &[("grpc-encoding", "gzip")], framed(b"")).await;
    assert_eq!(reply.grpc_status(), Some(12));
    assert_eq!(reply.headers["grpc-accept-encoding"], "identity");
    let reply = running.grpc(OPEN, &[], Bytes::from_static(&[1, 0, 0, 0, 1, 1])).await;
    assert_eq!(reply.grpc_status(), Some(12));
    let head = format!("POST {OPEN} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-encoding: gzip");
    let reply = running.http1(&head, b"{}").await;
    assert_eq!((reply.status, reply.json_code().as_str()), (501, "unimplemented"));
    running.stop().await;
}

#[tokio::test]
async fn only_post_of_a_known_content_type_is_taken() {
    let running = Running::start(limits());
    for kind in ["text/plain", "application/json; charset=latin1", "application/grpc-web", "application/grpc", ""] {
        let reply = running.connect(MINT, kind, b"{}").await;
        assert_eq!(reply.status, 415, "{kind}");
        assert_eq!(reply.json_code(), "unimplemented", "{kind}");
        assert!(reply.headers["accept-post"].to_str().unwrap().contains("application/json"), "{kind}");
    }
    for method in ["GET", "PUT", "OPTIONS", "DELETE"] {
        let reply = running.http1(&format!("{method} {MINT} HTTP/1.1\r\ncontent-type: application/json"), b"").await;
        assert_eq!((reply.status, reply.headers["allow"].to_str().unwrap()), (405, "POST"), "{method}");
    }
    let head = format!("POST {MINT} HTTP/1.1\r\ncontent-type: application/json\r\nconnect-protocol-version: 2");
    let reply = running.http1(&head, b"{}").await;
    assert_eq!((reply.status, reply.json_code().as_str()), (400, "invalid_argument"));
    running.stop().await;
}

#[tokio::test]
async fn the_connect_form_is_served_over_http_2_as_well() {
    let running = Running::start(limits());
    let reply = running.http2(OPEN, &[("content-type", "application/json")], Bytes::from_static(b"{\"x\":1}")).await;
    assert_eq!((reply.status, reply.json_code().as_str()), (400, "invalid_argument"));
    let reply = running.http2(OPEN, &[("content-type", "text/html")], Bytes::new()).await;
    assert_eq!(reply.status, 415);
    running.stop().await;
}

#[tokio::test]
async fn a_request_from_a_browser_is_refused_in_every_form() {
    let running = Running::start(limits());
    let head = format!("POST {MINT} HTTP/1.1\r\ncontent-type: application/json\r\norigin: http://localhost");
    let reply = running.http1(&head, b"{}").await;
    assert_eq!((reply.status, reply.json_code().as_str()), (403, "permission_denied"));
    let reply = running.grpc(MINT, &[("origin", "null")], framed(b"")).await;
    assert_eq!((reply.status, reply.grpc_status()), (403, Some(7)));
    running.stop().await;
}

#[tokio::test]
async fn a_rebound_host_is_refused_on_loopback_and_of_no_matter_on_a_unix_socket() {
    let running = Running::start(limits());
    let head = |host: &str| format!("POST /x/y HTTP/1.1\r\ncontent-type: application/json\r\nhost: {host}");
    for host in ["evil.example", "evil.example:50051", "localhost.evil.example"] {
        let reply = running.http1_tcp(&head(host), b"{}").await;
        assert_eq!((reply.status, reply.json_code().as_str()), (403, "permission_denied"), "{host}");
        assert_eq!(running.http1(&head(host), b"{}").await.status, 404, "{host}");
    }
    for host in ["localhost", "127.0.0.1:50051", "[::1]"] {
        assert_eq!(running.http1_tcp(&head(host), b"{}").await.status, 404, "{host}");
    }
    running.stop().await;
}

#[tokio::test]
async fn json_is_read_strictly_and_never_quoted() {
    let running = Running::start(limits());
    for text in [
        r#"{"app":"a","auth":"PLANTED","PLANTED":1}"#,
        r#"{"auth":"PLANTED","auth":"PLANTED"}"#,
        r#"{"hubLoginToken":"PLANTED","hub_login_token":"PLANTED"}"#,
        r#"{"auth":["PLANTED"]}"#,
        r#"{"auth":"PLANTED"#,
        r#"{"auth":"PLANTED"} PLANTED"#,
        "PLANTED",
        "null",
        "",
    ] {
        let reply = running.connect(OPEN, "application/json; charset=utf-8", text.as_bytes()).await;
        assert_eq!((reply.status, reply.json_code().as_str()), (400, "invalid_argument"), "{text}");
        assert!(!reply.text().contains("PLANTED"), "{text}: {}", reply.text());
        assert!(reply.text().contains("google.rpc.ErrorInfo"), "{text}: {}", reply.text());
    }
    running.stop().await;
}

#[tokio::test]
async fn every_answer_carries_the_request_id() {
    let running = Running::start(limits());
    for (sent, kept) in [("abc-1.X_", true), ("with space", false)] {
        for path in [CHECK, OPEN, "/x/y"] {
            let reply = running.grpc(path, &[("x-request-id", sent)], framed(b"\xff")).await;
            let id = reply.headers["x-request-id"].to_str().unwrap();
            assert_eq!(id == sent, kept, "{path}: {id}");
            assert!(kept || id.len() == 22);
        }
    }
    assert_eq!(running.grpc(CHECK, &[], framed(b"")).await.headers["x-request-id"].len(), 22);
    assert_eq!(running.http1("GET / HTTP/1.1", b"").await.headers["x-request-id"].len(), 22);
    running.stop().await;
}

#[tokio::test]
async fn timeouts_are_read_strictly_and_a_slow_body_is_cut() {
    let running = Running::start(Limits { deadline: Duration::from_millis(300), ..limits() });
    for timeout in ["1", "S", "-1S", "123456789S", "1 S"] {
        let reply = running.grpc(MINT, &[("grpc-timeout", timeout)], framed(b"")).await;
        assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(3), Some("INVALID_FIELD")), "{timeout}");
    }
    let head = format!("POST {MINT} HTTP/1.1\r\ncontent-type: application/json\r\nconnect-timeout-ms: 1s");
    assert_eq!(running.http1(&head, b"{}").await.status, 400);

    let reply = running.grpc(MINT, &[("grpc-timeout", "0n")], framed(b"")).await;
    assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(4), Some("DEADLINE_EXCEEDED")));
    for timeout in ["50m", "1H"] {
        let reply = running.grpc_unfinished(MINT, &[("grpc-timeout", timeout)]).await;
        assert_eq!((reply.grpc_status(), reply.reason().as_deref()), (Some(4), Some("DEADLINE_EXCEEDED")), "{timeout}");
    }
    let head = format!("POST {MINT} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\nhost: x");
    let reply = running.http1_raw(&format!("{head}\r\n\r\n{{")).await;
    assert_eq!((reply.status, reply.json_code().as_str()), (504, "deadline_exceeded"));
    running.stop().await;
}
