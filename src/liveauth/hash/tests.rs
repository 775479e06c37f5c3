//! Minting and verifying, by hand-made domains.

use std::sync::Arc;

use super::*;
use crate::{
    crypto::mac::MacKey,
    keyring::{Evidence, KeyKind, KeyName, Mark, Reserve, Span},
    liveauth::domain::{DEFAULT_MAX_TTL, DEFAULT_TTL, HostName},
    policy::{Caller, CallerPattern, Object, ObjectPattern, Policy, Rule, RuleLimits, VerbName},
};

const NOW: UnixSeconds = UnixSeconds(989_538_300);
const VENDOR_HASH: &str = "6b1a62617de259688c021c6d98efaca588c772f9ee8ea3092fb3d5323e66ba29";

fn version(number: u32, activates_at: i64, secret: &[u8]) -> Version {
    Version::new(number, UnixSeconds(activates_at), secret.len(), Some(MacKey::new(secret)))
}

fn domain(versions: Vec<Version>) -> Domain {
    Domain {
        name: HostName::from_config("jobs.example.com").unwrap(),
        key: Arc::new(Key::new(KeyName::new("k").unwrap(), KeyKind::LiveAuth, versions)),
        default_ttl: DEFAULT_TTL,
        max_ttl: DEFAULT_MAX_TTL,
        leeway: 0,
        subdomains: false,
        referer: None,
    }
}

fn vendor() -> Domain {
    domain(vec![version(1, 0, b"whatissixtimesnine")])
}

fn policy(max_ttl: Option<i64>) -> Policy {
    Policy::new(vec![Rule {
        name: "everything".into(),
        callers: vec![CallerPattern::Any],
        verbs: vec![VerbName::Mint, VerbName::Verify],
        domains: vec![ObjectPattern::Any],
        apps: Vec::new(),
        keys: Vec::new(),
        limits: RuleLimits { max_ttl, rate: None },
    }])
    .unwrap()
}

fn may<V: Verb>(policy: &Policy) -> Permit<'_, V> {
    policy.permit(&Caller::parse("uid:1").unwrap(), Object::Domain("jobs.example.com")).unwrap()
}

fn verify(domain: &Domain, client: &str, expires: &str, hash: &str, now: i64) -> Verified {
    let policy = policy(None);
    let Ok(unverified) = Unverified::parse(client, expires, hash) else { panic!("{client} {expires} is malformed") };
    unverified.verify(&may(&policy), domain, UnixSeconds(now))
}

fn minted(domain: &Domain, client: i64, expires: i64, now: i64) -> Minted {
    let policy = policy(None);
    mint(&may(&policy), &domain.key, ClientId::new(client).unwrap(), UnixSeconds(expires), UnixSeconds(now)).unwrap()
}

#[test]
fn the_vendors_own_example_is_minted_and_verified() {
    let minted = minted(&vendor(), 42, 989_539_200, NOW.0);
    assert_eq!((minted.hash.as_str(), minted.key_version), (VENDOR_HASH, 1));
    let verified = verify(&vendor(), "42", "989539200", VENDOR_HASH, NOW.0);
    let expected = (Verdict::Valid, Hints::none(), Some(1), 42, 989_539_200);
    assert_eq!((verified.verdict, verified.hints, verified.key_version, verified.client, verified.expires), expected);
}

#[test]
fn the_last_second_counts_and_the_next_does_not() {
    let at = |leeway, now| {
        let mut domain = vendor();
        domain.leeway = leeway;
        verify(&domain, "42", "989539200", VENDOR_HASH, now).verdict
    };
    assert_eq!(at(0, 989_539_200), Verdict::Valid);
    assert_eq!(at(0, 989_539_201), Verdict::Expired);
    assert_eq!(at(30, 989_539_230), Verdict::Valid);
    assert_eq!(at(30, 989_539_231), Verdict::Expired);
}

#[test]
fn an_expiry_beyond_what_we_would_give_is_too_far_ahead() {
    let ahead = |seconds| verify(&vendor(), "42", "989539200", VENDOR_HASH, 989_539_200 - seconds).verdict;
    assert_eq!(ahead(DEFAULT_MAX_TTL + 60), Verdict::Valid);
    assert_eq!(ahead(DEFAULT_MAX_TTL + 61), Verdict::TooFarAhead);
    let in_milliseconds = minted(&vendor(), 42, 989_539_200_000, NOW.0);
    let found = verify(&vendor(), "42", "989539200000", in_milliseconds.hash.as_str(), NOW.0);
    assert_eq!((found.verdict, found.hints), (Verdict::TooFarAhead, Hint::LooksLikeMilliseconds.into()));
}

#[test]
fn the_mac_is_looked_at_before_the_time_and_tells_nothing_of_a_forgery() {
    let forged = verify(&vendor(), "43", "989539200", VENDOR_HASH, i64::MAX);
    let expected = (Verdict::BadSignature, None, 0, 0);
    assert_eq!((forged.verdict, forged.key_version, forged.client, forged.expires), expected);
}

#[test]
fn old_and_coming_secrets_verify_with_a_hint_and_marked_ones_do_not() {
    let secrets: [&[u8]; 4] = [b"suspended", b"old", b"now", b"next"];
    let mut versions: Vec<Version> =
        (1..).zip([0, 10, 20, NOW.0 + 1]).zip(secrets).map(|((n, at), s)| version(n, at, s)).collect();
    versions[0].mark = Some(Mark::Suspended);
    let ours = domain(versions);
    assert_eq!(minted(&ours, 1, NOW.0 + 9, NOW.0).key_version, 3);
    let by = |number: usize| {
        let alone = domain(vec![version(1, 0, secrets[number - 1])]);
        let hash = minted(&alone, 1, NOW.0 + 9, NOW.0).hash;
        let found = verify(&ours, "1", &(NOW.0 + 9).to_string(), hash.as_str(), NOW.0);
        (found.verdict, found.key_version, found.hints.contains(Hint::KeyVersionNotActive))
    };
    assert_eq!(by(1), (Verdict::BadSignature, None, false));
    assert_eq!(by(2), (Verdict::Valid, Some(2), true));
    assert_eq!(by(3), (Verdict::Valid, Some(3), false));
    assert_eq!(by(4), (Verdict::Valid, Some(4), true));
}

#[test]
fn without_an_active_version_nothing_is_minted() {
    let mut suspended = version(1, 0, b"k");
    suspended.mark = Some(Mark::Suspended);
    for versions in [Vec::new(), vec![version(1, NOW.0 + 1, b"k")], vec![suspended]] {
        let policy = policy(None);
        let client = ClientId::new(1).unwrap();
        let minted = mint(&may(&policy), &domain(versions).key, client, NOW.plus(9), NOW);
        assert_eq!(minted.err(), Some(MintProblem::NoActiveVersion));
    }
}

#[test]
fn use_is_noted_on_the_version_that_was_used_and_a_failed_verification_is_none() {
    let ours = domain(vec![version(1, 0, b"one"), version(2, NOW.0, b"two")]);
    let noted = |number: usize| ours.key.versions()[number - 1].usage.evidence();
    let span = |first, last| Some(Span { first: NOW.plus(first), last: NOW.plus(last) });
    let old = minted(&domain(vec![version(1, 0, b"one")]), 1, NOW.0 + 60, NOW.0);
    let judge = |expires: i64, now: i64| verify(&ours, "1", &expires.to_string(), old.hash.as_str(), now).verdict;
    assert_eq!(judge(NOW.0 + 61, NOW.0), Verdict::BadSignature);
    assert_eq!(judge(NOW.0 + 60, NOW.0 + 61), Verdict::Expired);
    assert_eq!(judge(NOW.0 + 60, NOW.0 - 3601), Verdict::TooFarAhead);
    assert_eq!((noted(1), noted(2)), (Evidence::default(), Evidence::default()));
    assert_eq!(judge(NOW.0 + 60, NOW.0 + 5), Verdict::Valid);
    assert_eq!((noted(1).verified, noted(1).minted, noted(2)), (span(5, 5), None, Evidence::default()));
    minted(&ours, 1, NOW.0 + 900, NOW.0 + 7);
    assert_eq!((noted(2).minted, noted(2).latest_expiry), (span(7, 7), Some(NOW.plus(900))));
}

#[test]
fn nothing_is_minted_beyond_what_is_reserved() {
    let (ours, policy, client) = (vendor(), policy(None), ClientId::new(1).unwrap());
    ours.key.versions()[0].usage.reserve(Reserve { until: NOW.plus(60), seals: 0 });
    let mint = |expires| mint(&may(&policy), &ours.key, client, NOW.plus(expires), NOW).err();
    assert_eq!((mint(60), mint(61)), (None, Some(MintProblem::Unreserved)));
}

#[test]
fn other_spellings_are_malformed_and_a_hint_says_why() {
    let ok = ["42", "989539200", VENDOR_HASH];
    let upper = VENDOR_HASH.to_uppercase();
    let newline = format!("{VENDOR_HASH}\n");
    let longer = format!("{VENDOR_HASH}0");
    let cases: [(usize, &str, &[Hint]); 25] = [
        (0, "", &[]),
        (0, "0", &[]),
        (0, "042", &[Hint::NotCanonical]),
        (0, "+42", &[Hint::NotCanonical]),
        (0, "-42", &[Hint::NotCanonical]),
        (0, "42.0", &[Hint::NotCanonical]),
        (0, "4e1", &[Hint::NotCanonical]),
        (0, " 42", &[Hint::Whitespace]),
        (0, "+42\n", &[Hint::Whitespace, Hint::NotCanonical]),
        (0, "9223372036854775808", &[Hint::Oversized]),
        (0, "10000000000000000000", &[Hint::Oversized]),
        (0, "4-2", &[]),
        (0, "٤٢", &[]),
        (0, "nan", &[]),
        (1, "", &[]),
        (1, "0", &[]),
        (1, "0989539200", &[Hint::NotCanonical]),
        (1, "1893456000000", &[Hint::LooksLikeMilliseconds]),
        (1, "989539200 ", &[Hint::Whitespace]),
        (2, "", &[Hint::Truncated]),
        (2, "f4a04f87cabf65ed55a2db9da2159cd7", &[Hint::Truncated]),
        (2, &upper, &[Hint::Uppercase]),
        (2, &newline, &[Hint::Whitespace]),
        (2, &longer, &[Hint::Oversized]),
        (2, &VENDOR_HASH.replace('6', "g"), &[]),
    ];
    for (place, text, hints) in cases {
        let mut values = ok;
        values[place] = text;
        let parsed = Unverified::parse(values[0], values[1], values[2]);
        let found = parsed.err().unwrap_or_else(|| panic!("{text:?} was taken"));
        assert_eq!(found.iter().collect::<Vec<_>>(), hints, "{text:?}");
    }
    assert!(Unverified::parse("9223372036854775807", "999999999999", VENDOR_HASH).is_ok());
}

#[test]
fn what_is_asked_for_beyond_a_limit_is_refused_and_only_the_default_is_clamped() {
    let asked = |rule: Option<i64>, validity| {
        let policy = policy(rule);
        expiry(&may(&policy), &vendor(), validity, NOW).map(|at| at.since(NOW))
    };
    assert_eq!(asked(None, Validity::Default), Ok(900));
    assert_eq!(asked(Some(60), Validity::Default), Ok(60));
    assert_eq!(asked(None, Validity::Ttl(3600)), Ok(3600));
    assert_eq!(asked(None, Validity::Ttl(3601)), Err(ExpiryProblem::TooLong { limit: 3600, whose: "domain" }));
    assert_eq!(asked(Some(60), Validity::Ttl(61)), Err(ExpiryProblem::TooLong { limit: 60, whose: "rule" }));
    assert_eq!(asked(Some(60), Validity::Until(NOW.0 + 60)), Ok(60));
    assert_eq!(asked(Some(60), Validity::Until(NOW.0 + 61)), Err(ExpiryProblem::TooLong { limit: 60, whose: "rule" }));
    assert_eq!(
        asked(Some(99_999), Validity::Ttl(i64::MAX)),
        Err(ExpiryProblem::TooLong { limit: 3600, whose: "domain" })
    );
    for ttl in [0, -1, i64::MIN] {
        assert_eq!(asked(None, Validity::Ttl(ttl)), Err(ExpiryProblem::NotPositive));
    }
    for at in [NOW.0, NOW.0 - 1, 0, i64::MIN] {
        assert_eq!(asked(None, Validity::Until(at)), Err(ExpiryProblem::InThePast));
    }
    assert_eq!(asked(None, Validity::Until(LATEST.0 + 1)), Err(ExpiryProblem::Milliseconds));
    assert!(matches!(asked(None, Validity::Until(LATEST.0)), Err(ExpiryProblem::TooLong { .. })));
}

#[test]
fn client_ids_are_positive() {
    assert_eq!(ClientId::new(0), None);
    assert_eq!(ClientId::new(-1), None);
    assert_eq!(ClientId::new(i64::MAX).map(ClientId::number), Some((1 << 63) - 1));
}
