//! A client that keeps its connection and names its requests, so that answers and records can be compared.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

pub struct Client {
    write: UnixStream,
    read: BufReader<UnixStream>,
}

impl Client {
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let write = UnixStream::connect(socket)?;
        Ok(Self { read: BufReader::new(write.try_clone()?), write })
    }

    /// Mints under this request id; the HTTP status, once the whole answer is there.
    pub fn mint(&mut self, id: &str) -> io::Result<u16> {
        let body = "{\"domain\":\"jobs.example.com\",\"client\":7}";
        let request = format!(
            "POST /countersign.v1.LiveAuthService/MintHash HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Request-Id: {id}\r\nContent-Length: {}\r\n\r\n{body}",
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

/// Whether the file has so many whole lines.
pub fn wrote(path: &Path, lines: usize) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.split(|b| *b == b'\n').count() > lines)
}
