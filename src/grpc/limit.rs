//! What one caller, and all together, may ask for: plain limits, a token bucket per identity, what it has left under the
//! rates of rules and what it holds, and the bound on calls in flight. All of it is judged before any work, without a lock.

use std::{
    cell::Cell,
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::presence::Presence;
use crate::{
    authority::Allowance,
    metrics::UnderWay,
    policy::{Bucket, Caller, Rate},
};

/// When to come back after load was shed: a queue of this length drains in far less.
pub(super) const SHED_RETRY: Duration = Duration::from_millis(100);

/// How long at least a refusal is held back that costs its caller nothing but time: meanwhile it occupies one of the
/// caller's streams, so that a caller that asks on at once runs out of them, and asks at a rate that can be borne.
const HOLD: Duration = Duration::from_millis(50);

/// Milliseconds over which refusals are spread on top of that: thousands that were due at once would hold up everybody
/// behind them.
const SPREAD: u64 = 64;

/// How long to hold back the next refusal of this thread.
pub(super) fn hold() -> Duration {
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    HOLD + Duration::from_millis(NEXT.replace(NEXT.get().wrapping_add(1)) % SPREAD)
}

/// Streams that a connection may have however many connections there are.
const LEAST_STREAMS: u32 = 16;

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
    /// Connections open at a time of one identity.
    pub connections_per_caller: usize,
    /// Calls in flight on all connections. What mints or seals is shed at three quarters of it.
    pub in_flight: usize,
    /// From arrival to answer; a caller may ask for less, not for more.
    pub deadline: Duration,
    /// The same for a call that asks a vendor: what the slowest of them may take, and what is to be done besides.
    pub reach: Duration,
    /// From accept to a full HTTP/2 preface, or the full header of an HTTP/1.1 request.
    pub handshake: Duration,
    /// TLS handshakes under way at a time on one listener; one more ends the oldest.
    pub handshakes: usize,
    /// How long a TLS connection lasts, drawn evenly between the two; its peer proves anew who it is after that.
    pub connection_age: (Duration, Duration),
    /// How long calls under way at that age may still take.
    pub connection_grace: Duration,
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
            connections_per_caller: 256,
            in_flight: 4096,
            deadline: Duration::from_secs(2),
            reach: Duration::from_secs(7),
            handshake: Duration::from_secs(5),
            handshakes: 128,
            connection_age: (Duration::from_secs(600), Duration::from_secs(1800)),
            connection_grace: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(20),
            rate: Some(Rate { per_second: 20_000, burst: 40_000 }),
        }
    }
}

impl Limits {
    /// Streams that a connection may have open if it is one of so many connections: all together stay near the bound
    /// on calls in flight, so that what waits inside the service is worked off within its deadline; what does not fit
    /// waits at its caller, who knows when to give up.
    pub(super) fn streams(&self, connections: usize) -> u32 {
        let fair = u32::try_from(self.in_flight / connections.max(1)).unwrap_or(u32::MAX);
        fair.max(LEAST_STREAMS).min(self.streams_per_connection)
    }

    /// Whether a call has waited so long for its turn that it is shed, and what makes something before what judges.
    pub(super) fn is_late(&self, waited: Duration, mints: bool) -> bool {
        waited > self.deadline / if mints { 8 } else { 4 }
    }
}

/// What one identity has left and what it holds, shared by all its connections.
#[derive(Debug)]
pub(super) struct Account {
    /// Of the rate that holds for everybody.
    pub(super) bucket: Bucket,
    /// Of the rates of single rules.
    pub(super) allowance: Allowance,
    pub(super) presence: Presence,
}

impl Account {
    fn is_full(&self, now: Instant) -> bool {
        self.bucket.is_full(now) && self.allowance.is_full(now)
    }
}

/// The accounts of all identities seen lately. Looked into once a connection, never on a call's way.
#[derive(Debug)]
pub(super) struct Accounts {
    origin: Instant,
    by_caller: Mutex<HashMap<Caller, Arc<Account>>>,
}

impl Accounts {
    /// How many are kept before those that say nothing any more are dropped.
    const PRUNE_ABOVE: usize = 256;

    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), by_caller: Mutex::default() }
    }

    /// The caller's account. One who reconnects finds it as it was left.
    pub(super) fn of(&self, caller: &Caller, now: Instant) -> Arc<Account> {
        let mut accounts = self.by_caller.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(caller) {
            return Arc::clone(account);
        }
        if accounts.len() >= Self::PRUNE_ABOVE {
            // Untaken answers outlive a connection by moments only, and count down by themselves.
            accounts.retain(|_, account| Arc::strong_count(account) > 1 || !account.is_full(now));
        }
        let account = Arc::new(Account {
            bucket: Bucket::new(self.origin),
            allowance: Allowance::new(self.origin),
            presence: Presence::default(),
        });
        accounts.insert(caller.clone(), Arc::clone(&account));
        account
    }
}

/// One call in flight; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight<'a>(&'a UnderWay);

impl<'a> InFlight<'a> {
    /// Counts a call in, unless the bound is reached. Verifying may use all of it, minting three quarters, so that
    /// what was handed out can still be checked when no more is.
    ///
    /// A thread with few calls does not look how many others have: all such together can go over the bound by an eighth.
    pub(super) fn enter(count: &'a UnderWay, bound: usize, mints: bool) -> Option<Self> {
        let bound = if mints { bound - bound / 4 } else { bound };
        let bound = i64::try_from(bound).unwrap_or(i64::MAX);
        let own = count.add();
        let entered = Self(count);
        // A share below one counts calls that others have added, and says nothing of how many there are.
        let few = (1..=bound / 8 / count.threads()).contains(&own);
        (few || count.total() <= bound).then_some(entered)
    }

    /// Leaves it to somebody else to count it out.
    pub(super) fn pass_on(self) {
        mem::forget(self);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use std::{iter, sync::Barrier, thread};

    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[test]
    fn two_connections_of_one_caller_share_an_account_and_another_caller_has_its_own() {
        let accounts = Accounts::new();
        let now = Instant::now();
        let (one, two) = (Caller::Unix { uid: 1, gid: 1 }, Caller::Unix { uid: 2, gid: 1 });
        let first = accounts.of(&one, now);
        let _entered = first.presence.enter(1).unwrap();
        assert!(accounts.of(&one, now).presence.enter(1).is_none());
        assert!(accounts.of(&two, now).presence.enter(1).is_some());
        for _ in 0..3 {
            accounts.of(&one, now).bucket.take(RATE, now, 1).unwrap();
        }
        assert!(accounts.of(&one, now).bucket.take(RATE, now, 1).is_err());
        assert!(accounts.of(&two, now).bucket.take(RATE, now, 1).is_ok());
    }

    #[test]
    fn pruning_keeps_the_accounts_that_still_matter() {
        let accounts = Accounts::new();
        let now = Instant::now();
        let held = accounts.of(&Caller::Unix { uid: 0, gid: 0 }, now);
        accounts.of(&Caller::Unix { uid: 1, gid: 0 }, now).bucket.take(RATE, now, 3).unwrap();
        for uid in 2..600 {
            accounts.of(&Caller::Unix { uid, gid: 0 }, now);
        }
        assert!(accounts.by_caller.lock().unwrap().len() <= Accounts::PRUNE_ABOVE);
        assert!(Arc::ptr_eq(&held, &accounts.of(&Caller::Unix { uid: 0, gid: 0 }, now)));
        assert!(accounts.of(&Caller::Unix { uid: 1, gid: 0 }, now).bucket.take(RATE, now, 1).is_err());
    }

    #[test]
    fn the_more_connections_there_are_the_fewer_streams_a_new_one_gets() {
        let limits = Limits::default();
        let streams = [0, 1, 16, 17, 100, 256, 1024].map(|connections| limits.streams(connections));
        assert_eq!(streams, [256, 256, 256, 240, 40, 16, 16]);
        assert_eq!(Limits { streams_per_connection: 3, ..limits }.streams(1024), 3);
    }

    #[test]
    fn what_mints_is_late_before_what_verifies() {
        let limits = Limits::default();
        let late = |millis| [true, false].map(|mints| limits.is_late(Duration::from_millis(millis), mints));
        assert_eq!(
            [late(250), late(251), late(500), late(501)],
            [[false, false], [true, false], [true, false], [true, true]]
        );
    }

    #[test]
    fn verifying_is_admitted_where_minting_is_shed() {
        let count = UnderWay::default();
        let minting: Vec<_> = (0..3).map(|_| InFlight::enter(&count, 4, true).unwrap()).collect();
        assert!(InFlight::enter(&count, 4, true).is_none());
        let verifying = InFlight::enter(&count, 4, false);
        assert!(verifying.is_some());
        assert!(InFlight::enter(&count, 4, false).is_none());
        drop((minting, verifying));
        assert_eq!(count.total(), 0);
    }

    #[test]
    fn threads_share_the_bound_and_give_places_back_for_each_other() {
        const BOUND: usize = 800;
        let count = UnderWay::default();
        // This thread has a share of its own, not that of one that is gone.
        drop(InFlight::enter(&count, BOUND, false));
        let all_in = Barrier::new(4);
        let admitted: Vec<usize> = thread::scope(|scope| {
            let enter_all = || {
                let _known = InFlight::enter(&count, BOUND, false);
                all_in.wait();
                let held: Vec<_> = iter::from_fn(|| InFlight::enter(&count, BOUND, false)).collect();
                all_in.wait();
                let admitted = held.len();
                held.into_iter().for_each(InFlight::pass_on);
                admitted
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter_all)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let most = admitted.iter().sum::<usize>();
        // A refused one counts for a moment, too, and four places are known ones.
        assert!((BOUND - 8..=BOUND + BOUND / 8).contains(&most), "{admitted:?}");
        assert!(admitted.iter().all(|&own| own >= BOUND / 8 / 5 - 1), "who has few is let in: {admitted:?}");
        // The threads that counted them in are gone, and this one counts them out: it does not pass for one with few.
        count.take();
        assert!(InFlight::enter(&count, most - 2, false).is_none());
        count.add();
        (0..most).for_each(|_| count.take());
        assert_eq!(count.total(), 0);
        assert_eq!(count.threads(), 5);
    }
}
