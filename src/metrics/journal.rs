//! The journal's counters, shown when somebody scrapes. The last sealed head is the label of a metric that has exactly one
//! series, or none before the first seal: whoever keeps the metrics keeps the heads, out of reach of whoever can write the
//! journal.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    core::{Collector, Desc},
    opts,
    proto::MetricFamily,
};

use super::transport::show;
use crate::audit::{Counters, Fault};

const HEAD: &str = "countersign_journal_sealed_head_info";
const HEAD_HELP: &str = "1, with the last sealed record as audit verify takes it for --head.";

/// Reads one of the counters.
type Read = fn(&Counters) -> u64;

pub(super) struct Journal {
    counters: Arc<Counters>,
    /// Each with the counter it shows.
    totals: Vec<(IntCounter, Read)>,
    errors: IntCounterVec,
    fault: IntGaugeVec,
    sequence: IntGauge,
    sealed_sequence: IntGauge,
    sealed_at: IntGauge,
    head: Desc,
    group: Gauge,
}

impl Journal {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        let counter = |name: &str, help: &str| IntCounter::new(name, help).expect("the name is well-formed");
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect("the name is well-formed");
        let totals: Vec<(IntCounter, Read)> = vec![
            (counter("countersign_journal_records_total", "Records written to the journal."), |c| {
                c.records.load(Ordering::Relaxed)
            }),
            (counter("countersign_journal_bytes_total", "Bytes written to the journal."), |c| {
                c.bytes.load(Ordering::Relaxed)
            }),
            (counter("countersign_journal_groups_total", "Groups of records; each is one write."), |c| {
                c.groups.load(Ordering::Relaxed)
            }),
            (
                counter(
                    "countersign_journal_refused_total",
                    "Calls refused since the journal did not take their record, or not in time; those that waited for it in vain are counted as done in countersign_requests_total.",
                ),
                |c| c.refused.load(Ordering::Relaxed),
            ),
            (
                counter(
                    "countersign_journal_queue_full_total",
                    "Calls refused since the queue to the journal was full.",
                ),
                |c| c.queue_full.load(Ordering::Relaxed),
            ),
            (
                counter(
                    "countersign_journal_unrecorded_refusals_total",
                    "Refusals that no rule stands behind and that were not recorded, since one identity had too many.",
                ),
                |c| c.unrecorded_refusals.load(Ordering::Relaxed),
            ),
            (counter("countersign_journal_rotations_total", "Times the journal went on in a new file."), |c| {
                c.rotations.load(Ordering::Relaxed)
            }),
        ];
        let errors = IntCounterVec::new(
            opts!("countersign_journal_errors_total", "Times the journal stopped taking records, by what was wrong."),
            &["kind"],
        );
        let fault = IntGaugeVec::new(
            opts!("countersign_journal_fault", "1 while the journal takes no records, by what is wrong."),
            &["kind"],
        );
        let group = Gauge::new(
            "countersign_journal_group_seconds",
            "Time from taking the last group of records to having it in the file.",
        );
        Self {
            counters,
            totals,
            errors: errors.expect("the name and label are well-formed"),
            fault: fault.expect("the name and label are well-formed"),
            sequence: gauge("countersign_journal_sequence", "Sequence number of the last record."),
            sealed_sequence: gauge("countersign_journal_sealed_sequence", "Sequence number of the last sealed record."),
            sealed_at: gauge(
                "countersign_journal_sealed_timestamp_seconds",
                "When the last sealed record was made, Unix time in seconds.",
            ),
            head: Desc::new(HEAD.into(), HEAD_HELP.into(), vec!["head".into()], HashMap::new())
                .expect("the name and label are well-formed"),
            group: group.expect("the name is well-formed"),
        }
    }
}

impl Collector for Journal {
    fn desc(&self) -> Vec<&Desc> {
        let mut all: Vec<&Desc> = self.totals.iter().flat_map(|(shown, _)| shown.desc()).collect();
        all.extend([self.errors.desc(), self.fault.desc(), self.sequence.desc()].concat());
        all.extend([self.sealed_sequence.desc(), self.sealed_at.desc(), self.group.desc()].concat());
        all.push(&self.head);
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = &self.counters;
        for (shown, count) in &self.totals {
            show(shown, count(counters));
        }
        let present = counters.fault();
        for (fault, count) in Fault::ALL.into_iter().zip(&counters.faults) {
            show(&self.errors.with_label_values(&[fault.name()]), count.load(Ordering::Relaxed));
            self.fault.with_label_values(&[fault.name()]).set((present == Some(fault)).into());
        }
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.sequence.set(whole(counters.sequence.load(Ordering::Relaxed)));
        let mut sealed = Vec::new();
        if let Some((head, at)) = counters.sealed() {
            self.sealed_sequence.set(whole(head.sequence));
            self.sealed_at.set(at.0);
            // Made anew each time: one that is kept would hold the heads before, too.
            let opts = opts!(HEAD, HEAD_HELP).const_label("head", head.to_string());
            let shown = IntGauge::with_opts(opts).expect("the name and label are well-formed");
            shown.set(1);
            sealed = shown.collect();
        }
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 ns, which is 104 days")]
        self.group.set(counters.group_nanos.load(Ordering::Relaxed) as f64 / 1e9);
        let mut all: Vec<MetricFamily> = self.totals.iter().flat_map(|(shown, _)| shown.collect()).collect();
        all.extend([self.errors.collect(), self.fault.collect(), self.sequence.collect()].concat());
        all.extend([self.sealed_sequence.collect(), self.sealed_at.collect(), self.group.collect()].concat());
        all.append(&mut sealed);
        all
    }
}
