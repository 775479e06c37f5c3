//! What is cut off, and in which order that is found out.

use super::*;
use crate::hub::revocation::{Denied, Entry, Kind, UserDigests};

struct Ledger(Denied, UserDigests);

impl Ledger {
    fn with(entries: &[(Kind, [u8; 16], i64)]) -> Self {
        let entry = |&(kind, subject, until): &(Kind, [u8; 16], i64)| Entry {
            app: "acme-contacts".into(),
            kind,
            subject,
            until: UnixSeconds(until),
            ends: None,
        };
        Self(Denied::default().with(&entries.iter().map(entry).collect::<Vec<_>>()), digests())
    }

    fn verdict(&self, desk: &Desk, token: &str, bindings: &Bindings<'_>, now: UnixSeconds) -> Verdict {
        let Ok(token) = Unverified::parse(token) else { panic!("malformed") };
        let revoked = self.0.of(&desk.app, Some(&self.1));
        let found =
            token.examine(&desk.may::<verb::Open>(), &desk.ring, &desk.app, Purpose::HubAuth, bindings, revoked, now);
        assert_eq!(found.payload(&desk.may()).is_some(), found.verdict == Verdict::Valid);
        found.verdict
    }

    fn seal(&self, desk: &Desk, bindings: &Bindings<'_>) -> Sealed {
        let expires = lifetime(&desk.may::<verb::Seal>(), &desk.app, None, NOW).unwrap();
        let (entropy, limits) = (Entropy { salt: [1; 24], grant_id: [2; 16] }, SealLimits::default());
        let revoked = self.0.of(&desk.app, Some(&self.1));
        let (what, at) = (Contents::default(), Purpose::HubAuth);
        seal(&desk.may::<verb::Seal>(), &desk.app, at, &what, bindings, expires, revoked, NOW, entropy, limits)
            .ok()
            .unwrap()
    }
}

fn digests() -> UserDigests {
    UserDigests::new(MacKey::new(&[5; 32]))
}

fn user(desk: &Desk, name: &str) -> [u8; 16] {
    digests().of(&desk.app, name).0
}

#[test]
fn a_token_is_cut_off_by_its_id_its_grant_its_user_and_its_app() {
    let desk = Desk::usual();
    // Its salt is all sevens, its grant all eights; it was issued now.
    let token = desk.seal(b"p", &USER).token;
    let now = NOW.0;
    for (entry, expected) in [
        ((Kind::Token, [7; 16], 0), Verdict::Revoked),
        ((Kind::Token, [8; 16], now), Verdict::Valid),
        ((Kind::Grant, [8; 16], now), Verdict::Revoked),
        ((Kind::Grant, [8; 16], now - 1), Verdict::Valid),
        ((Kind::Grant, [7; 16], now), Verdict::Valid),
        ((Kind::User, user(&desk, "jo@example.com"), now), Verdict::Revoked),
        ((Kind::User, user(&desk, "jo@example.com"), now - 1), Verdict::Valid),
        ((Kind::User, user(&desk, "al@example.com"), now), Verdict::Valid),
        ((Kind::App, [0; 16], now + 30), Verdict::Revoked),
        ((Kind::App, [0; 16], now - 1), Verdict::Valid),
    ] {
        assert_eq!(Ledger::with(&[entry]).verdict(&desk, &token, &USER, NOW), expected, "{entry:?}");
    }
}

#[test]
fn the_id_is_looked_for_before_the_commitment_and_the_rest_after_the_times() {
    let desk = Desk::usual();
    let token = desk.seal(b"p", &USER).token;
    let (expired, other) = (NOW.plus(90 * 86_400), Bindings { username: Some("al@example.com"), ..USER });
    let by_id = Ledger::with(&[(Kind::Token, [7; 16], 0)]);
    assert_eq!(by_id.verdict(&desk, &token, &USER, expired), Verdict::Revoked);
    assert_eq!(by_id.verdict(&desk, &token, &other, NOW), Verdict::Revoked);
    let rest = Ledger::with(&[(Kind::Grant, [8; 16], i64::MAX), (Kind::App, [0; 16], i64::MAX)]);
    assert_eq!(rest.verdict(&desk, &token, &USER, expired), Verdict::Expired);
    assert_eq!(rest.verdict(&desk, &token, &other, NOW), Verdict::WrongContext);
    assert_eq!(rest.verdict(&desk, &token, &USER, NOW.plus(-61)), Verdict::NotYetValid);
    let mut suspended = version(1, 0);
    suspended.mark = Some(Mark::Suspended);
    let gone = Desk::new(vec![suspended]);
    assert_eq!(by_id.verdict(&gone, &token, &USER, NOW), Verdict::UnknownKey);
}

#[test]
fn an_unbound_token_is_not_cut_off_by_the_name_that_somebody_presents_with_it() {
    let mut desk = Desk::usual();
    desk.app.require_username = false;
    let unbound = desk.seal(b"p", &Bindings::default());
    assert!(unbound.hints.contains(Hint::NotRevocableByUser));
    let by_user = Ledger::with(&[(Kind::User, user(&desk, "jo@example.com"), i64::MAX)]);
    assert_eq!(by_user.verdict(&desk, &unbound.token, &USER, NOW), Verdict::Valid);
}

#[test]
fn a_fresh_login_works_at_once_and_what_was_sealed_before_stays_cut_off() {
    let desk = Desk::usual();
    let old = desk.seal(b"p", &USER).token;
    let ledger = Ledger::with(&[(Kind::User, user(&desk, "jo@example.com"), NOW.0 + 2)]);
    let fresh = ledger.seal(&desk, &USER);
    assert_eq!(fresh.issued_at, NOW.plus(3));
    assert_eq!(ledger.verdict(&desk, &fresh.token, &USER, NOW), Verdict::Valid);
    assert_eq!(ledger.verdict(&desk, &old, &USER, NOW), Verdict::Revoked);
    let other = Bindings { username: Some("al@example.com"), ..USER };
    assert_eq!(ledger.seal(&desk, &other).issued_at, NOW);
    // Also with the clock set back by an hour.
    let back = NOW.plus(-30);
    assert_eq!(ledger.verdict(&desk, &old, &USER, back), Verdict::Revoked);
}

#[test]
fn resealing_brings_nothing_back() {
    let desk = Desk::usual();
    let token = desk.seal(b"p", &USER).token;
    let successor = resealed(&desk.reseal(&token, &USER, NOW.plus(100)));
    let ledger = Ledger::with(&[(Kind::User, user(&desk, "jo@example.com"), NOW.0 + 50)]);
    assert_eq!(ledger.verdict(&desk, &successor, &USER, NOW.plus(200)), Verdict::Revoked);
    let Ok(old) = Unverified::parse(&token) else { panic!("malformed") };
    let (revoked, limits) = (ledger.0.of(&desk.app, Some(&ledger.1)), SealLimits::default());
    let (permit, at) = (desk.may(), Purpose::HubAuth);
    let outcome = reseal(&permit, &desk.ring, &desk.app, at, &old, &USER, revoked, NOW.plus(100), [3; 24], limits);
    assert!(outcome.sealed.is_none() && outcome.examined.verdict == Verdict::Revoked);
}

fn resealed(outcome: &Resealed) -> String {
    outcome.sealed.as_ref().unwrap().as_ref().ok().unwrap().token.clone()
}
