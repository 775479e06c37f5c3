//! The way from a thread that answers calls to the writer, and back: a queue of records, and those who wait for them.
//! Each thread has a lane of its own, so that calls on different cores share nothing but with the writer.
//!
//! A record is known by its number in its lane. The writer decides all records up to a number at once and wakes one of
//! those who wait; that one wakes the others, on its own thread, where waking costs no system call. Whoever is woken
//! is either polled or dropped, and both pass it on, so none is forgotten.

use std::{
    future::Future,
    ops::Range,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

/// Bytes of records that may wait in one lane.
const QUEUE_BYTES: usize = 4 << 20;

/// Queued records after which the writer is woken although the thread has not come to rest.
const ENOUGH: u64 = 32;

/// The record of a call was not accepted, or not in time: its answer must not be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unrecorded;

/// One thread's lane.
#[derive(Default, Debug)]
pub(super) struct Lane {
    /// All records below it are accepted or refused.
    decided: AtomicU64,
    /// Some were refused: look which.
    trouble: AtomicBool,
    /// Somebody was woken for all: pass it on.
    relay: AtomicBool,
    /// The thread says when it comes to rest, so that the writer need not be woken for each record.
    pub(super) attended: AtomicBool,
    /// Records queued since the writer last looked.
    fresh: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Default, Debug)]
struct Held {
    queue: Queue,
    /// The number of the next record.
    next: u64,
    waiters: Vec<(u64, Waker)>,
    refused: Vec<Range<u64>>,
}

/// Tails of records, end to end.
#[derive(Default, Debug)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Queue {
    /// The tails, in order.
    pub(super) fn tails(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// Makes it ready to be used again. A burst's memory is given back.
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(64 << 10);
        self.ends.shrink_to(1 << 10);
    }
}

impl Lane {
    /// Queues what `write` writes; whether the writer should be woken now.
    ///
    /// # Errors
    /// The queue is full.
    pub(super) fn push(self: &Arc<Self>, write: impl FnOnce(&mut Vec<u8>)) -> Result<(Receipt, bool), Unrecorded> {
        let mut held = self.held();
        if held.queue.bytes.len() >= QUEUE_BYTES {
            return Err(Unrecorded);
        }
        write(&mut held.queue.bytes);
        let end = held.queue.bytes.len();
        held.queue.ends.push(end);
        let number = held.next;
        held.next += 1;
        let fresh = self.fresh.fetch_add(1, Ordering::Relaxed) + 1;
        drop(held);
        let wake = fresh == ENOUGH || !self.attended.load(Ordering::Relaxed);
        Ok((Receipt { lane: Arc::clone(self), number, waits: false }, wake))
    }

    /// Whether there are records that the writer was not woken for.
    pub(super) fn has_fresh(&self) -> bool {
        self.fresh.load(Ordering::Relaxed) > 0
    }

    /// Takes what is queued in exchange for an empty queue; gives the number that the next record will have. Nothing
    /// where nothing is queued.
    pub(super) fn take(&self, spare: &mut Queue) -> Option<u64> {
        if !self.has_fresh() {
            return None;
        }
        spare.clear();
        let mut held = self.held();
        std::mem::swap(&mut held.queue, spare);
        self.fresh.store(0, Ordering::Relaxed);
        Some(held.next)
    }

    /// Decides all records below `upto` that are not decided: they are in the journal.
    pub(super) fn accept(&self, upto: u64) {
        let leader = {
            let mut held = self.held();
            self.decided.fetch_max(upto, Ordering::AcqRel);
            let ready = held.waiters.iter().filter(|(number, _)| *number < upto).count();
            self.relay.store(ready > 1, Ordering::Release);
            held.waiters.iter().position(|(number, _)| *number < upto).map(|at| held.waiters.swap_remove(at).1)
        };
        if let Some(leader) = leader {
            leader.wake();
        }
    }

    /// Decides all records below `upto` that are not decided: their calls are refused. Gives how many.
    pub(super) fn refuse(&self, upto: u64) -> u64 {
        let (refused, wakers) = {
            let mut held = self.held();
            let from = self.decided.load(Ordering::Acquire);
            if from >= upto {
                return 0;
            }
            match held.refused.last_mut() {
                Some(last) if last.end == from => last.end = upto,
                _ => held.refused.push(from..upto),
            }
            self.trouble.store(true, Ordering::Release);
            self.decided.store(upto, Ordering::Release);
            (upto - from, held.ready(upto))
        };
        wakers.into_iter().for_each(Waker::wake);
        refused
    }

    /// The number of the next record, and the first that is not decided.
    pub(super) fn span(&self) -> (u64, u64) {
        let held = self.held();
        (held.next, self.decided.load(Ordering::Acquire))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self, number: u64) -> Option<Result<(), Unrecorded>> {
        if self.decided.load(Ordering::Acquire) <= number {
            return None;
        }
        if self.trouble.load(Ordering::Acquire) {
            let held = self.held();
            if held.refused.iter().any(|range| range.contains(&number)) {
                return Some(Err(Unrecorded));
            }
        }
        Some(Ok(()))
    }

    fn pass_on(&self) {
        if self.relay.swap(false, Ordering::AcqRel) {
            let wakers = self.held().ready(self.decided.load(Ordering::Acquire));
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Held {
    /// Takes out those who wait for records below `upto`.
    fn ready(&mut self, upto: u64) -> Vec<Waker> {
        self.waiters.extract_if(.., |(number, _)| *number < upto).map(|(_, waker)| waker).collect()
    }
}

/// The claim to a record. Resolves once the record is in the journal, or is known not to come there in time.
#[derive(Debug)]
#[must_use = "without waiting for its record, an answer is not covered by it"]
pub struct Receipt {
    lane: Arc<Lane>,
    number: u64,
    waits: bool,
}

impl Receipt {
    /// Waits on this thread; for those that may.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub fn wait(mut self) -> Result<(), Unrecorded> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match Pin::new(&mut self).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => thread::park(),
            }
        }
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Future for Receipt {
    type Output = Result<(), Unrecorded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.lane.outcome(self.number) {
            self.lane.pass_on();
            return Poll::Ready(outcome);
        }
        let number = self.number;
        {
            let mut held = self.lane.held();
            if self.lane.decided.load(Ordering::Acquire) <= number {
                let waker = context.waker();
                match held.waiters.iter_mut().rev().find(|(waiting, _)| *waiting == number) {
                    Some((_, known)) => known.clone_from(waker),
                    None => held.waiters.push((number, waker.clone())),
                }
                drop(held);
                self.waits = true;
                return Poll::Pending;
            }
        }
        // Decided in between.
        let outcome = self.lane.outcome(number).unwrap_or(Err(Unrecorded));
        Poll::Ready(outcome)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.waits {
            if self.lane.decided.load(Ordering::Acquire) <= self.number {
                self.lane.held().waiters.retain(|(number, _)| *number != self.number);
            }
            self.lane.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn push(lane: &Arc<Lane>) -> Receipt {
        lane.push(|tail| tail.extend_from_slice(b"x")).unwrap().0
    }

    fn poll(receipt: &mut Receipt, woken: &Arc<Woken>) -> Poll<Result<(), Unrecorded>> {
        Pin::new(receipt).poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
    }

    fn times(woken: &Arc<Woken>) -> usize {
        woken.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_group_wakes_one_and_that_one_the_others() {
        let lane = Arc::new(Lane::default());
        let wokens: Vec<Arc<Woken>> = (0..4).map(|_| Arc::default()).collect();
        let mut receipts: Vec<Receipt> = (0..4).map(|_| push(&lane)).collect();
        for (receipt, woken) in receipts.iter_mut().zip(&wokens) {
            assert!(poll(receipt, woken).is_pending());
        }
        let mut queue = Queue::default();
        assert_eq!(lane.take(&mut queue), Some(4));
        assert_eq!((queue.tails().count(), lane.take(&mut Queue::default())), (4, None));
        lane.accept(3);
        assert_eq!(wokens.iter().map(times).collect::<Vec<_>>(), [1, 0, 0, 0]);
        assert_eq!(poll(&mut receipts[0], &wokens[0]), Poll::Ready(Ok(())));
        assert_eq!(wokens.iter().map(times).collect::<Vec<_>>(), [1, 1, 1, 0]);
        assert!(poll(&mut receipts[3], &wokens[3]).is_pending());
    }

    #[test]
    fn the_one_that_was_woken_may_be_dropped() {
        let lane = Arc::new(Lane::default());
        let (first, second): (Arc<Woken>, Arc<Woken>) = Default::default();
        let (mut one, mut two) = (push(&lane), push(&lane));
        assert!(poll(&mut one, &first).is_pending() && poll(&mut two, &second).is_pending());
        lane.accept(2);
        drop(one);
        assert_eq!((times(&first), times(&second)), (1, 1));
        let mut gone = push(&lane);
        assert!(poll(&mut gone, &first).is_pending());
        drop(gone);
        lane.accept(3);
        assert_eq!(times(&first), 1, "who has left is not woken");
    }

    #[test]
    fn what_was_refused_stays_refused_when_later_records_are_accepted() {
        let lane = Arc::new(Lane::default());
        let woken = Arc::<Woken>::default();
        let mut before = push(&lane);
        lane.accept(1);
        let mut refused = [push(&lane), push(&lane)];
        assert_eq!((lane.refuse(3), lane.refuse(3)), (2, 0));
        let mut after = push(&lane);
        lane.accept(4);
        assert_eq!(poll(&mut before, &woken), Poll::Ready(Ok(())));
        for receipt in &mut refused {
            assert_eq!(poll(receipt, &woken), Poll::Ready(Err(Unrecorded)));
        }
        assert_eq!(poll(&mut after, &woken), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_full_queue_takes_no_more_until_it_is_taken() {
        let lane = Arc::new(Lane::default());
        let big = |tail: &mut Vec<u8>| tail.resize(tail.len() + QUEUE_BYTES, b'x');
        assert!(lane.push(big).is_ok());
        assert_eq!(lane.push(|_| ()).err(), Some(Unrecorded));
        lane.take(&mut Queue::default());
        assert!(lane.push(|_| ()).is_ok());
    }
}
