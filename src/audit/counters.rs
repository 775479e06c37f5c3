//! Plain counters of the journal, and what is wrong with it at present. Written by the journal's threads and by calls,
//! read by whoever shows them.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use super::chain::Head;
use crate::clock::UnixSeconds;

/// Why the journal takes no records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The disk or the quota is full.
    Full,
    /// Writing or flushing fails in another way.
    Io,
    /// The file was deleted.
    Deleted,
    /// Another file lies at the path.
    Replaced,
    /// Somebody else wrote to the file, or cut it.
    Altered,
    /// A write does not come back.
    Stuck,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Full, Self::Io, Self::Deleted, Self::Replaced, Self::Altered, Self::Stuck];

    /// The name in metrics, records and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Io => "io",
            Self::Deleted => "deleted",
            Self::Replaced => "replaced",
            Self::Altered => "altered",
            Self::Stuck => "stuck",
        }
    }

    /// What is wrong and what to do, in one line.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Full => "the disk or quota is full; make room, and it goes on by itself",
            Self::Io => "the file cannot be written; mend the disk or mount, and it goes on by itself",
            Self::Deleted => "the file was deleted; find out by whom, then send SIGHUP to begin a new one",
            Self::Replaced => "another file lies at the path; move it away, and it goes on by itself",
            Self::Altered => {
                "somebody else wrote to the file or cut it; move it away and keep it, and a new one is begun"
            }
            Self::Stuck => {
                "a write does not come back; whatever takes it is stuck, and once it moves, it goes on by itself"
            }
        }
    }
}

/// What the journal counts.
#[derive(Default, Debug)]
pub struct Counters {
    /// Records written.
    pub records: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
    /// Groups written: each is one write.
    pub groups: AtomicU64,
    /// Faults that began, in the order of [`Fault::ALL`].
    pub faults: [AtomicU64; Fault::ALL.len()],
    /// Calls refused, since the journal did not take their record or not in time.
    pub refused: AtomicU64,
    /// Calls refused, since the queue to the writer was full.
    pub queue_full: AtomicU64,
    /// Refusals that were not recorded, since one caller had too many of them.
    pub unrecorded_refusals: AtomicU64,
    /// Times the file was rotated.
    pub rotations: AtomicU64,
    /// Nanoseconds that the last group took to write.
    pub group_nanos: AtomicU64,
    /// The sequence number of the last record.
    pub sequence: AtomicU64,
    /// What is wrong: 0 for nothing, else one more than the place in [`Fault::ALL`].
    fault: AtomicU8,
    /// A write takes too long; goes with whatever else is wrong.
    stuck: AtomicBool,
    sealed: Mutex<Option<(Head, UnixSeconds)>>,
}

impl Counters {
    /// What is wrong at present, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        if self.stuck.load(Ordering::Relaxed) {
            return Some(Fault::Stuck);
        }
        usize::from(self.fault.load(Ordering::Relaxed)).checked_sub(1).map(|at| Fault::ALL[at])
    }

    /// The head of the last seal, and when it was made.
    #[must_use]
    pub fn sealed(&self) -> Option<(Head, UnixSeconds)> {
        *self.sealed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a seal.
    pub(super) fn seal(&self, head: Head, at: UnixSeconds) {
        *self.sealed.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, at));
    }

    /// Says what is wrong; whether that is new.
    pub(super) fn set_fault(&self, fault: Option<Fault>) -> bool {
        let code = fault.map_or(0, |fault| fault as u8 + 1);
        let is_new = self.fault.swap(code, Ordering::Relaxed) != code;
        self.count(fault.filter(|_| is_new));
        is_new
    }

    /// Says that a write takes too long, unless `is_over` says that it has just ended; whether that is new. Whoever ends a
    /// write says so first and calls [`Counters::unstick`] then, so that one of the two clears what was said too late.
    pub(super) fn stick(&self, is_over: impl FnOnce() -> bool) -> bool {
        if self.stuck.swap(true, Ordering::AcqRel) || (is_over() && self.unstick()) {
            return false;
        }
        self.count(Some(Fault::Stuck));
        true
    }

    /// Says that no write takes too long; whether that is new.
    pub(super) fn unstick(&self) -> bool {
        self.stuck.swap(false, Ordering::AcqRel)
    }

    fn count(&self, fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.faults[fault as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_ends_just_then_leaves_nothing_stuck() {
        let counters = Counters::default();
        let stuck = || counters.faults[Fault::Stuck as usize].load(Ordering::Relaxed);
        assert!(!counters.stick(|| true));
        assert_eq!((counters.fault(), stuck()), (None, 0));
        assert!(counters.stick(|| false) && !counters.stick(|| false));
        assert_eq!((counters.fault(), stuck()), (Some(Fault::Stuck), 1));
        assert!(counters.unstick() && !counters.unstick());
        assert_eq!((counters.fault(), stuck()), (None, 1));
    }
}
