//! Who reads next. The connections of one identity on one worker share a turn: between two rounds of the worker they
//! read a few kilobytes in all, however many they are, and then queue up behind everybody else. So an identity that
//! floods us, by many calls or by many connections, fills its own queue, which its peers feel as backpressure; another's
//! call waits for one turn of each of the busy identities, not for all that they have sent.
//!
//! A connection that has the worker to itself reads as it likes, for the price of one lock that nobody contends for.
//! There are no timers here. What waits is woken by whoever's turn ends, so a turn must end wherever a connection can:
//! after every poll ([`Turn::end`]) and when it is dropped.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::write_through::write_through;
use crate::policy::Caller;

/// Bytes of one turn: some 30 unary calls, half a millisecond of work.
const QUANTUM: usize = 4 * 1024;

thread_local! {
    /// The shares of the identities that have connections on this worker.
    static SHARES: RefCell<HashMap<Caller, Weak<Share>>> = RefCell::default();
}

/// How many shares are kept before those without connections are dropped.
const PRUNE_ABOVE: usize = 64;

/// What the connections of one identity on one worker share.
#[derive(Default)]
struct Share(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// Bytes left of this turn.
    left: usize,
    /// The next connection's number.
    next: u64,
    /// Whoever reads now.
    reading: Option<u64>,
    /// Whoever has been woken to read next.
    called: Option<u64>,
    waiting: VecDeque<(u64, Waker)>,
}

impl Share {
    /// The share of `caller` on this thread.
    fn of(caller: &Caller) -> Arc<Self> {
        SHARES.with_borrow_mut(|shares| {
            if let Some(share) = shares.get(caller).and_then(Weak::upgrade) {
                return share;
            }
            if shares.len() >= PRUNE_ABOVE {
                shares.retain(|_, share| share.strong_count() > 0);
            }
            let share = Arc::new(Self(Mutex::new(Queue { left: QUANTUM, ..Queue::default() })));
            shares.insert(caller.clone(), Arc::downgrade(&share));
            share
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Calls whoever waits longest, unless somebody's turn it is already.
    fn call_next(&mut self) {
        if self.reading.is_none()
            && self.called.is_none()
            && let Some((number, waker)) = self.waiting.pop_front()
        {
            self.called = Some(number);
            waker.wake();
        }
    }

    fn leave(&mut self, number: u64) {
        if self.reading == Some(number) {
            self.reading = None;
        }
        if self.called == Some(number) {
            self.called = None;
        }
    }
}

/// What a connection's reading shows to others: how long it last waited for its turn, which a call that has just been read
/// may have behind it already, and whether anything is read at all.
#[derive(Default, Debug)]
pub(super) struct Lag {
    wait: AtomicU64,
    reads: AtomicU64,
}

impl Lag {
    /// The wait; zero for a connection that need not wait.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_nanos(self.wait.load(Ordering::Relaxed))
    }

    fn set(&self, wait: Duration) {
        self.wait.store(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How often something was read: unchanged as long as the peer is silent.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn count(&self) {
        // Only its own connection counts: no two at once.
        self.reads.store(self.reads().wrapping_add(1), Ordering::Relaxed);
    }
}

/// A connection's stream that reads in turns, and what must see every poll of the connection. The waits show in `lag`.
pub(super) fn share<I>(io: I, caller: &Caller, lag: Arc<Lag>) -> (InTurns<I>, Turns) {
    let share = Share::of(caller);
    let number = {
        let mut queue = share.queue();
        queue.next += 1;
        queue.next
    };
    let turns = Turns { share: Arc::clone(&share), number };
    (InTurns { io, share, number, since: None, lag }, turns)
}

/// The end of a connection's turns.
pub(super) struct Turns {
    share: Arc<Share>,
    number: u64,
}

impl Turns {
    /// Drives a connection. Whether a poll of it has read or not, its turn ends with the poll.
    pub(super) async fn take<F: Future + Unpin>(&self, mut connection: F) -> F::Output {
        poll_fn(|context| {
            let polled = Pin::new(&mut connection).poll(context);
            self.end();
            polled
        })
        .await
    }

    fn end(&self) {
        let mut queue = self.share.queue();
        queue.leave(self.number);
        queue.call_next();
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.share.queue().waiting.retain(|(number, _)| *number != self.number);
        self.end();
    }
}

/// A stream that is read in turns.
pub(super) struct InTurns<I> {
    io: I,
    share: Arc<Share>,
    number: u64,
    /// Since when it waits, if it does.
    since: Option<Instant>,
    lag: Arc<Lag>,
}

impl<I> InTurns<I> {
    /// Bytes that may be read now; `Pending`: none until it is called.
    fn begin(&mut self, context: &Context<'_>) -> Poll<usize> {
        let mut queue = self.share.queue();
        if let Some(since) = self.since {
            if queue.called == Some(self.number) {
                queue.called = None;
                queue.reading = Some(self.number);
                queue.left = QUANTUM;
                self.lag.set(since.elapsed());
            } else if let Some((_, waker)) = queue.waiting.iter_mut().find(|(number, _)| *number == self.number) {
                waker.clone_from(context.waker());
                return Poll::Pending;
            }
            // Otherwise it was called when it did not want to read, and has lost its place.
            self.since = None;
        }
        let mine = queue.reading == Some(self.number);
        if queue.left > 0 && (mine || queue.called.is_none() && queue.waiting.is_empty()) {
            queue.reading = Some(self.number);
            return Poll::Ready(queue.left);
        }
        if mine {
            queue.reading = None;
        }
        queue.waiting.push_back((self.number, context.waker().clone()));
        self.since = Some(Instant::now());
        // The next one is called when this poll ends.
        Poll::Pending
    }

    fn count(&self, bytes: usize) {
        let mut queue = self.share.queue();
        queue.left = queue.left.saturating_sub(bytes);
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for InTurns<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Poll::Ready(most) = self.begin(context) else { return Poll::Pending };
        let before = buffer.filled().len();
        let polled = if buffer.remaining() <= most {
            Pin::new(&mut self.io).poll_read(context, buffer)
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            let polled = Pin::new(&mut self.io).poll_read(context, &mut part);
            let read = part.filled().len();
            buffer.advance(read);
            polled
        };
        match polled {
            Poll::Ready(_) => {
                self.count(buffer.filled().len() - before);
                self.lag.count();
            }
            // Nothing is left: a call that comes now has not waited.
            Poll::Pending => self.lag.set(Duration::ZERO),
        }
        polled
    }
}

write_through!(InTurns);

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, task::Wake};

    use super::*;

    /// Gives as many bytes as are asked for, without an end.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let room = buffer.remaining();
            buffer.initialize_unfilled();
            buffer.advance(room);
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Connection {
        io: InTurns<Endless>,
        turns: Turns,
        calls: Arc<Calls>,
        lag: Arc<Lag>,
    }

    impl Connection {
        fn of(uid: u32) -> Self {
            let lag = Arc::new(Lag::default());
            let (io, turns) = share(Endless, &Caller::Unix { uid, gid: 0 }, Arc::clone(&lag));
            Self { io, turns, calls: Arc::default(), lag }
        }

        fn was_called(&self) -> bool {
            self.calls.0.swap(0, Ordering::Relaxed) > 0
        }

        /// One poll of the connection, which reads all it may; how much that was.
        fn poll(&mut self) -> usize {
            let waker = Waker::from(Arc::clone(&self.calls));
            let mut context = Context::from_waker(&waker);
            let mut bytes = [0; 1000];
            let mut all = 0;
            loop {
                let mut buffer = ReadBuf::new(&mut bytes);
                if Pin::new(&mut self.io).poll_read(&mut context, &mut buffer).is_pending() {
                    break;
                }
                all += buffer.filled().len();
            }
            self.turns.end();
            all
        }
    }

    #[test]
    fn one_that_is_alone_reads_a_turn_at_a_time_and_is_called_at_once() {
        let mut alone = Connection::of(1);
        for _ in 0..5 {
            assert_eq!(alone.poll(), QUANTUM);
            assert!(alone.was_called());
        }
    }

    #[test]
    fn the_connections_of_one_identity_read_one_turn_a_round_between_them_one_after_the_other() {
        let mut all: Vec<Connection> = (0..3).map(|_| Connection::of(2)).collect();
        let first: Vec<usize> = all.iter_mut().map(Connection::poll).collect();
        assert_eq!(first, [QUANTUM, 0, 0]);
        for round in 0..9 {
            let called: Vec<bool> = all.iter().map(Connection::was_called).collect();
            let expected: Vec<bool> = (0..3).map(|at| at == round % 3).collect();
            assert_eq!(called, expected, "round {round}");
            // A poll for another reason, when it is not called, reads nothing and costs no place.
            assert_eq!(all[(round + 1) % 3].poll(), 0);
            assert_eq!(all[round % 3].poll(), QUANTUM);
            assert!(all[round % 3].lag.wait() > Duration::ZERO);
        }
    }

    #[test]
    fn another_identity_does_not_wait_for_the_first() {
        let mut greedy: Vec<Connection> = (0..3).map(|_| Connection::of(3)).collect();
        let mut modest = Connection::of(4);
        for connection in &mut greedy {
            connection.poll();
        }
        assert_eq!(modest.poll(), QUANTUM);
    }

    #[test]
    fn one_that_is_called_and_does_not_read_or_goes_away_holds_up_nobody() {
        let (mut first, mut second, third) = (Connection::of(5), Connection::of(5), Connection::of(5));
        assert_eq!((first.poll(), second.poll()), (QUANTUM, 0));
        assert!(first.was_called());
        // A poll that is busy writing.
        first.turns.end();
        assert!(second.was_called());
        drop(second);
        drop(third);
        assert_eq!(first.poll(), 0);
        assert!(first.was_called());
        assert_eq!(first.poll(), QUANTUM);
        drop(first);
        assert_eq!(Connection::of(5).poll(), QUANTUM, "a share without connections begins anew");
    }
}
