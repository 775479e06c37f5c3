//! Records, as a JSON parser and as the chain's own reader see them.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    audit::{chain::test_keys, event::Code},
    policy::Caller,
    verdict::Verdict,
};

fn event<'a>(op: Op, outcome: Outcome, caller: &'a Caller, entries: &'a [Entry<'a>]) -> Event<'a> {
    let latency = Duration::from_micros(17);
    Event { at: UnixSeconds(1_700_000_000), request_id: "r-1", caller, op, outcome, entries, latency }
}

fn line(event: &Event<'_>) -> (Vec<u8>, Value) {
    let (mut tail, mut out) = (Vec::new(), Vec::new());
    call(&mut tail, event, &test_keys(1));
    let head = place(&mut out, Head { sequence: 6, hash: [0xab; 32] }, &tail, None);
    assert_eq!(out.pop(), Some(b'\n'));
    assert_eq!(head, Head::of(7, &out));
    let parsed = parse(&out).unwrap();
    assert_eq!((parsed.sequence, parsed.prev, parsed.time, parsed.kind), (7, [0xab; 32], 1_700_000_000, Kind::Call));
    assert!(parsed.seal.is_none());
    let value = serde_json::from_slice(&out).unwrap();
    (out, value)
}

#[test]
fn a_call_says_who_did_what_to_which_object_under_which_rule() {
    let caller = Caller::Unix { uid: 7, gid: 8 };
    let entry = Entry {
        object: "acme",
        rule: "a \"rule\"\\\u{1}\u{7f}é",
        key: "k",
        key_version: 3,
        token_id: Some([0x0f; 16]),
        subject: Subject::user(Some("jane@example.com")),
        ..Entry::bare(Outcome::Done)
    };
    let (bytes, value) = line(&event(Op::Seal, Outcome::Done, &caller, &[entry]));
    assert!(!String::from_utf8(bytes).unwrap().contains("jane"));
    let pseudonym = test_keys(1).pseudonym(entry.subject).unwrap();
    let expected = json!({
        "seq": 7, "prev": "ab".repeat(32), "time": 1_700_000_000, "kind": "call", "op": "seal", "caller": "uid:7,gid:8",
        "object": "acme", "rule": "a \"rule\"\\\u{1}\u{7f}é", "key": "k", "version": 3, "token": "0f".repeat(16),
        "user": base16ct::lower::encode_string(&pseudonym), "outcome": "OK", "request": "r-1", "us": 17,
    });
    assert_eq!(value, expected);
}

#[test]
fn a_batch_says_what_its_items_share_once() {
    let caller = Caller::Named("c".into());
    let fine = Entry {
        object: "a.example",
        rule: "r",
        key: "k",
        key_version: 1,
        subject: Subject::client(42),
        ..Entry::bare(Outcome::Done)
    };
    let refused = Entry::bare(Outcome::Refused(Code::PermissionDenied, "NO_RULE"));
    let (_, value) = line(&event(Op::BatchMintHash, Outcome::Done, &caller, &[fine, refused, fine]));
    assert_eq!(value["grounds"], json!([["a.example", "r", "k"], ["", "", ""]]));
    let client = base16ct::lower::encode_string(&test_keys(1).pseudonym(fine.subject).unwrap());
    let item = json!([0, 1, client, "", "OK"]);
    assert_eq!(value["items"], json!([item, [1, 0, "", "", "PERMISSION_DENIED", "NO_RULE"], item]));
}

#[test]
fn the_longest_batch_fits_a_line() {
    let caller = Caller::Named("c".into());
    let rules: Vec<String> = (0..1000).map(|n| format!("{n:064}")).collect();
    let entry = |rule| Entry {
        object: "a.example.with.a.name.of.sixty-three.characters.in.each.label.example",
        rule,
        key: rule,
        key_version: u32::MAX,
        token_id: Some([1; 16]),
        subject: Subject::client(1),
        ..Entry::bare(Outcome::Refused(Code::FailedPrecondition, "CONNECT_VERSION_UNSUPPORTED"))
    };
    let entries: Vec<_> = rules.iter().map(|rule| entry(rule)).collect();
    assert!(line(&event(Op::BatchSeal, Outcome::Done, &caller, &entries)).0.len() < LINE_MAX / 2);
}

#[test]
fn a_seal_covers_its_line_up_to_the_mac() {
    let keys = test_keys(1);
    let (mut tail, mut out) = (Vec::new(), Vec::new());
    begin(&mut tail, UnixSeconds(-5), Kind::Closing);
    text(&mut tail, "why", "stop");
    place(&mut out, Head::NONE, &tail, Some(&keys));
    out.pop();
    let parsed = parse(&out).unwrap();
    assert_eq!((parsed.time, parsed.kind), (-5, Kind::Closing));
    let (body, mac) = parsed.seal.unwrap();
    assert!(keys.sealed(body, &mac) && !test_keys(2).sealed(body, &mac));
    assert!(body.ends_with(b"\"why\":\"stop\"") && !keys.sealed(&body[1..], &mac));
}

#[test]
fn what_is_no_record_is_not_read() {
    let prev = "0".repeat(64);
    let fine = format!("{{\"seq\":1,\"prev\":\"{prev}\",\"time\":2,\"kind\":\"call\"}}");
    assert!(parse(fine.as_bytes()).is_some());
    for (from, to) in [
        ("\"seq\":1", "\"seq\":01"),
        ("\"seq\":1", "\"seq\":-1"),
        ("\"seq\":1", "\"seq\": 1"),
        ("\"kind\":\"call\"", "\"kind\":\"coll\""),
        ("\"kind\":\"call\"", "\"kind\":\"seal\""),
        ("\"kind\":\"call\"", "\"kind\":\"call"),
        ("0000", "000A"),
        ("}", ""),
    ] {
        assert!(parse(fine.replacen(from, to, 1).as_bytes()).is_none(), "{to}");
    }
    assert!(parse(b"").is_none() && parse(&[0; 100]).is_none());
}

#[test]
fn grants_are_always_recorded_and_judgements_where_they_fail_or_all_are_wanted() {
    let caller = Caller::Named("c".into());
    let recorded = |op, outcome, entries: &[Entry<'_>], all| is_recorded(&event(op, outcome, &caller, entries), all);
    let denied = Outcome::Refused(Code::PermissionDenied, "NO_RULE");
    let (valid, expired) = (Outcome::Judged(Verdict::Valid), Outcome::Judged(Verdict::Expired));
    for op in [Op::MintHash, Op::Seal, Op::Open, Op::Reseal, Op::PortalTest, Op::PortalLogin, Op::PortalLogout] {
        assert!(recorded(op, Outcome::Done, &[], false) && recorded(op, denied, &[], false));
        assert!(recorded(op, valid, &[], false));
    }
    for op in [Op::Verify, Op::VerifyHash] {
        assert!(recorded(op, expired, &[], false) && recorded(op, denied, &[], false));
        assert!(!recorded(op, valid, &[], false) && recorded(op, valid, &[], true));
    }
    let items = |outcomes: [Outcome; 2]| outcomes.map(Entry::bare);
    assert!(!recorded(Op::BatchVerify, Outcome::Done, &items([valid, valid]), false));
    assert!(recorded(Op::BatchVerify, Outcome::Done, &items([valid, expired]), false));
    assert!(recorded(Op::BatchVerify, denied, &[], false));
    let paced = Outcome::Refused(Code::ResourceExhausted, "RATE_LIMITED");
    assert!(!recorded(Op::MintHash, paced, &[], true) && !recorded(Op::BatchVerify, paced, &[], true));
    let shed = Outcome::Refused(Code::Unavailable, "OVERLOADED");
    assert!(!recorded(Op::PortalLogin, shed, &[], true) && !recorded(Op::CreateKey, shed, &[], true));
    for op in [Op::HealthCheck, Op::Reflection, Op::Unknown] {
        assert!(!recorded(op, Outcome::Done, &[], true));
    }
}
