//! Calls, counted and timed. Each thread counts for itself, so that a call shares no cache line with other cores;
//! a scrape adds the threads up.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use thread_local::ThreadLocal;

use crate::audit::{Entry, Event, Op, Outcome};

/// Seconds; from 5 µs, where a mint lies, to past the default deadline.
const BUCKETS: [f64; 19] = [
    5e-6, 1e-5, 2e-5, 3e-5, 5e-5, 7.5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 1e-1, 5e-1, 1.0, 2.0, 15.0,
];

const REQUESTS: (&str, &str) = (
    "countersign_requests_total",
    "Calls, by operation, by verdict, OK or canonical error code, and by key where a single one was reached.",
);
const ITEMS: (&str, &str) = ("countersign_batch_items_total", "Items of batch calls, by operation, outcome and key.");
const QUOTED: (&str, &str) =
    ("countersign_quoted_tokens_total", "Tokens that came with a pair of JSON quotes, which were removed.");
const DURATION: (&str, &str) =
    ("countersign_request_duration_seconds", "Time from the arrival of a call to its answer, by operation.");

/// The counts of all threads. A lock in it is the owning thread's alone, but for the moment of a scrape.
#[derive(Default)]
pub(super) struct Calls(ThreadLocal<Mutex<Tally>>);

/// The counts of one thread.
struct Tally {
    requests: Series,
    items: Series,
    quoted: u64,
    times: [Times; Op::ALL.len()],
}

/// Counts by operation, outcome and key; bounded like the labels are.
struct Series([Vec<(&'static str, ByKey)>; Op::ALL.len()]);

/// A tree: its few and short names are compared sooner than hashed.
type ByKey = BTreeMap<Box<str>, u64>;

#[derive(Clone, Copy, Default)]
struct Times {
    /// Calls within each bucket alone, not cumulative.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

impl Calls {
    pub(super) fn observe(&self, event: &Event<'_>) {
        let mine = self.0.get_or_default();
        let mut tally = mine.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = event.outcome == Outcome::Done && event.op.is_batch();
        let key = if batch { "" } else { event.entries.first().map_or("", |entry| entry.key) };
        tally.requests.add(event.op, event.outcome, key, 1);
        if batch {
            // Neighbours in a batch mostly end alike: count runs, not items.
            let mut rest = event.entries;
            while let Some(first) = rest.first() {
                let alike = |entry: &&Entry<'_>| entry.key == first.key && entry.outcome == first.outcome;
                let run = rest.iter().take_while(alike).count();
                tally.items.add(event.op, first.outcome, first.key, run as u64);
                rest = &rest[run..];
            }
        }
        tally.quoted += event.entries.iter().filter(|entry| entry.quoted).count() as u64;
        tally.times[event.op as usize].add(event.latency.as_secs_f64());
    }

    fn each(&self, mut read: impl FnMut(&Tally)) {
        for tally in &self.0 {
            read(&tally.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn series(&self, (name, help): (&str, &str), of: impl Fn(&Tally) -> &Series) -> MetricFamily {
        let mut sums: BTreeMap<(&str, &str, Box<str>), u64> = BTreeMap::new();
        self.each(|tally| {
            for (op, outcomes) in Op::ALL.iter().zip(&of(tally).0) {
                for (outcome, keys) in outcomes {
                    for (key, count) in keys {
                        *sums.entry((op.name(), outcome, key.clone())).or_default() += count;
                    }
                }
            }
        });
        let metric = |((op, outcome, key), count): ((&str, &str, Box<str>), u64)| {
            counter(vec![label("key", &key), label("op", op), label("outcome", outcome)], count)
        };
        family(name, help, MetricType::COUNTER, sums.into_iter().map(metric).collect())
    }

    fn durations(&self) -> MetricFamily {
        let mut sums = [Times::default(); Op::ALL.len()];
        self.each(|tally| sums.iter_mut().zip(&tally.times).for_each(|(sum, times)| sum.merge(times)));
        let metric = |(op, times): (&Op, Times)| {
            let mut metric = Metric::from_label(vec![label("op", op.name())]);
            metric.set_histogram(times.histogram());
            metric
        };
        let (name, help) = DURATION;
        family(name, help, MetricType::HISTOGRAM, Op::ALL.iter().zip(sums).map(metric).collect())
    }

    fn quoted(&self) -> MetricFamily {
        let mut sum = 0;
        self.each(|tally| sum += tally.quoted);
        family(QUOTED.0, QUOTED.1, MetricType::COUNTER, vec![counter(Vec::new(), sum)])
    }
}

// Arrays so long have no defaults of their own.
impl Default for Tally {
    fn default() -> Self {
        let times = [Times::default(); Op::ALL.len()];
        Self { requests: Series::default(), items: Series::default(), quoted: 0, times }
    }
}

impl Default for Series {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Vec::new()))
    }
}

impl Series {
    fn add(&mut self, op: Op, outcome: Outcome, key: &str, count: u64) {
        let outcomes = &mut self.0[op as usize];
        let name = outcome.name();
        let at = outcomes.iter().position(|(present, _)| *present == name).unwrap_or_else(|| {
            outcomes.push((name, ByKey::new()));
            outcomes.len() - 1
        });
        let keys = &mut outcomes[at].1;
        if let Some(present) = keys.get_mut(key) {
            *present += count;
        } else {
            keys.insert(key.into(), count);
        }
    }
}

impl Times {
    fn add(&mut self, seconds: f64) {
        if let Some(bucket) = BUCKETS.iter().position(|&bound| seconds <= bound) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.seconds += seconds;
    }

    fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, count)| *sum += count);
        self.count += other.count;
        self.seconds += other.seconds;
    }

    fn histogram(&self) -> Histogram {
        let mut cumulative = 0;
        let bucket = |(&bound, &count): (&f64, &u64)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(BUCKETS.iter().zip(&self.buckets).map(bucket).collect());
        histogram.set_sample_count(self.count);
        histogram.set_sample_sum(self.seconds);
        histogram
    }
}

/// What is registered: the same counts, as Prometheus reads them.
pub(super) struct Shown {
    calls: Arc<Calls>,
    descriptions: Vec<Desc>,
}

impl Shown {
    pub(super) fn new(calls: Arc<Calls>) -> Self {
        let by_key = vec!["key".to_owned(), "op".to_owned(), "outcome".to_owned()];
        let described =
            [(REQUESTS, by_key.clone()), (ITEMS, by_key), (QUOTED, Vec::new()), (DURATION, vec!["op".into()])];
        let describe = |((name, help), labels): ((&str, &str), Vec<String>)| {
            Desc::new(name.into(), help.into(), labels, HashMap::new()).expect("the names and labels are well-formed")
        };
        Self { calls, descriptions: described.into_iter().map(describe).collect() }
    }
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let calls = &self.calls;
        let families = [
            calls.series(REQUESTS, |tally| &tally.requests),
            calls.series(ITEMS, |tally| &tally.items),
            calls.quoted(),
            calls.durations(),
        ];
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64, exact up to 2^53")]
fn counter(labels: Vec<LabelPair>, count: u64) -> Metric {
    let mut value = Counter::default();
    value.set_value(count as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(value);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{clock::UnixSeconds, policy::Caller};

    #[test]
    fn the_counts_of_all_threads_are_added_up() {
        let calls = Arc::new(Calls::default());
        let caller = Caller::Named("c".into());
        let call = |millis| {
            let entry = Entry { key: "k", quoted: true, ..Entry::bare(Outcome::Done) };
            calls.observe(&Event {
                at: UnixSeconds(0),
                request_id: "r",
                caller: &caller,
                op: Op::Seal,
                outcome: Outcome::Done,
                entries: &[entry],
                latency: Duration::from_millis(millis),
            });
        };
        std::thread::scope(|scope| {
            scope.spawn(|| call(1));
            scope.spawn(|| call(3));
        });
        call(60_000);
        let families = Shown::new(Arc::clone(&calls)).collect();
        let of = |name: &str| families.iter().find(|family| family.name() == name).unwrap().get_metric().to_vec();
        assert!((of(REQUESTS.0)[0].get_counter().get_value() - 3.0).abs() < 1e-9);
        assert!((of(QUOTED.0)[0].get_counter().get_value() - 3.0).abs() < 1e-9);
        let times = of(DURATION.0);
        let seal = times.iter().find(|metric| metric.get_label()[0].value() == "seal").unwrap().get_histogram();
        let within = |bound: f64| {
            let buckets = seal.get_bucket();
            buckets.iter().find(|bucket| bucket.upper_bound() >= bound).unwrap().cumulative_count()
        };
        assert_eq!((within(1e-3), within(5e-3), within(15.0), seal.get_sample_count()), (1, 2, 2, 3));
        assert!((seal.get_sample_sum() - 60.004).abs() < 1e-9);
    }
}
