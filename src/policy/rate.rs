//! Rates, and the bucket that holds a caller to one: the generic cell rate algorithm (ITU-T I.371, annex A) on a single
//! atomic. Time is an argument. There is no lock, and a bucket costs 24 bytes whatever its rate.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Items of a batch that one unit pays for, beyond the unit that the call itself takes.
const ITEMS_A_UNIT: usize = 20;

/// A token bucket's measures. A unary call takes one unit, a batch one and one more per 20 items.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rate {
    /// Units that flow in per second; 0 counts as 1.
    pub per_second: u32,
    /// Units that the bucket holds; 0 counts as 1.
    pub burst: u32,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} units a second, {} at once", self.per_second, self.burst)
    }
}

/// Units that a batch of so many items takes on top of its first.
#[must_use]
pub fn batch_units(items: usize) -> u32 {
    u32::try_from(items / ITEMS_A_UNIT).unwrap_or(u32::MAX)
}

impl Rate {
    /// Nanoseconds that one unit takes to flow in.
    fn interval(self) -> u64 {
        (1_000_000_000 / u64::from(self.per_second.max(1))).max(1)
    }

    /// Nanoseconds that so many units take to flow in. More than the bucket holds count as a bucketful.
    fn span(self, units: u32) -> u64 {
        self.interval().saturating_mul(u64::from(units.min(self.burst.max(1))))
    }

    /// `full_at` is the moment the bucket will be full, all times in nanoseconds from one origin; gives the next such
    /// moment.
    ///
    /// # Errors
    /// How long until `units` are there.
    fn take(self, full_at: u64, now: u64, units: u32) -> Result<u64, Duration> {
        let next = full_at.max(now).saturating_add(self.span(units));
        match next.saturating_sub(now).checked_sub(self.span(u32::MAX)) {
            None | Some(0) => Ok(next),
            Some(early) => Err(Duration::from_nanos(early)),
        }
    }
}

/// A token bucket: full at first. Shared by whatever one identity has open.
#[derive(Debug)]
pub struct Bucket {
    /// Nanoseconds from `origin` to when it is full.
    full_at: AtomicU64,
    origin: Instant,
}

impl Bucket {
    /// A full bucket; `origin` is any moment not after its first use.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self { full_at: AtomicU64::new(0), origin }
    }

    /// Takes `units`. More than the bucket holds empty it, so that nothing is refused for ever.
    ///
    /// # Errors
    /// How long until they will be there; nothing is taken.
    pub fn take(&self, rate: Rate, now: Instant, units: u32) -> Result<(), Duration> {
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

    /// Gives back what was just taken at the same rate, for a call that was then refused for another reason.
    pub fn give_back(&self, rate: Rate, units: u32) {
        let span = rate.span(units);
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(at.saturating_sub(span)));
    }

    /// Whether it says nothing that a new one would not say.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.load(Ordering::Relaxed) <= self.nanos(now)
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
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
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let (origin, rate) = (Instant::now(), RATE);
        let now = origin + Duration::from_secs(7);
        let bucket = Bucket::new(origin);
        bucket.take(rate, now, 1).unwrap();
        bucket.take(rate, now, 2).unwrap();
        assert!(bucket.take(rate, now, 1).is_err() && !bucket.is_full(now));
        bucket.give_back(rate, 2);
        bucket.take(rate, now, 2).unwrap();
        assert!(bucket.take(rate, now, 1).is_err());
        bucket.give_back(rate, u32::MAX);
        assert!(bucket.is_full(now));
        bucket.take(rate, now, 3).unwrap();
        assert!(bucket.take(rate, now, 1).is_err(), "a bucket holds no more than its burst");
    }

    #[test]
    fn a_batch_pays_for_its_items_in_twenties() {
        assert_eq!([0, 19, 20, 1000].map(batch_units), [0, 0, 1, 50]);
    }
}
