//! Renewing, and the tokens that carry a login from its beginning to its end.

use super::*;

const LATER: UnixSeconds = UnixSeconds(NOW.0 + 1000);

fn renewed(desk: &Desk, token: &str, bindings: &Bindings<'_>, news: News<'_>, revoked: Revoked<'_>) -> Renewed {
    let permit = desk.may::<verb::Renew>();
    let expires = lifetime(&permit, &desk.app, Some(600), LATER).unwrap();
    let (entropy, limits) = (Entropy { salt: [9; 24], grant_id: [1; 16] }, SealLimits::default());
    let Ok(token) = Unverified::parse(token) else { panic!("malformed") };
    renew(&permit, &desk.ring, &desk.app, &token, bindings, news, expires, revoked, LATER, entropy, limits)
}

fn opened(desk: &Desk, outcome: Renewed) -> (Sealed, Vec<u8>, Claims) {
    assert_eq!(outcome.examined.verdict, Verdict::Valid);
    assert!(outcome.examined.payload(&desk.may()).is_none(), "the old payload goes nowhere else");
    let sealed = outcome.sealed.unwrap().unwrap_or_else(|problem| panic!("{problem}"));
    let found = desk.examine::<verb::Open>(&sealed.token, &USER, LATER);
    let payload = found.payload(&desk.may()).unwrap().to_vec();
    (sealed, payload, found.claims.unwrap())
}

#[test]
fn a_successor_has_the_grant_and_a_life_of_its_own() {
    let desk = Desk::usual();
    let labels = [("tenant", "7")];
    let contents = Contents {
        kind: PayloadKind::OauthAccessToken,
        payload: b"old",
        hub_origin: Some("https://h.example"),
        labels: &labels,
        ..Contents::default()
    };
    let old = desk.try_seal(&contents, &USER).unwrap_or_else(|problem| panic!("{problem}"));
    let (new, payload, claims) = opened(&desk, renewed(&desk, &old.token, &USER, News::None, Revoked::NOTHING));
    assert_eq!((payload.as_slice(), claims.kind), (&b"old"[..], PayloadKind::OauthAccessToken));
    assert_eq!((new.grant_id, new.issued_at, new.expires_at), (old.grant_id, LATER, Some(LATER.plus(600))));
    assert_ne!(new.token_id, old.token_id);
    assert_eq!(
        (claims.labels.len(), claims.hub_origin.as_deref(), claims.username_bound),
        (1, Some("https://h.example"), true)
    );
    let news = Contents {
        kind: PayloadKind::Json,
        payload: b"{}",
        hub_origin: Some("https://e.example"),
        ..Contents::default()
    };
    let (new, payload, claims) =
        opened(&desk, renewed(&desk, &old.token, &USER, News::Contents(&news), Revoked::NOTHING));
    assert_eq!((payload.as_slice(), claims.kind, claims.labels.len()), (&b"{}"[..], PayloadKind::Json, 0));
    assert_eq!((new.grant_id, claims.hub_origin.as_deref()), (old.grant_id, Some("https://h.example")));
}

#[test]
fn only_a_valid_token_of_the_user_has_a_successor() {
    let desk = Desk::usual();
    let old = desk.seal(b"p", &USER).token;
    let verdict = |token: &str, bindings: &Bindings<'_>| {
        let outcome = renewed(&desk, token, bindings, News::None, Revoked::NOTHING);
        assert!(outcome.sealed.is_none());
        outcome.examined.verdict
    };
    assert_eq!(verdict(&old, &Bindings { username: Some("eve@example.com"), ..USER }), Verdict::WrongContext);
    let other = Desk::new(vec![version(3, 0)]).seal(b"p", &USER).token;
    assert_ne!(verdict(&other, &USER), Verdict::Valid);
    let long = Contents { payload: &[0; PAYLOAD_MAX + 1], ..Contents::default() };
    let refused = renewed(&desk, &old, &USER, News::Contents(&long), Revoked::NOTHING).sealed.unwrap();
    assert!(matches!(refused, Err(SealProblem::PayloadTooLong)));
}

#[test]
fn a_login_state_is_for_logins_alone_and_no_limit_of_tokens_that_hub_carries_holds_for_it() {
    let mut desk = Desk::usual();
    (desk.app.max_chars, desk.app.pad_to) = (CHARS_MIN, 0);
    let seal_state = |desk: &Desk| {
        let contents = Contents { payload: &[5; 1500], ..Contents::default() };
        let (entropy, limits) = (Entropy { salt: [7; 24], grant_id: [8; 16] }, SealLimits::default());
        let (permit, none) = (desk.may::<verb::Login>(), Bindings::default());
        let expires = Some(NOW.plus(900));
        seal(&permit, &desk.app, Purpose::HubLogin, &contents, &none, expires, Revoked::NOTHING, NOW, entropy, limits)
            .unwrap_or_else(|problem| panic!("{problem}"))
            .token
    };
    let state = seal_state(&desk);
    assert!(state.len() < 4000, "it fits into a cookie");
    (desk.app.max_chars, desk.app.pad_to) = (CHARS_MAX, PLAINTEXT_MAX);
    assert_eq!(seal_state(&desk).len(), state.len());
    let judged = |purpose, now| {
        let Ok(token) = Unverified::parse(&state) else { panic!("malformed") };
        let none = Bindings::default();
        token.examine(&desk.may::<verb::Login>(), &desk.ring, &desk.app, purpose, &none, Revoked::NOTHING, now)
    };
    let found = judged(Purpose::HubLogin, NOW);
    assert_eq!((found.verdict, found.login(&desk.may())), (Verdict::Valid, Some(&[5; 1500][..])));
    assert!(judged(Purpose::HubLogin, NOW.plus(900)).login(&desk.may()).is_none());
    assert_eq!(judged(Purpose::HubLogin, NOW.plus(900)).verdict, Verdict::Expired);
    assert_eq!(judged(Purpose::HubAuth, NOW).verdict, Verdict::BadSignature);
}
