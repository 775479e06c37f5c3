//! The plain HTTP port: `/metrics`, `/livez`, `/readyz`. Read-only and for anybody, so it shows no name of a
//! caller and nothing secret. Since anybody may connect, the port takes few connections at once and none for long:
//! idle ones must not use up the descriptors that calls need.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

use crate::{
    audit::Journal,
    authority::Authority,
    clock::UnixSeconds,
    ledger::Ledger,
    metrics::{self, Metrics, TransportCounters},
};

/// Connections at once; more are closed as soon as they are accepted.
const MOST_CONNECTIONS: usize = 64;

/// How long a connection lasts in all, idle or not.
const LIFE: Duration = Duration::from_secs(30);

/// Whether the service takes calls, and what is not as it should be although it does.
#[derive(Default)]
pub struct Readiness {
    ready: AtomicBool,
    reload_problem: ArcSwapOption<String>,
    tls_problem: ArcSwapOption<String>,
    kek_problem: ArcSwapOption<String>,
    protections: ArcSwapOption<String>,
}

impl Readiness {
    /// Says whether calls are taken.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Says why what lies on disk does not serve; `None` once it does.
    pub fn set_reload_problem(&self, problem: Option<String>) {
        self.reload_problem.store(problem.map(Arc::new));
    }

    /// Says why certificates that lie on disk do not serve; `None` once they do.
    pub fn set_tls_problem(&self, problem: Option<String>) {
        self.tls_problem.store(problem.map(Arc::new));
    }

    /// Says what is wrong with what opens the keyring; `None` where nothing is.
    pub fn set_kek_problem(&self, problem: Option<String>) {
        self.kek_problem.store(problem.map(Arc::new));
    }

    /// Says what protects the process and what does not: whole lines, without anything secret.
    pub fn set_protections(&self, lines: String) {
        self.protections.store(Some(Arc::new(lines)));
    }
}

/// What the port shows.
#[derive(Clone)]
pub struct Shown {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Readiness.
    pub readiness: Arc<Readiness>,
    /// For the state of the keys.
    pub authority: Arc<Authority>,
}

/// Takes the port.
///
/// # Errors
/// One line that says what to do.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, String> {
    let listener = std::net::TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "http {address}: the port is taken; stop what holds it, or choose another (port 0 takes any free one)"
            )
        }
        _ => format!("http {address}: {error}"),
    })?;
    listener.set_nonblocking(true).map_err(|error| format!("http {address}: {error}"))?;
    Ok(listener)
}

/// Serves until the runtime ends.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(listener: std::net::TcpListener, shown: Shown) -> io::Result<()> {
    let counters = Arc::clone(&shown.metrics.transport);
    let listener = Bounded::new(TcpListener::from_std(listener)?, MOST_CONNECTIONS, LIFE, counters);
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(show_readiness))
        .with_state(shown);
    axum::serve(listener, router).await
}

/// A listener with a bound on its connections.
struct Bounded {
    listener: TcpListener,
    free: Arc<Semaphore>,
    life: Duration,
    counters: Arc<TransportCounters>,
}

impl Bounded {
    fn new(listener: TcpListener, most: usize, life: Duration, counters: Arc<TransportCounters>) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(most)), life, counters }
    }
}

impl Listener for Bounded {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        loop {
            // Axum's own, which waits out an accept that failed for want of descriptors.
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return (Held { stream, end: Box::pin(sleep(self.life)), _permit: permit }, peer);
            }
            self.counters.http_connections_over_limit.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts as one while it lasts, and fails at its end. The stream goes first: what is counted as
/// closed has given its descriptor back.
struct Held {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    /// The stream, until its end. Whoever waits for the stream is woken by the end too.
    fn stream(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream(context)?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream(context)?.poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

async fn show_metrics(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], shown.metrics.render()).into_response()
}

async fn show_readiness(State(shown): State<Shown>, RawQuery(query): RawQuery) -> Response {
    let ready = shown.readiness.ready.load(Ordering::Acquire);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if ready { "ok" } else { "not ready" };
    if query.as_deref() != Some("verbose") {
        return (status, format!("{word}\n")).into_response();
    }
    let reload = match shown.readiness.reload_problem.load().as_deref() {
        None => "reload: ok".to_owned(),
        Some(problem) => format!("reload: refused, the state before it serves: {problem}"),
    };
    let tls = match shown.readiness.tls_problem.load().as_deref() {
        None => "tls: ok".to_owned(),
        Some(problem) => format!("tls: {problem}"),
    };
    let kek = match shown.readiness.kek_problem.load().as_deref() {
        None => "kek: ok".to_owned(),
        Some(problem) => format!("kek: {problem}"),
    };
    let now = shown.authority.clock().now();
    let keys = shown.authority.state().keys();
    let idle: Vec<&str> = keys.iter().filter(|key| key.active(now).is_none()).map(|key| key.name.as_str()).collect();
    let keys = if idle.is_empty() {
        format!("keys: {} with an active version", keys.len())
    } else {
        format!("keys: no active version, minting is refused: {}", idle.join(", "))
    };
    let protections = shown.readiness.protections.load();
    let protections = protections.as_deref().map_or("", String::as_str);
    let journal = journal_line(shown.authority.journal());
    let ledger = ledger_line(shown.authority.ledger(), now);
    (status, format!("{word}\n{reload}\n{tls}\n{kek}\n{keys}\n{journal}\n{ledger}\n{protections}")).into_response()
}

fn journal_line(journal: Option<&Journal>) -> String {
    let Some(counters) = journal.map(Journal::counters) else {
        return "journal: off, nothing that is granted leaves a record".to_owned();
    };
    let sealed = counters.sealed().map_or_else(|| "nothing yet".to_owned(), |(head, at)| format!("{head} at {at}"));
    match counters.fault() {
        None => format!("journal: ok, sealed to {sealed}"),
        Some(fault) => format!(
            "journal: {}, calls that need a record are refused: {}; sealed to {sealed}",
            fault.name(),
            fault.advice()
        ),
    }
}

fn ledger_line(ledger: Option<&Ledger>, now: UnixSeconds) -> String {
    let Some(counters) = ledger.map(Ledger::counters) else {
        return "ledger: none, nothing can be revoked".to_owned();
    };
    let revoked: u64 = counters.entries.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    match counters.fault() {
        None => format!("ledger: ok, {revoked} revocations in force"),
        Some(fault) => format!(
            "ledger: {}, nothing can be revoked; {revoked} revocations stay in force, read {} s ago: {}",
            fault.name(),
            now.since(UnixSeconds(counters.polled_at.load(Ordering::Relaxed))).max(0),
            fault.advice()
        ),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Bytes: more than the buffers between two sockets hold.
    const ANSWER: usize = 64 * 1024 * 1024;

    async fn served(most: usize, life: Duration) -> SocketAddr {
        served_and_counted(most, life, Arc::default()).await
    }

    async fn served_and_counted(most: usize, life: Duration, counters: Arc<TransportCounters>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router: Router = Router::new().route("/", get(|| async { vec![b'x'; ANSWER] }));
        tokio::spawn(async move { axum::serve(Bounded::new(listener, most, life, counters), router).await });
        address
    }

    #[tokio::test]
    async fn a_connection_ends_although_its_peer_asks_nothing_whole() {
        let address = served(2, Duration::from_millis(50)).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        for idle in [&mut silent, &mut half] {
            assert!(matches!(idle.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        }
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_and_counted() {
        let counters = Arc::new(TransportCounters::default());
        let address = served_and_counted(1, LIFE, Arc::clone(&counters)).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET /no HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert_ne!(first.read(&mut [0; 1]).await.unwrap(), 0);
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(matches!(second.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        assert_eq!(counters.http_connections_over_limit.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_connection_ends_although_its_peer_does_not_read_the_answer() {
        let address = served(1, Duration::from_millis(50)).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        // The only place is free again once another is answered.
        loop {
            let mut next = TcpStream::connect(address).await.unwrap();
            let _ = next.write_all(b"GET /no HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
            let mut answer = Vec::new();
            let _ = next.read_to_end(&mut answer).await;
            if answer.starts_with(b"HTTP/1.1 404") {
                break;
            }
        }
        let mut answer = Vec::new();
        let _ = slow.read_to_end(&mut answer).await;
        assert!(answer.len() < ANSWER);
    }
}
