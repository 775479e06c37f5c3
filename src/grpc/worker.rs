//! One thread per core, each with a runtime of its own: a connection stays with the thread it was dealt to, so calls
//! share nothing with other cores but what they must. This halves the processor time of tokio's own scheduler.

use std::{
    cell::Cell,
    io,
    os::unix::net::UnixStream as StdUnixStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::{TcpStream, UnixStream},
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use super::{
    connection::{Age, drained, serve_aging},
    limit::Limits,
    peer,
    session::{Gate, Reach, Session, Transport},
    tls::Knock,
};
use crate::{audit::Journal, authority::Authority, metrics::TransportCounters, policy::Caller};

/// Calls of one worker that wait for a disk at once, each on a thread of its own, which goes when it is idle.
const WAITING: usize = 16;

/// How often a worker with connections looks up by itself. A timer that is due before the runtime next wakes costs a
/// system call when it is set; the deadline of a call is later than this, and so costs none.
const TICK: Duration = Duration::from_millis(100);

/// Tasks that a worker runs before it looks for new readiness. One of them can be a turn of a connection, with some 30
/// calls: a caller who comes while others keep the worker busy is seen within a millisecond or two. (Tokio's own is 61.)
const EVENT_INTERVAL: u32 = 2;

/// Tasks that a worker runs before it looks for those that other threads have woken. The journal's writer is one of those:
/// what it has decided is answered after the turn that is under way, however many are ready. (Tokio's own is 31.)
const REMOTE_INTERVAL: u32 = 1;

/// Requests between two rests of a worker from which on it lets others on its core go first, unless they wait for the
/// journal: more than a caller has under way that asks one thing after the other, so that such a one never waits for that.
const MANY: u32 = 8;

thread_local! {
    /// Requests over HTTP/2 that this thread has taken since it last rested. Over HTTP/1.1 they come one at a time.
    static TAKEN: Cell<u32> = const { Cell::new(0) };
}

/// Notes that this thread has taken a request over HTTP/2.
pub(super) fn took_request() {
    TAKEN.set(TAKEN.get().saturating_add(1));
}

/// An accepted connection, on its way to a worker.
struct Accepted {
    stream: Stream,
    transport: Arc<Transport>,
    place: Place,
}

/// A stream that belongs to no runtime.
pub(super) enum Stream {
    /// Whose peer the kernel named.
    Unix(StdUnixStream, Caller, Reach),
    /// In clear, from this machine.
    Loopback(std::net::TcpStream),
    /// Whose peer has yet to prove who it is.
    Tls(Knock),
}

/// One worker thread, as the accept loop sees it.
#[derive(Debug)]
pub(super) struct Worker {
    deal: mpsc::UnboundedSender<Accepted>,
    /// Connections that it has or will have.
    open: Arc<AtomicUsize>,
    /// By when everything must have ended, once that is known.
    end: watch::Sender<Option<Instant>>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(index: usize, authority: &Arc<Authority>) -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        let resting = Arc::clone(authority);
        builder.on_thread_park(move || {
            let many = TAKEN.replace(0) >= MANY;
            // What the calls of one turn have left for the journal goes there as one group, and this worker has its core
            // to spare until that is written.
            let waits = resting.journal().is_some_and(Journal::rest);
            // Where nothing waits, after many calls at once others on this core go first: callers of this machine bring what
            // is then worked on in one turn. After a few, who calls next would wait for a stranger's slice of time.
            if many && !waits {
                thread::yield_now();
            }
        });
        builder.event_interval(EVENT_INTERVAL).global_queue_interval(REMOTE_INTERVAL);
        let runtime = builder.max_blocking_threads(WAITING).enable_all().build()?;
        let authority = Arc::clone(authority);
        let (deal, dealt) = mpsc::unbounded_channel();
        let (end, ending) = watch::channel(None);
        let (done, ended) = oneshot::channel();
        let open = Arc::new(AtomicUsize::new(0));
        let connections = Arc::clone(&open);
        let thread = thread::Builder::new().name(format!("countersign-{index}")).spawn(move || {
            authority.journal().into_iter().for_each(Journal::attend);
            drop(authority);
            run(runtime, dealt, ending, &connections);
            // Nobody waits for a worker that was given up.
            let _ = done.send(());
        })?;
        Ok(Self { deal, open, end, ended, thread })
    }

    /// Connections that it has.
    pub(super) fn load(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Gives it one more.
    pub(super) fn deal(&self, stream: Stream, transport: &Arc<Transport>) {
        let place = Place::take(&self.open, &transport.counters);
        // A worker that has ended drops it, place and all.
        let _ = self.deal.send(Accepted { stream, transport: Arc::clone(transport), place });
    }

    /// Tells it to finish what is in flight, and to drop what is left at `deadline`.
    pub(super) fn drain(&self, deadline: Instant) {
        self.end.send_replace(Some(deadline));
    }

    /// Waits until it has ended; one that is stuck past `patience` is left behind.
    pub(super) async fn join(self, patience: Instant) {
        if timeout_at(patience, self.ended).await.is_ok() {
            let _ = self.thread.join();
        } else {
            tracing::warn!("a worker thread did not end in time and is left behind");
        }
    }
}

fn run(
    runtime: Runtime,
    mut dealt: mpsc::UnboundedReceiver<Accepted>,
    mut ending: watch::Receiver<Option<Instant>>,
    connections: &AtomicUsize,
) {
    runtime.block_on(async {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (drain, draining) = watch::channel(false);
        // Every connection holds a sender; when the last is gone, so are they all.
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        let deadline = loop {
            tokio::select! {
                accepted = dealt.recv() => match accepted {
                    Some(accepted) => {
                        let (draining, alive) = (draining.clone(), alive.clone());
                        tokio::spawn(async move {
                            serve(accepted, draining).await;
                            drop(alive);
                        });
                    }
                    None => break Instant::now(),
                },
                _ = tick.tick(), if connections.load(Ordering::Relaxed) > 0 => {}
                ended = ending.wait_for(Option::is_some) => {
                    break ended.ok().and_then(|deadline| *deadline).unwrap_or_else(Instant::now);
                }
            }
        };
        dealt.close();
        drop(alive);
        drain.send_replace(true);
        let _ = timeout_at(deadline, all_gone.recv()).await;
    });
    // What is still there ends with its runtime.
    drop(runtime);
}

async fn serve(accepted: Accepted, draining: watch::Receiver<bool>) {
    let Accepted { stream, transport, place: _place } = accepted;
    match stream {
        Stream::Unix(stream, caller, reach) => {
            if let Ok(stream) = UnixStream::from_std(stream) {
                let session = Session::new(&transport, caller, Gate::Unix(reach));
                serve_aging(stream, session, draining, None).await;
            }
        }
        Stream::Loopback(stream) => {
            if let Ok(stream) = TcpStream::from_std(stream) {
                // A name of its own for each connection: workers do not share its reference count.
                let session = Session::new(&transport, peer::of_loopback(), Gate::LoopbackTcp);
                serve_aging(stream, session, draining, None).await;
            }
        }
        // Boxed, so that the other kinds have no room set aside for a handshake.
        Stream::Tls(knock) => Box::pin(serve_tls(knock, transport, draining)).await,
    }
}

/// Shakes hands, and serves whoever is let in for as long as its age, and its certificate, allow.
async fn serve_tls(knock: Knock, transport: Arc<Transport>, mut draining: watch::Receiver<bool>) {
    let limits = **transport.limits.load();
    let admitted = tokio::select! {
        admitted = knock.answer(limits.handshake, &transport.counters) => admitted,
        () = drained(&mut draining) => None,
    };
    if let Some(admitted) = admitted {
        let lasts = drawn(&limits).min(admitted.good_for);
        let age = Age { until: Instant::now() + lasts, grace: limits.connection_grace };
        let session = Session::new(&transport, admitted.caller, Gate::Tls(admitted.reach));
        serve_aging(admitted.stream, session, draining, Some(age)).await;
    }
}

/// An age between the two of the limits: not all that came together shall come back together.
fn drawn(limits: &Limits) -> Duration {
    let (least, most) = limits.connection_age;
    let mut bytes = [0; 4];
    // Without randomness all get the shortest age, which is never wrong.
    let _ = getrandom::fill(&mut bytes);
    least + most.saturating_sub(least).mul_f64(f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
}

/// A connection's place in the counts, given back however it ends.
struct Place {
    open: Arc<AtomicUsize>,
    counters: Arc<TransportCounters>,
}

impl Place {
    fn take(open: &Arc<AtomicUsize>, counters: &Arc<TransportCounters>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        counters.connections_open.fetch_add(1, Ordering::Relaxed);
        Self { open: Arc::clone(open), counters: Arc::clone(counters) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.counters.connections_open.fetch_sub(1, Ordering::Relaxed);
    }
}
