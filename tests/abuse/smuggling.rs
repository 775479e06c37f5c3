//! HTTP/1.1 that two readers could read in two ways. A proxy in front may have taken the second request for the body of
//! the first: it must never be answered.

use std::os::unix::net::UnixStream;

use crate::{
    peer,
    service::{CONFIG, Service},
    victim::Victim as _,
};

const HIDDEN: &str = "POST /hidden HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

/// A service that waits for no peer longer than a second.
fn service() -> Service {
    Service::start(&format!("[limits]\nhandshake = \"1s\"\ndeadline = \"1s\"\n{CONFIG}"))
}

fn say(service: &Service, text: &[u8]) -> String {
    peer::say(&mut UnixStream::connect(service.socket()).unwrap(), text)
}

fn answers(said: &str) -> usize {
    said.matches("HTTP/1.1 ").count()
}

#[test]
fn a_length_and_an_encoding_at_once_hide_no_second_request() {
    let service = service();
    let length = HIDDEN.len() + 5;
    for both in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
    ] {
        let said =
            say(&service, format!("POST /x HTTP/1.1\r\nHost: localhost\r\n{both}\r\n\r\n0\r\n\r\n{HIDDEN}").as_bytes());
        assert!(answers(&said) <= 1, "{both}: {said}");
        service.serves_others();
    }
}

#[test]
fn framing_that_is_not_plain_is_refused() {
    let service = service();
    for bad in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Content-Length : 5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \x0bchunked",
        "X-Folded: one\r\n two",
        "X-Folded: one\r\n\ttwo",
        " X-Space: first",
        "X Name: two words",
        "X-Nul: a\0b",
        "X-Return: a\rb",
        "No colon",
    ] {
        let text = format!("POST /x HTTP/1.1\r\nHost: localhost\r\n{bad}\r\n\r\nhello{HIDDEN}");
        let said = say(&service, text.as_bytes());
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{bad:?}: {said}");
        assert!(answers(&said) <= 1, "{bad:?}: {said}");
    }
    for bad in ["POST  /x HTTP/1.1", "POST /x HTTP/1.9", "POST /x", "POST /x\0 HTTP/1.1", "PO\x01ST /x HTTP/1.1"] {
        let said = say(&service, format!("{bad}\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n{HIDDEN}").as_bytes());
        assert!(answers(&said) <= 1 && !said.starts_with("HTTP/1.1 200"), "{bad:?}: {said}");
    }
    service.serves_others();
    service.log_is_sound();
}

#[test]
fn two_hosts_or_none_are_refused() {
    let service = service();
    for hosts in ["Host: localhost\r\nHost: evil.example\r\n", "Host: localhost\r\nHost: localhost\r\n"] {
        let said = say(&service, format!("POST /x HTTP/1.1\r\n{hosts}Content-Length: 0\r\n\r\n").as_bytes());
        assert!(said.starts_with("HTTP/1.1 400"), "{hosts:?}: {said}");
    }
    service.serves_others();
}

#[test]
fn chunks_with_odd_sizes_are_refused() {
    let service = service();
    let head = "POST /countersign.v1.LiveAuthService/MintHash HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "fffffffffffffffff\r\nx",
        "ffffffffffffffff\r\nx",
        "-1\r\nx",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}xx0\r\n\r\n",
        "\r\n",
    ] {
        let said = say(&service, format!("{head}{chunks}{HIDDEN}").as_bytes());
        assert!(!said.contains("HTTP/1.1 200") && answers(&said) <= 1, "{chunks:?}: {said}");
    }
    // An extension without end.
    let endless = [format!("{head}2;").as_bytes(), &b"x".repeat(1024 * 1024)].concat();
    assert!(!say(&service, &endless).contains("HTTP/1.1 200"));
    service.serves_others();
}

#[test]
fn the_same_holds_on_loopback_tcp() {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };

    let mut child = Command::new(crate::service::BINARY)
        .args(["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut address = None;
    for line in lines {
        if let Some(rest) = line.trim_start().strip_prefix("grpc ") {
            let first = rest.split_whitespace().next().unwrap();
            address = Some(first.trim_start_matches("http://").to_owned());
        }
        if line.starts_with("ready") {
            break;
        }
    }
    let address = address.unwrap();
    let say = |text: &[u8]| peer::say(&mut std::net::TcpStream::connect(&address).unwrap(), text);
    let smuggled = format!(
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
    );
    assert!(answers(&say(smuggled.as_bytes())) <= 1);
    for host in
        ["evil.example", "localhost\r\nHost: evil.example", "localhost\r\nHost: localhost", "localhost\r\n folded"]
    {
        let said = say(format!("POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        assert!(said.starts_with("HTTP/1.1 40"), "{host:?}: {said}");
        assert!(!said.starts_with("HTTP/1.1 404"), "{host:?}: {said}");
    }
    assert!(say(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.1 404"));
    child.kill().unwrap();
    child.wait().unwrap();
}
