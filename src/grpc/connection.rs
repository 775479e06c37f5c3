//! One connection, from its first byte: HTTP/2 or HTTP/1.1 by prior knowledge, every limit set, and an end when the service
//! drains.

use std::{
    error::Error as _,
    future::{pending, poll_fn},
    io, mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    front, http2,
    limit::Limits,
    session::Session,
    turns::{self, Lag},
    write_through::write_through,
};

/// What an HTTP/2 connection starts with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    /// From then on its peer is sent away (GOAWAY).
    pub(super) until: Instant,
    /// How long calls that are then in flight may take.
    pub(super) grace: Duration,
}

/// Serves a connection until it ends, or `drain` becomes true and what is in flight is finished. Runs on any tokio
/// runtime. Never fails: what goes wrong on a connection is counted.
pub async fn serve_connection<I>(io: I, session: Arc<Session>, drain: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve_aging(io, session, drain, None).await;
}

/// The same, until the connection has its age.
pub(super) async fn serve_aging<I>(mut io: I, session: Arc<Session>, mut drain: watch::Receiver<bool>, age: Option<Age>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = **session.transport.limits.load();
    let counters = Arc::clone(&session.transport.counters);
    let account = Arc::clone(&session.account);
    let Some(_entered) = account.presence.enter(limits.connections_per_caller) else {
        counters.connections_over_caller_limit.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let begun = tokio::select! {
        begun = timeout(limits.handshake, begin(&mut io)) => begun,
        () = drained(&mut drain) => return,
    };
    let start = match begun {
        Ok(Ok(Some(start))) => start,
        // Gone before it said anything.
        Ok(Ok(None) | Err(_)) => return,
        Err(_elapsed) => {
            counters.connections_timed_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    let is_http2 = start.is_http2();
    let streams = limits.streams(usize::try_from(counters.connections_open.load(Ordering::Relaxed)).unwrap_or(0));
    let (io, turns) = turns::share(io, &session.caller, Arc::clone(&session.lag));
    let io = Resumed { start, io };

    // The two protocols' connections have the same methods, but no trait in common.
    macro_rules! run {
        ($connection:expr, $silent:expr) => {{
            let mut connection = std::pin::pin!($connection);
            tokio::select! {
                ended = turns.take(connection.as_mut()) => ended.map_err(Ended::from),
                () = drained(&mut drain) => {
                    connection.as_mut().graceful_shutdown();
                    turns.take(connection).await.map_err(Ended::from)
                }
                grace = aged(age) => {
                    counters.connections_aged.fetch_add(1, Ordering::Relaxed);
                    connection.as_mut().graceful_shutdown();
                    // Past the grace it is dropped with all that is on it.
                    timeout(grace, turns.take(connection)).await.unwrap_or(Ok(())).map_err(Ended::from)
                }
                () = $silent => Err(Ended::TimedOut),
            }
        }};
    }
    let ended = if is_http2 {
        let lag = Arc::clone(&session.lag);
        // Boxed, so that a connection that is moved about before it speaks has no room set aside for this.
        match turns.take(Box::pin(http2::begin(io, session, &limits, streams))).await {
            Ok(mut connection) => {
                let ping_pong = connection.ping_pong();
                run!(Box::new(connection), silent(ping_pong, &lag, &limits))
            }
            Err(error) => Err(error.into()),
        }
    } else {
        let header_bytes = limits.header_list_bytes as usize;
        let service =
            service_fn(move |request: Request<Incoming>| Box::pin(front::answer(Arc::clone(&session), request)));
        run!(
            conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.handshake)
                .max_header_size(header_bytes)
                .max_buf_size((2 * header_bytes).max(16 * 1024))
                .serve_connection(TokioIo::new(io), service),
            pending()
        )
    };
    match ended {
        Ok(()) | Err(Ended::HungUp) => {}
        Err(Ended::TimedOut) => _ = counters.connections_timed_out.fetch_add(1, Ordering::Relaxed),
        Err(Ended::Flooded) => _ = counters.connections_flooded.fetch_add(1, Ordering::Relaxed),
        Err(Ended::Failed) => _ = counters.connections_failed.fetch_add(1, Ordering::Relaxed),
    }
}

/// How a connection ended that did not end well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// The peer was silent for too long.
    TimedOut,
    /// It was sent away for what it did too much of: streams reset or made us reset, or frames without content.
    Flooded,
    /// It just went away, which is its right.
    HungUp,
    /// Anything else.
    Failed,
}

impl From<h2::Error> for Ended {
    fn from(error: h2::Error) -> Self {
        if error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) {
            Self::Flooded
        } else if error.is_io() {
            Self::HungUp
        } else {
            Self::Failed
        }
    }
}

impl From<hyper::Error> for Ended {
    fn from(error: hyper::Error) -> Self {
        let is_io = error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>);
        if error.is_timeout() {
            Self::TimedOut
        } else if is_io || error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            Self::HungUp
        } else {
            Self::Failed
        }
    }
}

/// Resolves when an HTTP/2 peer has been silent for too long, and does not answer a ping either.
async fn silent(ping_pong: Option<h2::PingPong>, lag: &Lag, limits: &Limits) {
    let Some(mut ping_pong) = ping_pong else { return pending().await };
    let mut heard = lag.reads();
    loop {
        sleep(limits.keepalive_interval).await;
        if mem::replace(&mut heard, lag.reads()) != heard {
            continue;
        }
        // An error means that the connection is at its end, which it sees itself.
        if ping_pong.send_ping(h2::Ping::opaque()).is_err() {
            return pending().await;
        }
        let pong = timeout(limits.keepalive_timeout, poll_fn(|context| ping_pong.poll_pong(context))).await;
        if pong.is_err() && lag.reads() == heard {
            return;
        }
    }
}

/// Waits for the age; gives the grace after it.
async fn aged(age: Option<Age>) -> Duration {
    match age {
        Some(Age { until, grace }) => {
            sleep_until(until).await;
            grace
        }
        None => pending().await,
    }
}

pub(super) async fn drained(drain: &mut watch::Receiver<bool>) {
    // An error means that whoever could have started a drain is gone, which is an end as well.
    let _ = drain.wait_for(|draining| *draining).await;
}

/// The first bytes of a connection: the HTTP/2 preface, or as much as is needed to see that they are not.
struct Start {
    bytes: [u8; PREFACE.len()],
    length: usize,
    /// How many of them have been read again.
    taken: usize,
}

impl Start {
    fn is_http2(&self) -> bool {
        self.bytes == *PREFACE && self.length == PREFACE.len()
    }
}

/// Reads until it is clear which protocol is spoken. `None`: the peer closed before.
async fn begin<I: AsyncRead + Unpin>(io: &mut I) -> io::Result<Option<Start>> {
    let mut start = Start { bytes: [0; PREFACE.len()], length: 0, taken: 0 };
    loop {
        let read = io.read(&mut start.bytes[start.length..]).await?;
        if read == 0 {
            return Ok(None);
        }
        start.length += read;
        if start.is_http2() || !PREFACE.starts_with(&start.bytes[..start.length]) {
            return Ok(Some(start));
        }
    }
}

/// A connection that gives its first bytes once more.
struct Resumed<I> {
    start: Start,
    io: I,
}

impl<I: AsyncRead + Unpin> AsyncRead for Resumed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Start { bytes, length, taken } = &mut self.start;
        if *taken < *length {
            let count = buffer.remaining().min(*length - *taken);
            buffer.put_slice(&bytes[*taken..*taken + count]);
            *taken += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

write_through!(Resumed);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn begin_with(parts: &[&[u8]]) -> (Option<bool>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(4);
            let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
            let writing = tokio::spawn(async move {
                for part in parts {
                    near.write_all(&part).await.unwrap();
                }
            });
            let mut far = far;
            let Some(start) = begin(&mut far).await.unwrap() else { return (None, Vec::new()) };
            let is_http2 = start.is_http2();
            let mut all = Vec::new();
            Resumed { start, io: far }.read_to_end(&mut all).await.unwrap();
            writing.await.unwrap();
            (Some(is_http2), all)
        })
    }

    #[test]
    fn the_preface_is_recognised_however_it_is_cut_and_nothing_is_lost() {
        let whole = [&PREFACE[..], b"rest"].concat();
        assert_eq!(begin_with(&[&whole]), (Some(true), whole.clone()));
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(begin_with(&single), (Some(true), whole.clone()));
    }

    #[test]
    fn anything_else_is_left_to_http_1_with_all_its_bytes() {
        for text in ["POST / HTTP/1.1\r\n\r\n", "PRI * HTTP/1.1\r\n\r\n", "PUT", "\x16\x03\x01"] {
            assert_eq!(begin_with(&[text.as_bytes()]), (Some(false), text.as_bytes().to_vec()), "{text:?}");
        }
    }

    #[test]
    fn a_peer_that_leaves_first_is_nobody() {
        assert_eq!(begin_with(&[]).0, None);
        assert_eq!(begin_with(&[b"PRI * "]).0, None);
    }
}
