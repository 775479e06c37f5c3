//! A drain always ends: with nothing to do at once, with a stuck peer at the deadline.

use std::{
    io::Write as _,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use crate::service::{CONFIG, PATIENCE, Service};

#[test]
fn sigterm_ends_an_idle_service_well_and_takes_the_socket_away() {
    for signal in ["TERM", "INT"] {
        let service = Service::start(CONFIG);
        let socket = service.socket();
        service.signal(signal);
        let (status, _, _dir) = service.wait();
        assert_eq!(status.code(), Some(0));
        assert!(!socket.exists());
    }
}

#[test]
fn half_a_request_and_a_silent_peer_do_not_hold_up_the_drain() {
    let service = Service::start(&CONFIG.replace("[http]", "drain = \"1s\"\n[http]"));
    let silent = UnixStream::connect(service.socket()).unwrap();
    let mut half = UnixStream::connect(service.socket()).unwrap();
    half.write_all(b"POST /countersign.v1.HubTokenService/Open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{").unwrap();
    let mut http2 = UnixStream::connect(service.socket()).unwrap();
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    service.signal("TERM");
    let (status, _, _dir) = service.wait();
    assert_eq!(status.code(), Some(0));
    drop((silent, half, http2));
}

#[test]
fn readiness_goes_before_the_service_does() {
    let service = Service::start(&CONFIG.replace("[http]", "drain = \"5s\"\n[http]"));
    assert_eq!(service.http("/readyz"), (200, "ok\n".to_owned()));
    assert_eq!(service.http("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(service.http("/nothing").0, 404);
    // A call under way keeps the drain open until its deadline, so that readiness can be looked at.
    let mut half = UnixStream::connect(service.socket()).unwrap();
    half.write_all(b"POST /countersign.v1.HubTokenService/Open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    service.signal("TERM");
    service.await_log("draining", 1);
    let begin = Instant::now();
    while service.http("/readyz").0 != 503 {
        assert!(begin.elapsed() < PATIENCE);
    }
    drop(half);
    assert_eq!(service.wait().0.code(), Some(0));
}

/// Whoever takes the log lines may stall: calls go on, and so does the end.
#[test]
fn a_log_that_nobody_reads_holds_up_neither_calls_nor_the_drain() {
    let dir = crate::service::folder(&CONFIG.replace("[http]", "drain = \"1s\"\n[http]"));
    let (_unread, log) = std::io::pipe().unwrap();
    let mut child = std::process::Command::new(crate::service::BINARY)
        .args(["serve", "--allow-root", "--config"])
        .arg(dir.path().join("config.toml"))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let socket = dir.path().join("sock/countersign.sock");
    let begin = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(begin.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    // Each refusal is a line of some 250 bytes; the pipe holds 64 KiB.
    let mut stream = UnixStream::connect(&socket).unwrap();
    let call = "POST /countersign.v1.LiveAuthService/MintHash HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let mut answer = [0; 4096];
    for _ in 0..3000 {
        stream.write_all(call.as_bytes()).unwrap();
        assert_ne!(std::io::Read::read(&mut stream, &mut answer).unwrap(), 0);
    }
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < PATIENCE, "does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(0));
}
