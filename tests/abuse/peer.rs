//! A peer that writes HTTP/2 frames by hand (RFC 9113), right ones and wrong ones.

use std::{
    io::{ErrorKind, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, poll};

use crate::service::{PATIENCE, Service};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Error codes.
pub const REFUSED_STREAM: u32 = 7;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub const MINT: &str = "/countersign.v1.LiveAuthService/MintHash";
pub const BATCH_MINT: &str = "/countersign.v1.LiveAuthService/BatchMintHash";
pub const WATCH: &str = "/grpc.health.v1.Health/Watch";

pub struct Peer {
    stream: UnixStream,
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a `RST_STREAM` or `GOAWAY` frame.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

impl Peer {
    /// A connection on which nothing has been said.
    pub fn silent(service: &Service) -> Self {
        let stream = UnixStream::connect(service.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// A connection after the greeting, with these settings.
    pub fn greeted_with(service: &Service, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(service);
        let settings: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        peer.write(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat());
        peer
    }

    pub fn greeted(service: &Service) -> Self {
        Self::greeted_with(service, &[])
    }

    /// Writes, which may fail: the service may have sent the peer away.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Writes until the service takes no more for now, or has closed; how many bytes it took.
    pub fn write_while_taken(&mut self, bytes: &[u8], most: usize) -> usize {
        self.stream.set_nonblocking(true).unwrap();
        let (mut taken, mut idle) = (0, 0);
        // A part that was written must be completed, or what follows is another attack.
        while taken < most && idle < 200 {
            match self.stream.write(&bytes[taken % bytes.len()..]) {
                Ok(count) => (taken, idle) = (taken + count, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    idle += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(_) => break,
            }
        }
        self.stream.set_nonblocking(false).unwrap();
        taken
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.write(&frame(kind, flags, stream, payload))
    }

    /// A gRPC request: the header, and if there is one, the message as all of the body.
    pub fn call(&mut self, stream: u32, path: &str, message: Option<&[u8]>) -> bool {
        let header = frame(HEADERS, END_HEADERS, stream, &grpc_header(path, &[]));
        let Some(message) = message else { return self.write(&header) };
        let framed = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat();
        let mut all = header;
        let mut chunks = framed.chunks(16 * 1024).peekable();
        while let Some(chunk) = chunks.next() {
            all.extend(frame(DATA, if chunks.peek().is_none() { END_STREAM } else { 0 }, stream, chunk));
        }
        self.write(&all)
    }

    /// The next frame; `None` once the service has closed.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.fill(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.fill(&mut payload)?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the service neither answers nor closes")
            }
            Err(_) => None,
        }
    }

    /// Reads until a frame is as wanted; `None` if the service closes before.
    pub fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// Whether something can be read, or the service has closed.
    pub fn has_answer(&self) -> bool {
        readable(&self.stream, Duration::ZERO)
    }

    /// Whether the header of an answer on this stream, or a close, has come. Takes what came before.
    pub fn has_answer_on(&mut self, stream: u32) -> bool {
        while self.has_answer() {
            match self.next() {
                Some(frame) if frame.stream != stream || frame.kind != HEADERS => {}
                _ => return true,
            }
        }
        false
    }

    /// Reads to the close of the connection, and gives the code of the last GOAWAY, if there was one.
    pub fn goodbye(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }

    /// Reads to the close, whatever it is that comes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(part) = piece(&mut self.stream) {
            all.extend(part);
        }
        all
    }
}

/// All that the service says to this: an answer or a close at least, and what follows the first within a while. The
/// peer does not close its side meanwhile, which would cut answers off.
pub fn say<S: Read + Write + AsFd>(stream: &mut S, text: &[u8]) -> String {
    let _ = stream.write_all(text);
    let mut said = Vec::new();
    let mut patience = PATIENCE;
    while readable(stream, patience) {
        let Some(part) = piece(stream) else { break };
        said.extend(part);
        patience = Duration::from_millis(200);
    }
    assert!(patience < PATIENCE || readable(stream, Duration::ZERO), "neither an answer nor a close");
    String::from_utf8_lossy(&said).into_owned()
}

/// What can be read; `None` at the close.
fn piece(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut part = [0; 4096];
    match stream.read(&mut part) {
        Ok(0) => None,
        Ok(count) => Some(part[..count].to_vec()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the service neither answers nor closes")
        }
        Err(_) => None,
    }
}

fn readable(stream: &impl AsFd, patience: Duration) -> bool {
    let mut wanted = [PollFd::new(stream, PollFlags::IN)];
    poll(&mut wanted, Some(&patience.try_into().unwrap())).unwrap() > 0
}

/// Whether a connection as another user is served. Needs root, and a socket that this user may write to.
pub fn as_user(uid: u32, service: &Service) -> bool {
    // An identity of its own for this thread alone: the C library's call would change all of them.
    let socket = service.socket();
    std::thread::spawn(move || {
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid)).unwrap();
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.starts_with("HTTP/1.1 404")
    })
    .join()
    .unwrap()
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of a gRPC request, with these fields at its end.
pub fn grpc_header(path: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    let fields: [(&[u8], &[u8]); 6] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.as_bytes()),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ];
    for (name, value) in fields.iter().chain(more) {
        literal(&mut block, 0, name, value);
    }
    block
}

/// A literal field with a new name (RFC 7541, section 6.2); `kind` 0: not indexed, 0x40: put into the table.
pub fn literal(block: &mut Vec<u8>, kind: u8, name: &[u8], value: &[u8]) {
    block.push(kind);
    for text in [name, value] {
        integer(block, text.len());
        block.extend_from_slice(text);
    }
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        block.push(u8::try_from(value).unwrap());
        return;
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// `BatchMintHashRequest` with so many items for jobs.example.com.
pub fn batch_mint(items: usize) -> Vec<u8> {
    let item = [&[10, 16][..], b"jobs.example.com", &[16, 42]].concat();
    let framed = [&[10, u8::try_from(item.len()).unwrap()][..], &item].concat();
    framed.repeat(items)
}
