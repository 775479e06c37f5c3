//! What is done with a version, noted while it is done, and the bound of what may be done with it: nothing is issued
//! beyond what was stored ahead, so that a crash can only make more of it than there was.
//!
//! All threads note on the same lines of memory, so these are written only where something changes: times once a second,
//! the latest expiry where it rises. Only the count of seals is written with each, on a line of its own.
//!
//! **Why nothing is issued unseen.** Who issues raises `latest` first and looks at `until` then; who settles closes
//! `until` first and reads `latest` then. All four are sequentially consistent, so at least one of the two sees the other:
//! either the expiry is in what was settled, or its token is refused.

use std::sync::{
    Mutex, PoisonError,
    atomic::{
        AtomicI64, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use super::evidence::{Evidence, NEVER, Span};
use crate::clock::UnixSeconds;

/// Stands for a first time, or a knowledge, that is still to come.
const NOT_YET: i64 = i64::MAX;
/// Stands for a last time that is still to come.
const NEVER_YET: i64 = i64::MIN;

/// How far a version may be used: up to what was stored ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserve {
    /// The latest expiry that may be issued.
    pub until: UnixSeconds,
    /// So many tokens may be sealed.
    pub seals: u64,
}

impl Reserve {
    /// No bound, for where nothing is stored at all.
    pub const BOUNDLESS: Self = Self { until: NEVER, seals: u64::MAX };
    /// Nothing may be issued.
    pub const NOTHING: Self = Self { until: UnixSeconds(i64::MIN), seals: 0 };
}

/// The use would go beyond what was stored ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreserved;

/// Why a seal is not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealRefused {
    /// The version sealed as many tokens as it may.
    LimitReached,
    /// It would go beyond what was stored ahead.
    Unreserved,
}

/// The use of one version, shared with its successors across reloads. Bounded by nothing until somebody sets a bound.
#[derive(Debug)]
pub struct Usage {
    times: Times,
    count: Count,
    /// What other processes know.
    others: Mutex<Evidence>,
}

/// Read with each use, written once a second.
#[derive(Debug)]
#[repr(align(128))]
struct Times {
    known_since: AtomicI64,
    minted: Seen,
    verified: Seen,
    latest: AtomicI64,
    until: AtomicI64,
}

/// Written with each seal.
#[derive(Debug)]
#[repr(align(128))]
struct Count {
    seals: AtomicU64,
    reserved: AtomicU64,
}

#[derive(Debug)]
struct Seen {
    first: AtomicI64,
    last: AtomicI64,
}

impl Default for Usage {
    fn default() -> Self {
        let Reserve { until, seals } = Reserve::BOUNDLESS;
        Self {
            times: Times {
                known_since: AtomicI64::new(NOT_YET),
                minted: Seen::default(),
                verified: Seen::default(),
                latest: AtomicI64::new(NEVER_YET),
                until: AtomicI64::new(until.0),
            },
            count: Count { seals: AtomicU64::new(0), reserved: AtomicU64::new(seals) },
            others: Mutex::default(),
        }
    }
}

impl Usage {
    /// Notes that something is made at `now` that expires then, or [`NEVER`]. To be called before it is made.
    ///
    /// # Errors
    /// It must not be made.
    pub fn mint(&self, expires: UnixSeconds, now: UnixSeconds) -> Result<(), Unreserved> {
        self.cover(expires)?;
        self.times.minted.note(now);
        Ok(())
    }

    /// The same for a token, which is counted; gives the count with it.
    ///
    /// # Errors
    /// It must not be sealed.
    pub fn seal(&self, expires: UnixSeconds, now: UnixSeconds, limit: u64) -> Result<u64, SealRefused> {
        self.cover(expires).map_err(|Unreserved| SealRefused::Unreserved)?;
        let before = self.count.seals.fetch_add(1, SeqCst);
        let refused = if before >= limit {
            SealRefused::LimitReached
        } else if before >= self.count.reserved.load(SeqCst) {
            SealRefused::Unreserved
        } else {
            self.times.minted.note(now);
            return Ok(before + 1);
        };
        self.count.seals.fetch_sub(1, SeqCst);
        Err(refused)
    }

    /// Notes that something valid was presented that expires then, whoever made it. Replicas make such things too, with a
    /// memory of their own: so the latest expiry is of what was made here or seen here.
    pub fn verify(&self, expires: UnixSeconds, now: UnixSeconds) {
        self.raise_latest(expires);
        self.times.verified.note(now);
    }

    /// Tokens sealed.
    #[must_use]
    pub fn seals(&self) -> u64 {
        self.count.seals.load(Relaxed)
    }

    /// What is known now of its use by this process.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let known = |at: i64, unknown: i64| (at != unknown).then_some(UnixSeconds(at));
        Evidence {
            known_since: known(self.times.known_since.load(Relaxed), NOT_YET),
            minted: self.times.minted.span(),
            verified: self.times.verified.span(),
            seals: self.count.seals.load(SeqCst),
            latest_expiry: known(self.times.latest.load(SeqCst), NEVER_YET),
        }
    }

    /// What is known now of its use by anybody.
    #[must_use]
    pub fn by_all(&self) -> Evidence {
        self.evidence().with(&self.others.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of what other processes know.
    pub fn note_others(&self, others: Evidence) {
        *self.others.lock().unwrap_or_else(PoisonError::into_inner) = others;
    }

    /// Takes over what was known before.
    pub fn adopt(&self, before: &Evidence) {
        if let Some(at) = before.known_since {
            self.times.known_since.fetch_min(at.0, Relaxed);
        }
        self.times.minted.adopt(before.minted);
        self.times.verified.adopt(before.verified);
        self.count.seals.fetch_max(before.seals, SeqCst);
        if let Some(at) = before.latest_expiry {
            self.raise_latest(at);
        }
    }

    /// Sets the bound; what is stored must reach as far.
    pub fn reserve(&self, reserve: Reserve) {
        self.times.until.store(reserve.until.0, SeqCst);
        self.count.reserved.store(reserve.seals, SeqCst);
    }

    /// Ends minting and sealing until [`Usage::reserve`] is called, and gives what is known for good: no call under way
    /// can make anything any more that is not in it.
    #[must_use]
    pub fn settle(&self) -> Evidence {
        self.reserve(Reserve::NOTHING);
        self.evidence()
    }

    fn cover(&self, expires: UnixSeconds) -> Result<(), Unreserved> {
        // In this order: see the top.
        self.raise_latest(expires);
        if expires.0 <= self.times.until.load(SeqCst) { Ok(()) } else { Err(Unreserved) }
    }

    fn raise_latest(&self, expires: UnixSeconds) {
        if self.times.latest.load(SeqCst) < expires.0 {
            self.times.latest.fetch_max(expires.0, SeqCst);
        }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self { first: AtomicI64::new(NOT_YET), last: AtomicI64::new(NEVER_YET) }
    }
}

impl Seen {
    fn note(&self, now: UnixSeconds) {
        if now.0 < self.first.load(Relaxed) {
            self.first.fetch_min(now.0, Relaxed);
        }
        if now.0 > self.last.load(Relaxed) {
            self.last.fetch_max(now.0, Relaxed);
        }
    }

    fn span(&self) -> Option<Span> {
        let (first, last) = (self.first.load(Relaxed), self.last.load(Relaxed));
        // Another thread may have noted one and not yet the other.
        (first != NOT_YET).then(|| Span { first: UnixSeconds(first), last: UnixSeconds(last.max(first)) })
    }

    fn adopt(&self, before: Option<Span>) {
        if let Some(Span { first, last }) = before {
            self.note(first);
            self.note(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_000);

    #[test]
    fn first_and_last_use_latest_expiry_and_seals_are_noted() {
        let usage = Usage::default();
        assert_eq!(usage.evidence(), Evidence::default());
        assert_eq!(usage.mint(NOW.plus(900), NOW), Ok(()));
        assert_eq!(usage.seal(NOW.plus(60), NOW.plus(5), 9), Ok(1));
        usage.verify(NOW.plus(70), NOW.plus(7));
        // A clock that steps back makes the first time earlier and leaves the last.
        assert_eq!(usage.mint(NOW, NOW.plus(-50)), Ok(()));
        let span = |first, last| Some(Span { first: NOW.plus(first), last: NOW.plus(last) });
        let expected = Evidence {
            known_since: None,
            minted: span(-50, 5),
            verified: span(7, 7),
            seals: 1,
            latest_expiry: Some(NOW.plus(900)),
        };
        assert_eq!(usage.evidence(), expected);
    }

    proptest! {
        /// Whatever the clock does between uses: what is known covers every one of them.
        #[test]
        fn a_clock_that_steps_makes_no_use_unknown(steps in vec((-1_000_000_i64..1_000_000, 0_i64..1000, any::<bool>()), 1..30)) {
            let (usage, mut now, mut all) = (Usage::default(), NOW, Vec::new());
            for (step, life, is_mint) in steps {
                now = now.plus(step);
                let expires = now.plus(life);
                if is_mint {
                    prop_assert_eq!(usage.mint(expires, now), Ok(()));
                } else {
                    usage.verify(expires, now);
                }
                all.push((now, expires, is_mint));
                let known = usage.evidence();
                for (at, expires, is_mint) in &all {
                    let span = if *is_mint { known.minted } else { known.verified };
                    prop_assert!(span.is_some_and(|span| span.first <= *at && *at <= span.last));
                    prop_assert!(known.latest_expiry >= Some(*expires));
                }
            }
        }
    }

    #[test]
    fn what_was_seen_of_another_counts_for_the_latest_expiry() {
        let usage = Usage::default();
        usage.verify(NEVER, NOW);
        assert_eq!(usage.evidence().latest_expiry, Some(NEVER));
        assert_eq!(usage.evidence().minted, None);
    }

    #[test]
    fn nothing_is_issued_beyond_what_is_reserved() {
        let usage = Usage::default();
        usage.reserve(Reserve { until: NOW.plus(100), seals: 2 });
        assert_eq!(usage.mint(NOW.plus(100), NOW), Ok(()));
        assert_eq!(usage.mint(NOW.plus(101), NOW), Err(Unreserved));
        assert_eq!(usage.seal(NEVER, NOW, 9), Err(SealRefused::Unreserved));
        assert_eq!(usage.seal(NOW.plus(1), NOW, 9), Ok(1));
        assert_eq!(usage.seal(NOW.plus(1), NOW, 1), Err(SealRefused::LimitReached));
        assert_eq!(usage.seal(NOW.plus(1), NOW, 9), Ok(2));
        assert_eq!(usage.seal(NOW.plus(1), NOW, 9), Err(SealRefused::Unreserved));
        assert_eq!(usage.seals(), 2);
        // What was asked for in vain says how much more to reserve.
        assert_eq!(usage.settle().latest_expiry, Some(NEVER));
        assert_eq!(usage.mint(NOW, NOW), Err(Unreserved));
        usage.reserve(Reserve::BOUNDLESS);
        assert_eq!(usage.seal(NEVER, NOW, 9), Ok(3));
    }

    #[test]
    fn what_was_known_before_is_gone_on_from() {
        let usage = Usage::default();
        let before = Evidence {
            known_since: Some(NOW.plus(-500)),
            minted: Some(Span { first: NOW.plus(-400), last: NOW.plus(-300) }),
            verified: None,
            seals: 70,
            latest_expiry: Some(NOW.plus(50)),
        };
        usage.adopt(&before);
        assert_eq!(usage.evidence(), before);
        assert_eq!(usage.seal(NOW.plus(10), NOW, 100), Ok(71));
        usage.adopt(&before);
        let after = usage.evidence();
        usage.note_others(Evidence { seals: 4, ..before });
        assert_eq!((usage.by_all().seals, usage.evidence()), (75, after));
        assert_eq!((after.seals, after.latest_expiry), (71, Some(NOW.plus(50))));
        assert_eq!(after.minted, Some(Span { first: NOW.plus(-400), last: NOW }));
    }

    /// Whatever was granted before somebody settles is in what was settled, on however many threads.
    #[test]
    fn nothing_granted_is_missing_from_what_is_settled() {
        for round in 0..200 {
            let usage = Usage::default();
            let (granted, settled) = thread::scope(|scope| {
                let minters: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut last = (None, 0);
                            for second in 0..100_000 {
                                let at = NOW.plus(second);
                                match usage.seal(at, NOW, u64::MAX) {
                                    Ok(_) => last = (Some(at), last.1 + 1),
                                    Err(_) => break,
                                }
                            }
                            last
                        })
                    })
                    .collect();
                for _ in 0..round * 20 {
                    std::hint::spin_loop();
                }
                let settled = usage.settle();
                let granted: Vec<_> = minters.into_iter().map(|minter| minter.join().unwrap()).collect();
                (granted, settled)
            });
            for (latest, _) in &granted {
                assert!(*latest <= settled.latest_expiry, "{latest:?} is beyond {settled:?}");
            }
            assert!(granted.iter().map(|(_, count)| count).sum::<u64>() <= settled.seals);
        }
    }
}
