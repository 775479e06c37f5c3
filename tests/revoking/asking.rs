//! What the tests here ask of a service.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::{Value, json};

use crate::service::Service;

/// A client that keeps its connection.
pub struct Client {
    write: UnixStream,
    read: BufReader<UnixStream>,
}

impl Client {
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let write = UnixStream::connect(socket)?;
        Ok(Self { read: BufReader::new(write.try_clone()?), write })
    }

    /// The HTTP status, once the whole answer is there.
    pub fn ask(&mut self, method: &str, body: &Value) -> io::Result<u16> {
        let body = body.to_string();
        let request = format!(
            "POST /countersign.v1.HubTokenService/{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.write.write_all(request.as_bytes())?;
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            if self.read.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            }
            if let Some(rest) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = rest.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        self.read.read_exact(&mut answer)?;
        Ok(status)
    }
}

/// A sealed token as it was answered.
pub fn sealed(service: &Service, username: &str) -> Value {
    service.ok("Seal", &json!({"app": "acme", "username": username, "payload": "AAAA"}))
}

pub fn auth(sealed: &Value) -> &str {
    sealed["auth"].as_str().unwrap()
}

/// The verdict on a token, without the API's prefix.
pub fn verdict(service: &Service, auth: &str, username: &str) -> String {
    let judged = service.ok("Verify", &json!({"app": "acme", "auth": auth, "username": username}));
    judged["verdict"].as_str().unwrap().trim_start_matches("VERDICT_").to_owned()
}

/// Revokes, and gives the entry.
pub fn revoked(service: &Service, what: &str, value: impl Into<Value>) -> Value {
    service.ok("Revoke", &json!({"app": "acme", what: value.into()}))["revocation"].clone()
}

/// All entries, the newest first.
pub fn listed(service: &Service) -> Vec<Value> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = service.ok("ListRevocations", &json!({"app": "acme", "pageSize": 1000, "pageToken": token}));
        all.extend(page["revocations"].as_array().into_iter().flatten().cloned());
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => return all,
        }
    }
}

/// Unix seconds, which JSON has as text.
pub fn seconds(value: &Value) -> i64 {
    value.as_str().unwrap().parse().unwrap()
}
