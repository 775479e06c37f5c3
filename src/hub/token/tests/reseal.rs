//! Resealing.

use super::*;

fn resealed(outcome: Resealed) -> Sealed {
    assert_eq!(outcome.examined.verdict, Verdict::Valid);
    outcome.sealed.unwrap().unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn resealing_moves_the_same_grant_under_the_new_key() {
    let labels = [("tenant", "7")];
    let contents = Contents { kind: PayloadKind::UserId, payload: b"4711", labels: &labels, ..Contents::default() };
    let old = Desk::usual().try_seal(&contents, &USER).unwrap_or_else(|problem| panic!("{problem}"));
    let desk = Desk::new(vec![version(1, 0), version(2, NOW.0)]);
    assert_eq!(desk.verdict(&old.token, &USER), (Verdict::Valid, vec![Hint::ResealRecommended]));

    let later = NOW.plus(1000);
    let outcome = desk.reseal(&old.token, &USER, later);
    assert!(outcome.examined.payload(&desk.may()).is_none(), "the payload goes nowhere else");
    let new = resealed(outcome);
    assert_eq!((new.key_version, new.token_id, new.grant_id), (2, [9; 16], old.grant_id));
    assert_eq!((new.issued_at, new.expires_at), (old.issued_at, old.expires_at));
    let found = desk.examine::<verb::Open>(&new.token, &USER, later);
    assert_eq!((found.verdict, found.hints), (Verdict::Valid, Hints::none()));
    assert_eq!(found.payload(&desk.may()), Some(&b"4711"[..]));
    let claims = found.claims.unwrap();
    assert_eq!((claims.kind, claims.reseal_count), (PayloadKind::UserId, 1));
    assert_eq!(claims.labels, [("tenant".to_owned(), "7".to_owned())]);
    let again = resealed(desk.reseal(&new.token, &USER, later));
    assert_eq!(desk.examine::<verb::Open>(&again.token, &USER, later).claims.unwrap().reseal_count, 2);
}

#[test]
fn resealing_extends_the_expiry_only_where_the_app_wants_it() {
    let mut desk = Desk::usual();
    let token = desk.seal(b"p", &USER).token;
    let expiry = |desk: &Desk| resealed(desk.reseal(&token, &USER, NOW.plus(1000))).expires_at;
    let old = NOW.plus(90 * 86_400);
    assert_eq!(expiry(&desk), Some(old));
    desk.app.reseal_extends = true;
    assert_eq!(expiry(&desk), Some(old.plus(1000)));
    desk.policy = policy(Some(60));
    assert_eq!(expiry(&desk), Some(old), "never shortened");
}

#[test]
fn a_full_token_is_resealed_without_counting() {
    let desk = Desk::usual();
    let full = desk.seal(&[1; 2841], &USER).token;
    let new = resealed(desk.reseal(&full, &USER, NOW)).token;
    let found = desk.examine::<verb::Open>(&new, &USER, NOW);
    assert_eq!((new.len(), found.claims.unwrap().reseal_count), (full.len(), 0));
}

#[test]
fn what_is_not_valid_is_not_resealed() {
    let desk = Desk::usual();
    let token = desk.seal(b"p", &USER).token;
    let other = Bindings { username: Some("eve@example.com"), ..USER };
    assert!(desk.reseal(&token, &other, NOW).sealed.is_none());
    let expired = desk.reseal(&token, &USER, NOW.plus(90 * 86_400));
    assert!(expired.sealed.is_none() && expired.examined.verdict == Verdict::Expired);
}
