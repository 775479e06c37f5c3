//! The HTTP port is open to anybody, and must not cost the calls anything.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    time::Instant,
};

use crate::service::{CONFIG, PATIENCE, Service, folder, run, stderr};

/// The bound on the port's connections.
const MOST: usize = 64;

fn address(service: &Service) -> String {
    let log = service.log();
    let ready = log.lines().find(|line| line.contains("\"ready\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(ready).unwrap();
    line["http"].as_str().unwrap().to_owned()
}

fn livez(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn idle_connections_to_the_port_are_bounded_and_do_not_touch_calls() {
    let service = Service::start(CONFIG);
    let address = address(&service);
    let idle: Vec<TcpStream> = (0..MOST).map(|_| TcpStream::connect(&address).unwrap()).collect();
    for _ in 0..3 {
        let mut over = TcpStream::connect(&address).unwrap();
        over.set_read_timeout(Some(PATIENCE / 3)).unwrap();
        assert_eq!(over.read(&mut [0]).unwrap(), 0);
    }
    // The others are still open: they have nothing to read, not even an end.
    for stream in &idle {
        stream.set_nonblocking(true).unwrap();
        assert_eq!((&mut &*stream).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
    let auth = service.seal(b"payload", "user");
    service.open(&auth, "user");

    drop(idle);
    let begin = Instant::now();
    while !livez(&address).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        assert!(begin.elapsed() < PATIENCE);
    }
}

#[test]
fn a_taken_port_ends_the_start_without_leaving_the_socket_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = folder(&CONFIG.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let config = dir.path().join("config.toml");
    let output = run(&["serve", "--allow-root", "--config", config.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the port is taken"), "{}", stderr(&output));
    let sockets = dir.path().join("sock");
    assert_eq!(fs::read_dir(sockets).unwrap().count(), 0);
}
