//! Time, as a value. The only reader of the machine's clock: everything else is told what time it is.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// 9999-12-31T23:59:59Z. What lies above is taken for milliseconds.
pub const LATEST: UnixSeconds = UnixSeconds(253_402_300_799);

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX.1 "Seconds Since the Epoch").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct UnixSeconds(pub i64);

impl UnixSeconds {
    /// The moment `seconds` later. Saturates.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment; negative if it is later. Saturates.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the time comes from: the machine, or a test's hand. Clones of a fixed clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::set`] moves it.
    #[must_use]
    pub fn fixed(now: UnixSeconds) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(now.0))))
    }

    /// The time now. A machine whose clock stands before 1970 is at 0.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> UnixSeconds {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixSeconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
            }
            Source::Fixed(at) => UnixSeconds(at.load(Ordering::Relaxed)),
        }
    }

    /// Moves a fixed clock; the machine's stays as it is.
    pub fn set(&self, now: UnixSeconds) {
        if let Source::Fixed(at) = &self.0 {
            at.store(now.0, Ordering::Relaxed);
        }
    }
}
