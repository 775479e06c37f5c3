//! What one identity has left under the rates of rules: a bucket for each meter it has used. Found without a lock; a
//! bucket is added the first time, and those whose rule or rate is gone are dropped then, so that there are never more than
//! the policy has rates.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{Call, Refusal};
use crate::policy::{Bucket, Meter, Permit, Policy, Rate, batch_units};

/// Refusals that the journal records of one identity whom no rule lets in: whoever may do nothing must not be able to
/// fill the disk, and with that end all grants.
const REFUSALS: Rate = Rate { per_second: 10, burst: 100 };

/// The buckets of one identity, shared by all its connections.
#[derive(Debug)]
pub struct Allowance {
    origin: Instant,
    /// By the meter's number.
    buckets: ArcSwap<Vec<(u64, Arc<Bucket>)>>,
    /// Records of refusals that no rule stands behind.
    refusals: Bucket,
}

impl Allowance {
    /// That of an identity who has used nothing; `origin` is any moment not after its first use.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self { origin, buckets: ArcSwap::default(), refusals: Bucket::new(origin) }
    }

    /// Whether it says nothing that a new one would not say.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.refusals.is_full(now) && self.buckets.load().iter().all(|(_, bucket)| bucket.is_full(now))
    }

    /// Whether a refusal of so many items that no rule stands behind is still to be recorded. A large batch counts for
    /// more, as its record is longer.
    pub(super) fn records_refusal(&self, now: Instant, items: usize) -> bool {
        self.refusals.take(REFUSALS, now, batch_units(items).saturating_add(1)).is_ok()
    }

    fn take(&self, policy: &Policy, meter: Meter, now: Instant, units: u32) -> Result<(), Duration> {
        if let Some(bucket) = find(&self.buckets.load(), meter) {
            return bucket.take(meter.rate, now, units);
        }
        self.add(policy, meter).take(meter.rate, now, units)
    }

    fn give_back(&self, meter: Meter, units: u32) {
        if let Some(bucket) = find(&self.buckets.load(), meter) {
            bucket.give_back(meter.rate, units);
        }
    }

    fn add(&self, policy: &Policy, meter: Meter) -> Arc<Bucket> {
        let new = Arc::new(Bucket::new(self.origin));
        self.buckets.rcu(|buckets| {
            // Another core may have been faster.
            if find(buckets, meter).is_some() {
                return Arc::clone(buckets);
            }
            let kept = buckets.iter().filter(|(number, _)| policy.knows_meter(*number)).cloned();
            Arc::new(kept.chain([(meter.number, Arc::clone(&new))]).collect())
        });
        find(&self.buckets.load(), meter).map_or(new, Arc::clone)
    }
}

fn find(buckets: &[(u64, Arc<Bucket>)], meter: Meter) -> Option<&Arc<Bucket>> {
    buckets.iter().find(|(number, _)| *number == meter.number).map(|(_, bucket)| bucket)
}

/// What the rule of a permit still has to be paid, before a key is used under it.
#[derive(Clone, Copy)]
pub(super) enum Due<'c> {
    /// A unit, by this call.
    Unit(&'c Policy, Call<'c>),
    /// Nothing: the batch has paid for all its items.
    Nothing,
}

impl Due<'_> {
    /// Pays.
    pub(super) fn pay<V: crate::policy::Verb>(self, permit: &Permit<'_, V>) -> Result<(), Refusal> {
        match (self, permit.meter()) {
            (Self::Unit(policy, call), Some(meter)) => call
                .allowance
                .take(policy, meter, call.arrived, 1)
                .map_err(|retry_after| Refusal::RateLimited { retry_after }),
            _ => Ok(()),
        }
    }
}

/// Pays for a batch: to each rule with a rate one unit, and one more for every 20 of the items that it admits. Where one
/// of them has not enough left, the whole batch is refused and nothing is taken from any.
pub(super) fn pay_for_batch(
    policy: &Policy,
    call: Call<'_>,
    items: impl Iterator<Item = Option<Meter>>,
) -> Result<(), Refusal> {
    let mut by_meter: BTreeMap<u64, (Meter, usize)> = BTreeMap::new();
    for meter in items.flatten() {
        by_meter.entry(meter.number).or_insert((meter, 0)).1 += 1;
    }
    let dues: Vec<(Meter, u32)> =
        by_meter.into_values().map(|(meter, items)| (meter, batch_units(items).saturating_add(1))).collect();
    for (paid, &(meter, units)) in dues.iter().enumerate() {
        if let Err(retry_after) = call.allowance.take(policy, meter, call.arrived, units) {
            dues[..paid].iter().for_each(|&(meter, units)| call.allowance.give_back(meter, units));
            return Err(Refusal::RateLimited { retry_after });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Slip;
    use crate::policy::{Caller, CallerPattern, Object, ObjectPattern, Rate, Rule, RuleLimits, VerbName, verb};

    /// A rule for each, on apps of its own name and one unit at a time.
    fn rules(rates: &[(&str, u32)]) -> Vec<Rule> {
        let rule = |&(name, burst): &(&str, u32)| Rule {
            name: name.into(),
            callers: vec![CallerPattern::Any],
            verbs: vec![VerbName::Open],
            domains: Vec::new(),
            apps: vec![ObjectPattern::Exact(name.into())],
            keys: Vec::new(),
            limits: RuleLimits { max_ttl: None, rate: (burst > 0).then_some(Rate { per_second: 1, burst }) },
        };
        rates.iter().map(rule).collect()
    }

    fn meter(policy: &Policy, app: &str) -> Option<Meter> {
        policy.permit::<verb::Open>(&Caller::Named("x".into()), Object::App(app)).unwrap().meter()
    }

    fn pay(policy: &Policy, allowance: &Allowance, app: &str) -> Result<(), Refusal> {
        let caller = Caller::Named("x".into());
        let slip = Slip::default();
        let call = Call { caller: &caller, request_id: "", arrived: allowance.origin, allowance, slip: &slip };
        Due::Unit(policy, call).pay(&policy.permit::<verb::Open>(&caller, Object::App(app)).unwrap())
    }

    fn pay_batch(policy: &Policy, allowance: &Allowance, apps: &[(&str, usize)]) -> Result<(), Refusal> {
        let caller = Caller::Named("x".into());
        let slip = Slip::default();
        let call = Call { caller: &caller, request_id: "", arrived: allowance.origin, allowance, slip: &slip };
        let items = apps.iter().flat_map(|&(app, items)| std::iter::repeat_n(meter(policy, app), items));
        pay_for_batch(policy, call, items)
    }

    #[test]
    fn each_identity_has_a_bucket_of_its_own_for_each_rule_with_a_rate() {
        let policy = Policy::new(rules(&[("a", 2), ("b", 1), ("free", 0)])).unwrap();
        let (one, other) = (Allowance::new(Instant::now()), Allowance::new(Instant::now()));
        assert!(pay(&policy, &one, "a").is_ok() && pay(&policy, &one, "a").is_ok());
        let refused = pay(&policy, &one, "a").unwrap_err();
        assert_eq!(refused, Refusal::RateLimited { retry_after: Duration::from_secs(1) });
        assert!(pay(&policy, &one, "b").is_ok() && pay(&policy, &other, "a").is_ok());
        for _ in 0..100 {
            pay(&policy, &one, "free").unwrap();
        }
        assert_eq!(one.buckets.load().len(), 2, "what has no rate has no bucket");
        assert!(!one.is_full(one.origin) && one.is_full(one.origin + Duration::from_secs(2)));
    }

    #[test]
    fn a_batch_pays_each_rule_for_its_items_or_none_at_all() {
        let policy = Policy::new(rules(&[("a", 10), ("b", 2), ("free", 0)])).unwrap();
        let allowance = Allowance::new(Instant::now());
        // 3 of a's 10, 1 of b's 2.
        pay_batch(&policy, &allowance, &[("a", 59), ("b", 19), ("free", 900)]).unwrap();
        // 1 more of a's would be there, but 2 of b's are not.
        assert!(pay_batch(&policy, &allowance, &[("a", 1), ("b", 20)]).is_err());
        for _ in 0..7 {
            pay(&policy, &allowance, "a").unwrap();
        }
        assert!(pay(&policy, &allowance, "a").is_err());
        assert!(pay(&policy, &allowance, "b").is_ok() && pay(&policy, &allowance, "b").is_err());
    }

    #[test]
    fn buckets_outlive_a_reload_that_keeps_the_rate_and_others_do_not_pile_up() {
        let mut policy = Policy::new(rules(&[("kept", 1), ("changed", 1)])).unwrap();
        let allowance = Allowance::new(Instant::now());
        pay(&policy, &allowance, "kept").unwrap();
        pay(&policy, &allowance, "changed").unwrap();
        for burst in 2..50 {
            policy = Policy::continuing(rules(&[("kept", 1), ("changed", burst)]), &policy).unwrap();
            pay(&policy, &allowance, "changed").unwrap();
            assert!(pay(&policy, &allowance, "kept").is_err(), "{burst}");
            assert_eq!(allowance.buckets.load().len(), 2);
        }
    }

    #[test]
    fn a_call_that_an_older_policy_judges_does_not_drop_what_a_newer_one_counts() {
        let older = Policy::new(rules(&[("a", 1), ("b", 1)])).unwrap();
        let newer = Policy::continuing(rules(&[("a", 2), ("b", 1)]), &older).unwrap();
        let allowance = Allowance::new(Instant::now());
        pay(&newer, &allowance, "a").unwrap();
        pay(&newer, &allowance, "a").unwrap();
        pay(&older, &allowance, "b").unwrap();
        assert!(pay(&newer, &allowance, "a").is_err());
    }

    #[test]
    fn refusals_are_recorded_up_to_a_burst_and_then_at_a_rate() {
        let allowance = Allowance::new(Instant::now());
        let at = |millis| allowance.origin + Duration::from_millis(millis);
        let recorded = |now, items| (0..1000).filter(|_| allowance.records_refusal(now, items)).count();
        assert_eq!((recorded(at(0), 1), recorded(at(99), 1), recorded(at(1000), 1)), (100, 0, 10));
        assert!(!allowance.is_full(at(1000)) && allowance.is_full(at(11_000)));
        assert_eq!((recorded(at(20_000), 1000), recorded(at(20_000), 0)), (1, 49));
    }

    #[test]
    fn calls_on_many_cores_take_no_more_than_there_is() {
        let policy = Policy::new(rules(&[("a", 100)])).unwrap();
        let allowance = Allowance::new(Instant::now());
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).filter(|_| pay(&policy, &allowance, "a").is_ok()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }
}
