//! What callers are told when a keeper does not do what it was asked to, which the real one hardly ever lets happen.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use super::*;
use crate::{
    authority::State,
    clock::Clock,
    hub::token::SealLimits,
    keyring::Keyring,
    liveauth::domain::Domains,
    metrics::Metrics,
    policy::{CallerPattern, ObjectPattern, Policy, Rule, RuleLimits},
};

/// Does what the test says, and counts.
struct Fake<F>(F, usize);

impl<F: FnMut() -> Result<Edited, Refusal>> Keeper for Fake<F> {
    fn edit(&mut self, _: Order, _: UnixSeconds) -> Result<Edited, Refusal> {
        self.1 += 1;
        (self.0)()
    }

    fn rotate_when_due(&mut self, _: &KeyName, _: i64, _: UnixSeconds) -> Result<Option<Edited>, Refusal> {
        self.1 += 1;
        (self.0)().map(Some)
    }

    fn reload(&mut self) -> Result<u64, Refusal> {
        Err(Refusal::Keys(KeysProblem::ReloadRefused, "line 3".into()))
    }
}

fn authority(writable: bool) -> (Arc<Authority>, Receiver<Task>) {
    let rule = Rule {
        name: "admins".into(),
        callers: vec![CallerPattern::Any],
        verbs: vec![VerbName::Admin],
        domains: Vec::new(),
        apps: Vec::new(),
        keys: vec![ObjectPattern::Exact("k".into())],
        limits: RuleLimits::default(),
    };
    let policy = Policy::new(vec![rule]).unwrap();
    let ring = Keyring::new(Vec::new()).unwrap();
    let domains = Domains::new(Vec::new()).unwrap();
    let state = State::new(policy, domains, Vec::new(), ring, SealLimits::default()).unwrap();
    let clock = Clock::fixed(UnixSeconds(1_000));
    let (custody, tasks) = Custody::new(writable);
    (Arc::new(Authority::new(clock.clone(), state, Arc::new(Metrics::new(clock))).with_custody(custody)), tasks)
}

/// Orders the suspension of a version of `name`, and has the keeper at it.
fn ordered<F: FnMut() -> Result<Edited, Refusal>>(
    writable: bool,
    name: &str,
    deadline: Instant,
    keeper: &mut Fake<F>,
) -> Result<Changed, Refusal> {
    let (authority, tasks) = authority(writable);
    let (caller, arrived) = (Caller::Named("c".into()), Instant::now());
    let (allowance, slip) = (Allowance::new(arrived), Slip::default());
    let call = Call { caller: &caller, request_id: "r", arrived, allowance: &allowance, slip: &slip };
    let (reply, replied) = channel();
    let reply = move |done| reply.send(done).unwrap();
    authority.change_key(call, deadline, Op::SuspendKeyVersion, name, Ok(Edit::Suspend(1)), reply)?;
    for task in tasks.try_iter() {
        task(keeper);
    }
    replied.recv().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

fn problem(done: Result<Changed, Refusal>) -> (&'static str, String) {
    let refusal = done.err().unwrap();
    (refusal.reason(), refusal.to_string())
}

#[test]
fn a_change_that_is_on_disk_and_not_in_force_is_called_that() {
    let edited = || {
        let lacks = Some("it is not in force: no room for keys".into());
        Ok(Edited { number: 1, generation: 7, warnings: Vec::new(), lacks })
    };
    let (reason, text) = problem(ordered(true, "k", soon(), &mut Fake(edited, 0)));
    assert_eq!(reason, "CHANGE_INCOMPLETE");
    for word in ["version 1 of key k", "generation 7", "no room for keys", "do not ask again"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_keeper_that_breaks_ends_one_order_and_not_itself() {
    let mut keeper = Fake(|| panic!("planted"), 0);
    assert_eq!(problem(ordered(true, "k", soon(), &mut keeper)).0, "INTERNAL");
    assert_eq!(problem(ordered(true, "k", soon(), &mut keeper)).0, "INTERNAL");
    assert_eq!(keeper.1, 2);
}

#[test]
fn what_waited_too_long_is_not_begun_any_more() {
    let mut keeper = Fake(|| Err(Refusal::Internal), 0);
    assert_eq!(problem(ordered(true, "k", Instant::now(), &mut keeper)).0, "DEADLINE_EXCEEDED");
    assert_eq!(keeper.1, 0);
}

#[test]
fn what_is_refused_by_rule_or_setting_never_reaches_the_keeper() {
    let mut keeper = Fake(|| Err(Refusal::Internal), 0);
    assert_eq!(problem(ordered(true, "other", soon(), &mut keeper)).0, "NO_RULE");
    assert_eq!(problem(ordered(true, "No name", soon(), &mut keeper)).0, "INVALID_FIELD");
    assert_eq!(problem(ordered(false, "other", soon(), &mut keeper)).0, "NO_RULE");
    assert_eq!(problem(ordered(false, "k", soon(), &mut keeper)).0, "KEYRING_READ_ONLY");
    assert_eq!(keeper.1, 0);
}

#[test]
fn more_orders_than_may_wait_are_refused_at_once_and_none_waits_for_a_keeper_that_is_gone() {
    let (authority, tasks) = authority(true);
    let (caller, arrived) = (Caller::Named("c".into()), Instant::now());
    let (allowance, slip) = (Allowance::new(arrived), Slip::default());
    let call = Call { caller: &caller, request_id: "r", arrived, allowance: &allowance, slip: &slip };
    let order = || authority.reload_files(call, soon(), |_| ());
    for _ in 0..QUEUE {
        order().unwrap();
    }
    assert_eq!(order().unwrap_err().reason(), "OVERLOADED");
    drop(tasks);
    assert_eq!(order().unwrap_err().reason(), "STOPPING");
}
