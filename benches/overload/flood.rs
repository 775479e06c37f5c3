//! A caller that asks for more than it can have, at a fraction of what an answer costs the service, so that one core of
//! it floods another: HTTP/2 frames by hand over Unix sockets (RFC 9113, RFC 7541). Counts answers by grpc-status.
//!
//! Calls arrive at a fixed rate, whether those before them are answered or not. A call waits in the caller's own queue
//! for a free stream, as in any gRPC client, and is given up there after a second; an answer counts if it comes within a
//! second of the sending, which is all that the service can know of.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::hpack;

/// How long a call may wait for a stream, and then for its answer.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long a flood is.
pub const LENGTH: Duration = Duration::from_secs(4);

/// What comes in at the beginning is not counted.
const WARM_UP: Duration = Duration::from_millis(500);

/// What came of a flood.
#[derive(Default)]
pub struct Outcome {
    /// Answers in time, by grpc-status.
    pub statuses: BTreeMap<u32, u64>,
    /// Given up in the caller's own queue, or answered later than the deadline after it was sent.
    pub late: u64,
    /// OK answers a second.
    pub goodput: f64,
    /// Milliseconds from the sending of a call to its OK.
    pub p50: f64,
    pub p99: f64,
}

impl Outcome {
    /// One line, for another process to read.
    pub fn line(&self) -> String {
        let statuses: Vec<String> = self.statuses.iter().map(|(status, count)| format!("{status}:{count}")).collect();
        format!("{} {} {} {} {}", self.goodput, self.p50, self.p99, self.late, statuses.join(","))
    }

    pub fn parse(line: &str) -> Self {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| parts[at].parse().unwrap();
        let pair = |pair: &str| {
            let (status, count) = pair.split_once(':').unwrap();
            (status.parse().unwrap(), count.parse().unwrap())
        };
        let statuses = parts.get(4).map(|all| all.split(',').map(pair).collect()).unwrap_or_default();
        Self { goodput: number(0), p50: number(1), p99: number(2), late: parts[3].parse().unwrap(), statuses }
    }
}

/// Floods the socket with mints: `rate` a second, or as many as there are streams for.
pub fn run(socket: &Path, connections: usize, streams: usize, rate: Option<f64>) -> Outcome {
    let mut peers: Vec<Peer> = (0..connections).map(|_| Peer::connect(socket, streams)).collect();
    let began = Instant::now();
    let counted_from = began + WARM_UP;
    let end = counted_from + LENGTH;
    let mut waiting: VecDeque<Instant> = VecDeque::new();
    let (mut arrived, mut outcome, mut times) = (0.0, Outcome::default(), Vec::new());
    let mut turn = 0;
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        if let Some(rate) = rate {
            let due = now.duration_since(began).as_secs_f64() * rate;
            while arrived < due {
                arrived += 1.0;
                waiting.push_back(now);
            }
            while waiting.front().is_some_and(|at| now.duration_since(*at) > DEADLINE) {
                waiting.pop_front();
                outcome.late += u64::from(now >= counted_from);
            }
        }
        'send: loop {
            let mut sent = false;
            for _ in 0..peers.len() {
                turn = (turn + 1) % connections;
                if !peers[turn].has_room() {
                    continue;
                }
                let arrival = if rate.is_some() { waiting.pop_front() } else { Some(now) };
                if arrival.is_none() {
                    break 'send;
                }
                peers[turn].call(now);
                sent = true;
            }
            if !sent {
                break;
            }
        }
        let mut wanted: Vec<PollFd<'_>> = peers
            .iter()
            .map(|peer| {
                let out = if peer.out.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
                PollFd::new(&peer.stream, PollFlags::IN | out)
            })
            .collect();
        let _ = poll(&mut wanted, Some(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 }));
        drop(wanted);
        for peer in &mut peers {
            peer.exchange(|status, sent| {
                let now = Instant::now();
                if now < counted_from {
                } else if now.duration_since(sent) > DEADLINE {
                    outcome.late += 1;
                } else {
                    *outcome.statuses.entry(status).or_default() += 1;
                    if status == 0 {
                        times.push(now.duration_since(sent).as_secs_f64() * 1e3);
                    }
                }
            });
        }
    }
    outcome.goodput = times.len() as f64 / LENGTH.as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    (outcome.p50, outcome.p99) = (at(0.5), at(0.99));
    outcome
}

struct Peer {
    stream: UnixStream,
    out: Vec<u8>,
    read: Vec<u8>,
    next: u32,
    most: usize,
    /// When it was sent.
    open: HashMap<u32, Instant>,
}

impl Peer {
    fn connect(socket: &Path, most: usize) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // No compression table for answers, so that each says its status by itself; and windows that never close.
        let settings = [&[0, 1, 0, 0, 0, 0][..], &[0, 4, 0x7f, 0xff, 0xff, 0xff]].concat();
        frame(&mut out, 4, 0, 0, &settings);
        frame(&mut out, 8, 0, 0, &0x7fff_0000_u32.to_be_bytes());
        Self { stream, out, read: Vec::new(), next: 1, most, open: HashMap::new() }
    }

    fn has_room(&self) -> bool {
        self.open.len() < self.most && self.out.len() < 64 * 1024
    }

    fn call(&mut self, now: Instant) {
        let header = if self.next == 1 { hpack::first_request() } else { hpack::NEXT_REQUEST.to_vec() };
        frame(&mut self.out, 1, 4, self.next, &header);
        let message = [&[10, 16][..], b"jobs.example.com", &[16, 42]].concat();
        let framed = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
        frame(&mut self.out, 0, 1, self.next, &framed);
        self.open.insert(self.next, now);
        self.next += 2;
    }

    /// Writes and reads what can be, and tells of each answer.
    fn exchange(&mut self, mut answered: impl FnMut(u32, Instant)) {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the service has closed a connection: {error}"),
            }
        }
        let mut part = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => panic!("the service has closed a connection"),
                Ok(count) => self.read.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the service has closed a connection: {error}"),
            }
        }
        let read = std::mem::take(&mut self.read);
        let mut rest = &read[..];
        while let [a, b, c, kind, flags, i, j, k, l, after @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let Some((payload, after)) = after.split_at_checked(length) else { break };
            let stream = u32::from_be_bytes([*i, *j, *k, *l]);
            match kind {
                1 if flags & 1 != 0 => {
                    let sent = self.open.remove(&stream).unwrap();
                    answered(hpack::grpc_status(payload).expect("the last header has a grpc-status"), sent);
                }
                // Refused or reset: as unavailable as can be.
                3 => {
                    if let Some(sent) = self.open.remove(&stream) {
                        answered(14, sent);
                    }
                }
                4 if flags & 1 == 0 => {
                    for setting in payload.chunks_exact(6) {
                        if setting[..2] == [0, 3] {
                            let most = u32::from_be_bytes(setting[2..].try_into().unwrap()) as usize;
                            self.most = self.most.min(most);
                        }
                    }
                    frame(&mut self.out, 4, 1, 0, &[]);
                }
                6 if flags & 1 == 0 => frame(&mut self.out, 6, 1, 0, payload),
                7 => panic!("the service sends the flood away: {}", String::from_utf8_lossy(&payload[8..])),
                _ => {}
            }
            rest = after;
        }
        self.read = rest.to_vec();
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}
