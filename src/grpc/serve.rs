//! The running server: accept loops on the caller's runtime, workers beside it, and a drain that always ends.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream, unix},
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    limit::Limits,
    listen::{Bound, Listener, Place},
    peer,
    session::{Reach, Transport},
    tls::{Door, Knock},
    worker::{Stream, Worker},
};
use crate::{authority::Authority, metrics::TransportCounters};

/// Wait after an accept that failed for want of descriptors or memory; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How much longer than the deadline a drain waits for threads to end.
const GRACE: Duration = Duration::from_millis(500);

/// A running transport. Dropping it takes the Unix socket's file away and leaves the threads to end by themselves;
/// [`Server::drain`] ends them.
#[derive(Debug)]
pub struct Server {
    transport: Arc<Transport>,
    accepting: Vec<JoinHandle<()>>,
    places: Vec<Place>,
    workers: Arc<Vec<Worker>>,
}

/// Starts serving. Must be called inside a tokio runtime, which the accept loops run on. Health says "not serving" until
/// [`Server::set_serving`].
///
/// # Errors
/// The system gives no more threads or descriptors.
pub fn start(
    listeners: Vec<Listener>,
    authority: Arc<Authority>,
    limits: Limits,
    reflection: bool,
    workers: usize,
    counters: Arc<TransportCounters>,
) -> io::Result<Server> {
    let workers = (0..workers.max(1)).map(|index| Worker::start(index, &authority)).collect::<io::Result<_>>()?;
    let workers: Arc<Vec<Worker>> = Arc::new(workers);
    let transport = Transport::new(authority, limits, reflection, counters);
    let mut server = Server { transport, accepting: Vec::new(), places: Vec::new(), workers: Arc::clone(&workers) };
    for Listener(bound) in listeners {
        let dealer = Dealer { transport: Arc::clone(&server.transport), workers: Arc::clone(&workers) };
        match bound {
            Bound::Unix { place, listener, reach } => {
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from_std(listener)?;
                let ready = move |accepted, _: &Limits| unix(accepted, reach);
                server.accepting.push(tokio::spawn(dealer.accept(async move || listener.accept().await, ready)));
                server.places.push(place);
            }
            Bound::Loopback(listener) => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                server.accepting.push(tokio::spawn(dealer.accept(async move || listener.accept().await, loopback)));
            }
            Bound::Tls { door, listener } => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                let knock = move |accepted, limits: &Limits| knock(accepted, &door, limits.handshakes);
                server.accepting.push(tokio::spawn(dealer.accept(async move || listener.accept().await, knock)));
            }
        }
    }
    Ok(server)
}

impl Server {
    /// What `grpc.health.v1` answers from now on, for every service.
    pub fn set_serving(&self, serving: bool) {
        self.transport.set_serving(serving);
    }

    /// Puts other limits in force: for calls at once, for what belongs to a connection from the next one on.
    pub fn reload_limits(&self, limits: Limits) {
        self.transport.limits.store(Arc::new(limits));
    }

    /// Stops: no new connections, health "not serving" and its watches ended, GOAWAY on every connection, calls
    /// in flight finished, and at `deadline` from now the rest dropped. Always ends, half a second after the
    /// deadline at the latest.
    pub async fn drain(self, deadline: Duration) {
        let deadline = Instant::now() + deadline;
        self.transport.health.drain();
        // The files go while their sockets are open: afterwards, another process's socket could have the inode of ours.
        drop(self.places);
        for accepting in self.accepting {
            accepting.abort();
            // The listener closes with its task.
            let _ = accepting.await;
        }
        for worker in self.workers.iter() {
            worker.drain(deadline);
        }
        // The accept loops held the only other references.
        if let Ok(workers) = Arc::try_unwrap(self.workers) {
            for worker in workers {
                worker.join(deadline + GRACE).await;
            }
        }
    }
}

/// Deals accepted connections out.
struct Dealer {
    transport: Arc<Transport>,
    workers: Arc<Vec<Worker>>,
}

impl Dealer {
    /// Accepts for ever, and no more: what a stream needs before it is served is its worker's, so that no peer can hold
    /// this up. `ready` makes it one that belongs to no runtime; where that fails, its peer is gone already.
    async fn accept<A>(self, next: impl AsyncFn() -> io::Result<A>, ready: impl Fn(A, &Limits) -> io::Result<Stream>) {
        let mut pause = PAUSE;
        loop {
            match next().await {
                Ok(accepted) => {
                    pause = PAUSE;
                    let limits = self.transport.limits.load();
                    if self.admits(&limits)
                        && let Ok(stream) = ready(accepted, &limits)
                    {
                        self.deal(stream);
                    }
                }
                Err(error) => back_off(&error, &mut pause).await,
            }
        }
    }

    /// Whether one more connection is allowed; counts it.
    fn admits(&self, limits: &Limits) -> bool {
        let counters = &self.transport.counters;
        counters.connections_accepted.fetch_add(1, Ordering::Relaxed);
        let most = i64::try_from(limits.connections).unwrap_or(i64::MAX);
        if counters.connections_open.load(Ordering::Relaxed) >= most {
            counters.connections_over_limit.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        true
    }

    fn deal(&self, stream: Stream) {
        if let Some(worker) = self.workers.iter().min_by_key(|worker| worker.load()) {
            worker.deal(stream, &self.transport);
        }
    }
}

fn unix((stream, _): (UnixStream, unix::SocketAddr), reach: Reach) -> io::Result<Stream> {
    let caller = peer::of_unix(&stream)?;
    Ok(Stream::Unix(stream.into_std()?, caller, reach))
}

fn loopback((stream, _): (TcpStream, SocketAddr), _: &Limits) -> io::Result<Stream> {
    Ok(Stream::Loopback(undelayed(stream)?))
}

fn knock((stream, peer): (TcpStream, SocketAddr), door: &Arc<Door>, most: usize) -> io::Result<Stream> {
    Ok(Stream::Tls(Knock::new(undelayed(stream)?, peer, door, most)))
}

/// Without this, small answers would wait for the peer's acknowledgements.
fn undelayed(stream: TcpStream) -> io::Result<std::net::TcpStream> {
    let _ = stream.set_nodelay(true);
    stream.into_std()
}

/// Waits out a failed accept: a connection that is gone already costs nothing, but with no descriptors left the next
/// accept fails the same way at once.
async fn back_off(error: &io::Error, pause: &mut Duration) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection; trying again in {} ms", pause.as_millis());
    sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}
