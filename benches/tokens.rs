//! What a hash and a token cost in this process, on one core, without any transport; and what policy and metrics add to
//! every call.
//! Run with `cargo bench --bench tokens`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark; criterion's macros write functions of their own")]

#[path = "../tests/fixture/desk.rs"]
mod desk;

use std::{hint::black_box, time::Duration};

use countersign::{
    audit::{Entry, Event, Op, Outcome},
    clock::{Clock, UnixSeconds},
    crypto::aead::Suite,
    hub::token::{Bindings, Contents, Entropy, Purpose},
    liveauth::hash::{self, ClientId},
    metrics::Metrics,
    policy::{Caller, CallerPattern, Object, ObjectPattern, Policy, Rule, RuleLimits, VerbName, verb},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use desk::{Counter, Desk, Life};

const NOW: i64 = 1_700_000_000;

fn liveauth(criterion: &mut Criterion) {
    let counter = Counter::new(b"whatissixtimesnine");
    let permit = counter.may();
    let mint = |client| {
        let client = ClientId::new(client).unwrap();
        hash::mint(&permit, &counter.domain.key, client, UnixSeconds(NOW + 900), UnixSeconds(NOW)).unwrap()
    };
    let mut group = criterion.benchmark_group("liveauth");
    group.throughput(Throughput::Elements(1));
    group.bench_function("mint", |b| b.iter(|| mint(black_box(4711)).hash.as_str().len()));
    let (expires, hash) = ((NOW + 900).to_string(), mint(4711).hash);
    let permit = counter.may();
    group.bench_function("verify", |b| {
        b.iter(|| {
            let unverified = hash::Unverified::parse(black_box("4711"), &expires, hash.as_str()).unwrap();
            unverified.verify(&permit, &counter.domain, UnixSeconds(NOW))
        });
    });
    group.throughput(Throughput::Elements(1000));
    group.bench_function("mint a batch of 1000", |b| {
        b.iter(|| (1..=1000).map(|client| mint(black_box(client))).collect::<Vec<_>>());
    });
}

fn hat1(criterion: &mut Criterion) {
    let bindings = Bindings { username: Some("jodonnell@broadsoft.com"), hub_login_token: None };
    for suite in Suite::ALL {
        let desk = Desk::new(suite, &[7; 32]);
        let mut group = criterion.benchmark_group(suite.name());
        group.throughput(Throughput::Elements(1));
        for (size, payload) in [("32 B", &[1; 32][..]), ("1 KiB", &[1; 1024])] {
            let contents = Contents { payload, ..Contents::default() };
            let (life, entropy) =
                (Life { now: NOW, expires: Some(NOW + 900) }, Entropy { salt: [1; 24], grant_id: [2; 16] });
            let seal = || desk.seal(Purpose::HubAuth, black_box(&contents), &bindings, life, entropy);
            group.bench_function(format!("seal {size}"), |b| b.iter(seal));
            let token = seal().token;
            group.bench_function(format!("open {size}"), |b| {
                b.iter(|| desk.open(black_box(&token), Purpose::HubAuth, &bindings, NOW).map(|found| found.verdict));
            });
        }
    }
}

/// Policies of so many rules, each for a workload and a domain of its own.
fn policy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");
    for rules in [3, 1000] {
        let rule = |number: usize| Rule {
            name: format!("rule {number}"),
            callers: vec![CallerPattern::parse(&format!("spiffe://example.org/ns/n{number}/sa/portal")).unwrap()],
            verbs: vec![VerbName::Mint],
            domains: vec![ObjectPattern::Exact(format!("jobs{number}.example.com"))],
            apps: Vec::new(),
            keys: Vec::new(),
            limits: RuleLimits::default(),
        };
        let policy = Policy::new((0..rules).map(rule).collect()).unwrap();
        let caller = Caller::parse(&format!("spiffe://example.org/ns/n{}/sa/portal", rules / 2)).unwrap();
        let name = format!("jobs{}.example.com", rules / 2);
        group.bench_function(format!("permit, one of {rules} rules"), |b| {
            b.iter(|| policy.permit::<verb::Mint>(black_box(&caller), Object::Domain(&name)).is_ok());
        });
    }
}

fn metrics(criterion: &mut Criterion) {
    let metrics = Metrics::new(Clock::system());
    let caller = Caller::parse("spiffe://example.org/ns/jobs/sa/portal").unwrap();
    let entries = [Entry { key: "jobs.example.com", ..Entry::bare(Outcome::Done) }];
    criterion.bench_function("metrics/observe", |b| {
        b.iter(|| {
            metrics.observe(black_box(&Event {
                at: UnixSeconds(NOW),
                request_id: "0123456789abcdef012345",
                caller: &caller,
                op: Op::MintHash,
                outcome: Outcome::Done,
                entries: &entries,
                latency: Duration::from_micros(12),
            }));
        });
    });
}

criterion_group!(benches, liveauth, hat1, policy, metrics);
criterion_main!(benches);
