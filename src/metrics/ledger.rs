//! The ledger's counters, which it keeps itself, shown when somebody scrapes.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering},
};

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    core::{Collector, Desc},
    opts,
    proto::MetricFamily,
};

use super::transport::show;
use crate::{clock::Clock, hub::revocation::Kind};

/// Why the ledger keeps nothing new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LedgerFault {
    /// The disk or the quota is full.
    Full,
    /// The file or its file system can only be read.
    ReadOnly,
    /// Another process holds it and does not let go.
    Locked,
    /// What is in it does not hold together.
    Damaged,
    /// The file was deleted.
    Deleted,
    /// Another file lies at the path.
    Replaced,
    /// Reading, writing or flushing fails in another way.
    Io,
    /// A write does not come back.
    Stuck,
}

impl LedgerFault {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Full, Self::ReadOnly, Self::Locked, Self::Damaged, Self::Deleted, Self::Replaced, Self::Io, Self::Stuck];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Locked => "locked",
            Self::Damaged => "damaged",
            Self::Deleted => "deleted",
            Self::Replaced => "replaced",
            Self::Io => "io",
            Self::Stuck => "stuck",
        }
    }

    /// What is wrong and what to do, in one line.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Full => "the disk or quota is full; make room, and it goes on by itself",
            Self::ReadOnly => {
                "the file, its folder or its file system cannot be written; mend its mode or mount, and it goes on by itself"
            }
            Self::Locked => "another process holds it locked; end that one, and it goes on by itself",
            Self::Damaged => {
                "what is in the file does not hold together; stop the service, keep the file, and put a copy from before in its place"
            }
            Self::Deleted => {
                "the file was deleted, and what is revoked lives in memory alone; put it back from a copy, or revoke anew, and restart"
            }
            Self::Replaced => {
                "another file lies at the path; put the one that was there back, or restart with the new one"
            }
            Self::Io => "it cannot be read or written; mend the disk or mount, and it goes on by itself",
            Self::Stuck => "a write does not come back; once the disk moves, it goes on by itself",
        }
    }
}

/// What the ledger counts.
#[derive(Default, Debug)]
pub struct LedgerCounters {
    /// Transactions made durable.
    pub commits: AtomicU64,
    /// Changes in them.
    pub changes: AtomicU64,
    /// Changes that were not made durable, or not in time.
    pub failures: AtomicU64,
    /// Times that a fault began, in the order of [`LedgerFault::ALL`].
    pub faults: [AtomicU64; LedgerFault::ALL.len()],
    /// Entries removed since they had ended.
    pub swept: AtomicU64,
    /// Entries in force, in the order of [`Kind::ALL`].
    pub entries: [AtomicU64; Kind::ALL.len()],
    /// When something was last made durable, or found possible to; Unix seconds, 0 for never.
    pub written_at: AtomicI64,
    /// When it was last looked for what other processes wrote; Unix seconds, 0 for never.
    pub polled_at: AtomicI64,
    /// Bytes of the file and what belongs to it.
    pub bytes: AtomicU64,
    /// What is wrong: 0 for nothing, else one more than the place in [`LedgerFault::ALL`].
    fault: AtomicU8,
}

impl LedgerCounters {
    /// What is wrong at present, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<LedgerFault> {
        usize::from(self.fault.load(Ordering::Relaxed)).checked_sub(1).map(|at| LedgerFault::ALL[at])
    }

    /// Says what is wrong; whether that is new.
    pub fn set_fault(&self, fault: Option<LedgerFault>) -> bool {
        let code = fault.map_or(0, |fault| fault as u8 + 1);
        let is_new = self.fault.swap(code, Ordering::Relaxed) != code;
        if let Some(fault) = fault.filter(|_| is_new) {
            self.faults[fault as usize].fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }
}

/// Reads one of the counters.
type Read = fn(&LedgerCounters) -> u64;

pub(super) struct Ledger {
    counters: Arc<LedgerCounters>,
    clock: Clock,
    totals: Vec<(IntCounter, Read)>,
    errors: IntCounterVec,
    fault: IntGaugeVec,
    entries: IntGaugeVec,
    since_write: IntGauge,
    since_poll: IntGauge,
    bytes: IntGauge,
}

impl Ledger {
    pub(super) fn new(counters: Arc<LedgerCounters>, clock: Clock) -> Self {
        let counter = |name: &str, help: &str| IntCounter::new(name, help).expect("the name is well-formed");
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect("the name is well-formed");
        let labelled = |name: &str, help: &str, label: &str| {
            IntGaugeVec::new(opts!(name, help), &[label]).expect("the name and label are well-formed")
        };
        let totals: Vec<(IntCounter, Read)> = vec![
            (counter("countersign_ledger_commits_total", "Transactions made durable in the ledger."), |c| {
                c.commits.load(Ordering::Relaxed)
            }),
            (counter("countersign_ledger_changes_total", "Changes made durable in the ledger."), |c| {
                c.changes.load(Ordering::Relaxed)
            }),
            (
                counter(
                    "countersign_ledger_failures_total",
                    "Changes that the ledger did not make durable, or not in time.",
                ),
                |c| c.failures.load(Ordering::Relaxed),
            ),
            (
                counter("countersign_ledger_swept_total", "Revocations removed since all they covered had expired."),
                |c| c.swept.load(Ordering::Relaxed),
            ),
        ];
        let errors = IntCounterVec::new(
            opts!("countersign_ledger_errors_total", "Times the ledger stopped keeping changes, by what was wrong."),
            &["kind"],
        );
        Self {
            counters,
            clock,
            totals,
            errors: errors.expect("the name and label are well-formed"),
            fault: labelled(
                "countersign_ledger_fault",
                "1 while the ledger keeps no changes, by what is wrong.",
                "kind",
            ),
            entries: labelled("countersign_revocations", "Revocations in force, by what they are about.", "kind"),
            since_write: gauge(
                "countersign_ledger_write_age_seconds",
                "Seconds since something was last made durable in the ledger; since it was opened, if nothing was.",
            ),
            since_poll: gauge(
                "countersign_ledger_poll_age_seconds",
                "Seconds since the ledger was last read for what other processes wrote.",
            ),
            bytes: gauge("countersign_ledger_bytes", "Size of the ledger's files."),
        }
    }
}

impl Collector for Ledger {
    fn desc(&self) -> Vec<&Desc> {
        let mut all: Vec<&Desc> = self.totals.iter().flat_map(|(shown, _)| shown.desc()).collect();
        all.extend([self.errors.desc(), self.fault.desc(), self.entries.desc()].concat());
        all.extend([self.since_write.desc(), self.since_poll.desc(), self.bytes.desc()].concat());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = &self.counters;
        if counters.polled_at.load(Ordering::Relaxed) == 0 {
            // There is no ledger.
            return Vec::new();
        }
        for (shown, count) in &self.totals {
            show(shown, count(counters));
        }
        let present = counters.fault();
        for (fault, count) in LedgerFault::ALL.into_iter().zip(&counters.faults) {
            show(&self.errors.with_label_values(&[fault.name()]), count.load(Ordering::Relaxed));
            self.fault.with_label_values(&[fault.name()]).set((present == Some(fault)).into());
        }
        let whole = |count: &AtomicU64| i64::try_from(count.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        for (kind, count) in Kind::ALL.into_iter().zip(&counters.entries) {
            self.entries.with_label_values(&[kind.name()]).set(whole(count));
        }
        let now = self.clock.now().0;
        let since = |at: &AtomicI64| now.saturating_sub(at.load(Ordering::Relaxed)).max(0);
        self.since_write.set(since(&counters.written_at));
        self.since_poll.set(since(&counters.polled_at));
        self.bytes.set(whole(&counters.bytes));
        let mut all: Vec<MetricFamily> = self.totals.iter().flat_map(|(shown, _)| shown.collect()).collect();
        all.extend([self.errors.collect(), self.fault.collect(), self.entries.collect()].concat());
        all.extend([self.since_write.collect(), self.since_poll.collect(), self.bytes.collect()].concat());
        all
    }
}
