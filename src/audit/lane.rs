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
    time::{Duration, Instant},
};

/// Bytes of records that may wait in one lane.
const QUEUE_BYTES: usize = 4 << 20;

/// Queued records after which the writer is woken although the thread has not come to rest. A thread rests after each
/// turn of its calls, and the writer is woken then: to wake it earlier makes groups smaller, and each group costs a
/// write and a look at the file. This is for a thread that is so busy that it does not rest: about a millisecond of calls,
/// so that nobody's record waits for those of a greedy caller, however many those are.
const ENOUGH: u64 = 96;

/// How long a record waits for its thread to come to rest before the writer is woken although there are fewer than that.
/// It counts from the end of the record's own turn of calls and is looked at after each, so it can be late by one.
const SOON: Duration = Duration::from_micros(500);

/// The record of a call was not accepted, or not in time: its answer must not be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unrecorded;

const NEVER: u64 = u64::MAX;
const WOKEN: u64 = u64::MAX - 1;

/// One thread's lane.
#[derive(Debug)]
pub(super) struct Lane {
    /// What `fresh_at` counts from.
    origin: Instant,
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
    /// When a turn of calls first ended with such records, nanoseconds after `origin`; [`NEVER`] before one did, [`WOKEN`]
    /// once the writer was woken for them.
    fresh_at: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Default, Debug)]
struct Held {
    queue: Queue,
    /// The number of the next record.
    next: u64,
    waiters: Vec<(u64, Waker)>,
    /// What was refused and is still asked for, in order.
    refused: Vec<Refused>,
    /// Records that are not decided, and that nobody asks for any more.
    left: Vec<u64>,
}

/// Records that were refused together.
#[derive(Debug)]
struct Refused {
    range: Range<u64>,
    /// How many of their receipts there still are; with the last, all of it is forgotten.
    receipts: u64,
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

impl Default for Lane {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            decided: AtomicU64::new(0),
            trouble: AtomicBool::new(false),
            relay: AtomicBool::new(false),
            attended: AtomicBool::new(false),
            fresh: AtomicU64::new(0),
            fresh_at: AtomicU64::new(NEVER),
            held: Mutex::default(),
        }
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

    /// The thread has done a turn of calls; whether the writer should be woken now.
    pub(super) fn turn(&self) -> bool {
        self.has_fresh() && self.is_late(Instant::now())
    }

    /// Whether there are records that have waited for long enough; says so once for them all.
    fn is_late(&self, now: Instant) -> bool {
        let now = u64::try_from(now.duration_since(self.origin).as_nanos()).unwrap_or(WOKEN - 1);
        let since = self.fresh_at.load(Ordering::Relaxed);
        // The writer may take them meanwhile, and then it begins anew.
        let note = |what| self.fresh_at.compare_exchange(since, what, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        match since {
            WOKEN => false,
            NEVER => {
                note(now);
                false
            }
            since => u128::from(now.saturating_sub(since)) >= SOON.as_nanos() && note(WOKEN),
        }
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
        self.fresh_at.store(NEVER, Ordering::Relaxed);
        Some(held.next)
    }

    /// Decides all records below `upto` that are not decided: they are in the journal.
    pub(super) fn accept(&self, upto: u64) {
        let leader = {
            let mut held = self.held();
            self.decided.fetch_max(upto, Ordering::AcqRel);
            let ready = held.waiters.iter().filter(|(number, _)| *number < upto).count();
            held.left.retain(|number| *number >= upto);
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
            let left = held.left.extract_if(.., |number| *number < upto).count() as u64;
            let receipts = upto - from - left;
            match held.refused.last_mut() {
                _ if receipts == 0 => {}
                Some(last) if last.range.end == from => {
                    last.range.end = upto;
                    last.receipts += receipts;
                }
                _ => held.refused.push(Refused { range: from..upto, receipts }),
            }
            self.trouble.store(!held.refused.is_empty(), Ordering::Release);
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
            if held.refusal(number).is_some() {
                return Some(Err(Unrecorded));
            }
        }
        Some(Ok(()))
    }

    /// The receipt of this record is no more.
    fn leave(&self, number: u64) {
        // In this order: whoever refuses says that there is trouble before it says that there is a decision.
        if self.decided.load(Ordering::Acquire) > number && !self.trouble.load(Ordering::Acquire) {
            return;
        }
        let mut held = self.held();
        if self.decided.load(Ordering::Acquire) <= number {
            held.waiters.retain(|(waiting, _)| *waiting != number);
            held.left.push(number);
        } else if let Some(at) = held.refusal(number) {
            held.refused[at].receipts -= 1;
            if held.refused[at].receipts == 0 {
                held.refused.remove(at);
                self.trouble.store(!held.refused.is_empty(), Ordering::Release);
            }
        }
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

    /// Where a record stands among the refused, if it does.
    fn refusal(&self, number: u64) -> Option<usize> {
        let at = self.refused.partition_point(|refused| refused.range.end <= number);
        self.refused.get(at).is_some_and(|refused| refused.range.contains(&number)).then_some(at)
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
        self.lane.leave(self.number);
        if self.waits {
            self.lane.pass_on();
        }
    }
}

#[cfg(test)]
mod tests;
