//! What operators are told: one check decides, those before it were passed, those after it were not reached.

use super::*;
use crate::{
    hub::{
        revocation::{Denied, Entry, Kind},
        token::wire,
    },
    policy::{Caller, CallerPattern, Object, ObjectPattern},
};

const PAYLOAD: &[u8] = b"the payload that nobody sees";

fn admin() -> Policy {
    Policy::new(vec![Rule {
        name: "keys".into(),
        callers: vec![CallerPattern::Any],
        verbs: vec![VerbName::Admin],
        domains: Vec::new(),
        apps: Vec::new(),
        keys: vec![ObjectPattern::Any],
        limits: RuleLimits { max_ttl: None, rate: None },
    }])
    .unwrap()
}

fn explained(desk: &Desk, text: &str, bindings: &Bindings<'_>, revoked: Revoked<'_>, now: UnixSeconds) -> Explanation {
    let policy = admin();
    let permit: Permit<'_, verb::Admin> = policy.permit(&Caller::parse("uid:1").unwrap(), Object::Key("k")).unwrap();
    let mut told = explain(&permit, &desk.ring, &desk.app, Purpose::HubAuth, text, bindings, revoked, now);
    for checked in &told.checks {
        assert_eq!(checked.reason.is_empty(), checked.outcome == Outcome::NotReached, "{checked:?}");
        for secret in [std::str::from_utf8(PAYLOAD).unwrap(), "jo@example.com", "a login token", "tenant-7", text] {
            assert!(text.is_empty() || !checked.reason.contains(secret), "{checked:?}");
        }
    }
    assert!(told.examined.take_plaintext().is_none());
    told
}

/// The one that failed, if all is as it has to be around it.
fn decided(told: &Explanation) -> Option<(Check, &str)> {
    let order: Vec<Check> = told.checks.iter().map(|checked| checked.check).collect();
    assert_eq!(order, Check::ALL);
    let failed = told.checks.iter().position(|checked| checked.outcome != Outcome::Passed);
    let Some(failed) = failed else {
        assert_eq!(told.verdict(), Verdict::Valid);
        return None;
    };
    assert_ne!(told.verdict(), Verdict::Valid);
    assert_eq!(told.checks[failed].outcome, Outcome::Failed);
    assert!(told.checks[failed + 1..].iter().all(|checked| checked.outcome == Outcome::NotReached));
    Some((told.checks[failed].check, &told.checks[failed].reason))
}

/// With its check digits made to fit again.
fn mended(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut bytes = URL_SAFE_NO_PAD.decode(&text[5..text.len() - 6]).unwrap();
    change(&mut bytes);
    wire::write(&bytes)
}

#[test]
fn each_check_can_be_the_one_that_decides() {
    let desk = Desk::usual();
    let both = Bindings { hub_login_token: Some("a login token"), ..USER };
    let labels = [("tenant", "tenant-7")];
    let contents = Contents { payload: PAYLOAD, labels: &labels, ..Contents::default() };
    let sealed = desk.try_seal(&contents, &both).ok().unwrap();
    let token = sealed.token.as_str();
    let tell = |text: &str, bindings: &Bindings<'_>, now| {
        let told = explained(&desk, text, bindings, Revoked::NOTHING, now);
        let found = decided(&told).map(|(check, reason)| (check, reason.to_owned()));
        (told.verdict(), found)
    };
    let other = Bindings { username: Some("al@example.com"), ..both };
    let none = Bindings::default();
    let control = Bindings { username: Some("a\u{1}"), ..both };
    let swapped = token.replacen(&token[100..101], if &token[100..101] == "A" { "B" } else { "A" }, 1);
    let strange = {
        let mut text = token[..token.len() - 6].replacen(&token[120..121], "+", 1);
        text.push_str("000000");
        text
    };
    let expires = sealed.expires_at.unwrap();
    let cases: Vec<(String, &Bindings<'_>, UnixSeconds, Verdict, Check, &str)> = vec![
        (token[1..].into(), &both, NOW, Verdict::Malformed, Check::Length, "as if something were missing"),
        (format!("{token}\n"), &both, NOW, Verdict::Malformed, Check::Length, "there is white space in it"),
        (String::new(), &both, NOW, Verdict::Malformed, Check::Length, "0 characters"),
        ("x".repeat(10_000), &both, NOW, Verdict::Malformed, Check::Length, "more than any token has"),
        (token.replacen("hat1_", "hat2_", 1), &both, NOW, Verdict::Malformed, Check::Prefix, "hat1_"),
        (swapped, &both, NOW, Verdict::Malformed, Check::Checksum, "mangled"),
        (strange, &both, NOW, Verdict::Malformed, Check::Checksum, "mangled"),
        (mended(token, |bytes| bytes[0] = 9), &both, NOW, Verdict::Malformed, Check::Head, "suite or flags"),
        (mended(token, |bytes| bytes[2] ^= 1), &both, NOW, Verdict::UnknownKey, Check::Key, "no key of this keyring"),
        (mended(token, |bytes| bytes[0] = 2), &both, NOW, Verdict::UnknownKey, Check::Key, "another suite"),
        (mended(token, |bytes| bytes[40] ^= 1), &both, NOW, Verdict::BadSignature, Check::Commitment, "forged"),
        (token.into(), &none, NOW, Verdict::WrongContext, Check::Bindings, "no value was given"),
        (token.into(), &control, NOW, Verdict::WrongContext, Check::Bindings, "control characters"),
        (token.into(), &other, NOW, Verdict::WrongContext, Check::Seal, "a username and a hubLoginToken"),
        (mended(token, |bytes| bytes[70] ^= 1), &both, NOW, Verdict::WrongContext, Check::Seal, "altered inside"),
        (token.into(), &both, expires, Verdict::Expired, Check::Expiry, "expired at 1707776000"),
        (token.into(), &both, NOW.plus(-61), Verdict::NotYetValid, Check::IssuedAt, "ahead of ours"),
    ];
    for (text, bindings, now, verdict, check, word) in cases {
        let (found, failed) = tell(&text, bindings, now);
        let (decided, reason) = failed.unwrap();
        assert_eq!((found, decided), (verdict, check), "{reason}");
        assert!(reason.contains(word), "no {word:?} in {reason:?}");
    }
    assert_eq!(tell(token, &both, NOW), (Verdict::Valid, None));
    assert_eq!(tell(&format!("\"{token}\""), &both, NOW), (Verdict::Valid, None));
}

#[test]
fn a_character_outside_the_alphabet_decides_where_the_digits_fit() {
    let desk = Desk::usual();
    let token = desk.seal(PAYLOAD, &USER).token;
    let body = token[..token.len() - 6].replacen(&token[150..151], "+", 1);
    let digits = |text: &str| {
        let (mut rest, mut digits) = (crc32fast::hash(text.as_bytes()) as usize, Vec::new());
        for _ in 0..6 {
            digits.insert(0, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[rest % 62]);
            rest /= 62;
        }
        String::from_utf8(digits).unwrap()
    };
    let told = explained(&desk, &format!("{body}{}", digits(&body)), &USER, Revoked::NOTHING, NOW);
    assert_eq!(decided(&told).unwrap().0, Check::Encoding);
    assert!(told.facts.is_none() && told.named.is_none());
}

#[test]
fn states_of_the_key_are_told() {
    let usual = Desk::usual();
    let token = usual.seal(PAYLOAD, &USER).token;
    for (mark, word) in
        [(Mark::Suspended, "suspended"), (Mark::Compromised, "compromised"), (Mark::Destroyed, "destroyed")]
    {
        let mut marked = version(1, 0);
        marked.mark = Some(mark);
        let desk = Desk::new(vec![marked]);
        let told = explained(&desk, &token, &USER, Revoked::NOTHING, NOW);
        assert_eq!(decided(&told), Some((Check::Key, format!("key k, version 1, is {word}").as_str())));
        assert_eq!(told.named.unwrap().state.name(), word);
    }
    let mut desk = Desk::new(vec![version(1, 0), version(2, NOW.0 - 10)]);
    let told = explained(&desk, &token, &USER, Revoked::NOTHING, NOW);
    assert_eq!(decided(&told), None);
    assert_eq!(told.named.unwrap().state.name(), "deactivated");
    assert!(told.examined.hints.contains(Hint::ResealRecommended));
    desk.app.key = Arc::new(Key::new(KeyName::new("other").unwrap(), KeyKind::Hat1, vec![version(3, 0)]));
    let told = explained(&desk, &token, &USER, Revoked::NOTHING, NOW);
    assert!(decided(&told).unwrap().1.contains("sealed for another app"));
}

#[test]
fn bindings_that_an_app_insists_on_are_told() {
    let mut desk = Desk::usual();
    desk.app.require_username = false;
    let token = desk.seal(PAYLOAD, &Bindings::default()).token;
    assert_eq!(decided(&explained(&desk, &token, &Bindings::default(), Revoked::NOTHING, NOW)), None);
    let altered = mended(&token, |bytes| bytes[70] ^= 1);
    let told = explained(&desk, &altered, &Bindings::default(), Revoked::NOTHING, NOW);
    assert_eq!(decided(&told), Some((Check::Seal, "what is inside was altered")));
    desk.app.require_username = true;
    let told = explained(&desk, &token, &USER, Revoked::NOTHING, NOW);
    assert!(decided(&told).unwrap().1.contains("require_username"));
}

#[test]
fn what_cuts_a_token_off_is_told_in_full() {
    let desk = Desk::usual();
    let token = desk.seal(PAYLOAD, &USER).token;
    let with = |entries: &[(Kind, [u8; 16], i64)]| {
        let entry = |&(kind, subject, until): &(Kind, [u8; 16], i64)| Entry {
            app: "acme-contacts".into(),
            kind,
            subject,
            until: UnixSeconds(until),
            ends: None,
        };
        Denied::default().with(&entries.iter().map(entry).collect::<Vec<_>>())
    };
    let now = NOW.0;
    let denied = with(&[(Kind::Grant, [8; 16], now + 1), (Kind::App, [0; 16], now), (Kind::Token, [9; 16], now)]);
    let told = explained(&desk, &token, &USER, denied.of(&desk.app, None), NOW);
    let reason = format!("cut off: its grant up to {}, its app up to {now}; it was issued at {now}", now + 1);
    assert_eq!(decided(&told), Some((Check::Revoked, reason.as_str())));
    assert_eq!(told.revoked_by, [(Kind::Grant, UnixSeconds(now + 1)), (Kind::App, NOW)]);

    let denied = with(&[(Kind::Token, [7; 16], now), (Kind::App, [0; 16], now)]);
    let told = explained(&desk, &token, &USER, denied.of(&desk.app, None), NOW);
    assert_eq!(decided(&told), Some((Check::TokenRevoked, "cut off by its id")));
    // By its claims it is not asked: nobody has seen whether it is authentic.
    assert_eq!(told.revoked_by, [(Kind::Token, NOW)]);
    assert!(told.examined.claims.is_none());

    let denied = with(&[(Kind::App, [0; 16], now - 1)]);
    let told = explained(&desk, &token, &USER, denied.of(&desk.app, None), NOW);
    assert_eq!((decided(&told), told.revoked_by.len()), (None, 0));
}

/// An operator who looks at a token does not use its key.
#[test]
fn explaining_is_no_use_of_the_key() {
    let desk = Desk::usual();
    let token = desk.seal(PAYLOAD, &USER).token;
    assert_eq!(explained(&desk, &token, &USER, Revoked::NOTHING, NOW).verdict(), Verdict::Valid);
    assert_eq!(desk.app.key.versions()[0].usage.evidence().verified, None);
}
