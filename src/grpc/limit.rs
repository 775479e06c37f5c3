//! What one caller, and all together, may ask for: plain limits, a token bucket per identity, and the bound on calls in
//! flight. All of it is judged before any work, without a lock.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::policy::Caller;

/// When to come back after load was shed: a queue of this length drains in far less.
pub(super) const SHED_RETRY: Duration = Duration::from_millis(100);

/// The limits of the transport. Plain values; the defaults are those of the shipped configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a unary request.
    pub message_bytes: usize,
    /// Bytes of a batch request.
    pub batch_bytes: usize,
    /// Bytes of a request's header list.
    pub header_list_bytes: u32,
    /// Streams open at a time on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// Connections open at a time on all listeners.
    pub connections: usize,
    /// Calls in flight on all connections. What mints or seals is shed at three quarters of it.
    pub in_flight: usize,
    /// From arrival to answer; a caller may ask for less, not for more.
    pub deadline: Duration,
    /// From accept to a full HTTP/2 preface, or the full header of an HTTP/1.1 request.
    pub handshake: Duration,
    /// Silence on an HTTP/2 connection before it is pinged.
    pub keepalive_interval: Duration,
    /// How long the answer to that ping may take.
    pub keepalive_timeout: Duration,
    /// Units per second of one identity; `None`: unlimited.
    pub rate: Option<Rate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            batch_bytes: 1024 * 1024,
            header_list_bytes: 16 * 1024,
            streams_per_connection: 256,
            connections: 1024,
            in_flight: 4096,
            deadline: Duration::from_secs(2),
            handshake: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(20),
            rate: Some(Rate { per_second: 20_000, burst: 40_000 }),
        }
    }
}

/// A token bucket's measures. A unary call takes one unit, a batch one and one more per 20 items.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Units that flow in per second; 0 counts as 1.
    pub per_second: u32,
    /// Units that the bucket holds; 0 counts as 1.
    pub burst: u32,
}

/// Units that a batch of so many items takes on top of its first.
pub(super) fn batch_units(items: usize) -> u32 {
    u32::try_from(items / 20).unwrap_or(u32::MAX)
}

impl Rate {
    /// Nanoseconds that one unit takes to flow in.
    fn interval(self) -> u64 {
        (1_000_000_000 / u64::from(self.per_second.max(1))).max(1)
    }

    /// The generic cell rate algorithm: `full_at` is the moment the bucket will be full, all times in nanoseconds
    /// from one origin.
    ///
    /// # Errors
    /// How long until `units` are there. More units than the bucket holds count as a bucketful.
    fn take(self, full_at: u64, now: u64, units: u32) -> Result<u64, Duration> {
        let burst = self.burst.max(1);
        let held = self.interval().saturating_mul(u64::from(burst));
        let taken = self.interval().saturating_mul(u64::from(units.min(burst)));
        let next = full_at.max(now).saturating_add(taken);
        match next.saturating_sub(now).checked_sub(held) {
            None | Some(0) => Ok(next),
            Some(early) => Err(Duration::from_nanos(early)),
        }
    }
}

/// The token bucket of one identity, shared by all its connections.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Nanoseconds from `origin` to when it is full.
    full_at: AtomicU64,
    origin: Instant,
}

impl Bucket {
    fn new(origin: Instant) -> Self {
        Self { full_at: AtomicU64::new(0), origin }
    }

    /// Takes `units`, or says when they will be there.
    pub(super) fn take(&self, rate: Rate, now: Instant, units: u32) -> Result<(), Duration> {
        let now = self.nanos(now);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let next = rate.take(full_at, now, units)?;
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at.load(Ordering::Relaxed) <= self.nanos(now)
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The buckets of all identities seen lately. Looked into once a connection, never on a call's way.
#[derive(Debug)]
pub(super) struct Buckets {
    origin: Instant,
    by_caller: Mutex<HashMap<Caller, Arc<Bucket>>>,
}

impl Buckets {
    /// How many are kept before those that say nothing any more are dropped.
    const PRUNE_ABOVE: usize = 256;

    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), by_caller: Mutex::default() }
    }

    /// The caller's bucket. One who reconnects finds it as it was left.
    pub(super) fn of(&self, caller: &Caller, now: Instant) -> Arc<Bucket> {
        let mut buckets = self.by_caller.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(caller) {
            return Arc::clone(bucket);
        }
        if buckets.len() >= Self::PRUNE_ABOVE {
            buckets.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_full(now));
        }
        let bucket = Arc::new(Bucket::new(self.origin));
        buckets.insert(caller.clone(), Arc::clone(&bucket));
        bucket
    }
}

/// One call in flight; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight<'a>(&'a AtomicI64);

impl<'a> InFlight<'a> {
    /// Counts a call in, unless the bound is reached. Verifying may use all of it, minting three quarters, so that
    /// what was handed out can still be checked when no more is.
    pub(super) fn enter(count: &'a AtomicI64, bound: usize, mints: bool) -> Option<Self> {
        let bound = if mints { bound - bound / 4 } else { bound };
        let before = count.fetch_add(1, Ordering::Relaxed);
        let entered = Self(count);
        (before < i64::try_from(bound).unwrap_or(i64::MAX)).then_some(entered)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };
    const UNIT: u64 = 100_000_000;

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_says_when_the_next_unit_comes() {
        let now = 5 * UNIT;
        let mut full_at = 0;
        for _ in 0..3 {
            full_at = RATE.take(full_at, now, 1).unwrap();
        }
        assert_eq!(RATE.take(full_at, now, 1), Err(Duration::from_nanos(UNIT)));
        assert_eq!(RATE.take(full_at, now, 2), Err(Duration::from_nanos(2 * UNIT)));
        assert!(RATE.take(full_at, now + UNIT, 1).is_ok());
        assert!(RATE.take(full_at, now + UNIT - 1, 1).is_err());
        assert!(RATE.take(full_at, now + 3 * UNIT, 3).is_ok());
    }

    #[test]
    fn a_call_dearer_than_the_bucket_empties_it_and_is_not_refused_for_ever() {
        let full_at = RATE.take(0, UNIT, 51).unwrap();
        assert_eq!(full_at, 4 * UNIT);
        assert!(RATE.take(full_at, UNIT, 51).is_err());
        assert!(RATE.take(full_at, 4 * UNIT, 51).is_ok());
    }

    #[test]
    fn a_rate_of_zero_is_one_and_nothing_overflows() {
        let slow = Rate { per_second: 0, burst: 0 };
        let full_at = slow.take(0, 0, 1).unwrap();
        assert_eq!(slow.take(full_at, 0, 1), Err(Duration::from_secs(1)));
        assert!(slow.take(u64::MAX, 0, u32::MAX).is_err());
    }

    #[test]
    fn two_connections_of_one_caller_share_a_bucket_and_another_caller_has_its_own() {
        let buckets = Buckets::new();
        let now = Instant::now();
        let (one, two) = (Caller::Unix { uid: 1, gid: 1 }, Caller::Unix { uid: 2, gid: 1 });
        for _ in 0..3 {
            buckets.of(&one, now).take(RATE, now, 1).unwrap();
        }
        assert!(buckets.of(&one, now).take(RATE, now, 1).is_err());
        assert!(buckets.of(&two, now).take(RATE, now, 1).is_ok());
    }

    #[test]
    fn pruning_keeps_the_buckets_that_still_matter() {
        let buckets = Buckets::new();
        let now = Instant::now();
        let held = buckets.of(&Caller::Unix { uid: 0, gid: 0 }, now);
        buckets.of(&Caller::Unix { uid: 1, gid: 0 }, now).take(RATE, now, 3).unwrap();
        for uid in 2..600 {
            buckets.of(&Caller::Unix { uid, gid: 0 }, now);
        }
        assert!(buckets.by_caller.lock().unwrap().len() <= Buckets::PRUNE_ABOVE);
        assert!(Arc::ptr_eq(&held, &buckets.of(&Caller::Unix { uid: 0, gid: 0 }, now)));
        assert!(buckets.of(&Caller::Unix { uid: 1, gid: 0 }, now).take(RATE, now, 1).is_err());
    }

    #[test]
    fn verifying_is_admitted_where_minting_is_shed() {
        let count = AtomicI64::new(0);
        let minting: Vec<_> = (0..3).map(|_| InFlight::enter(&count, 4, true).unwrap()).collect();
        assert!(InFlight::enter(&count, 4, true).is_none());
        let verifying = InFlight::enter(&count, 4, false);
        assert!(verifying.is_some());
        assert!(InFlight::enter(&count, 4, false).is_none());
        drop((minting, verifying));
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
