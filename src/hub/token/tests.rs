//! Sealing, opening and resealing, by hand-made apps. The format's bytes are checked by tests/vectors.rs.

use std::sync::Arc;

use super::*;
use crate::{
    crypto::{aead::Suite, mac::MacKey},
    hub::{
        app::{App, DEFAULT_MAX_CHARS, DEFAULT_TTL, MAX_TTL_CEILING, Ttl, UsernameForm},
        login::Settings,
        revocation::Revoked,
    },
    keyring::{Evidence, Key, KeyKind, KeyName, Keyring, Mark, Reserve, Span, Version},
    policy::{Caller, CallerPattern, Object, ObjectPattern, Permit, Policy, Rule, RuleLimits, Verb, VerbName, verb},
    verdict::{Hint, Verdict},
};

mod explained;
mod lifetimes;
mod renew;
mod reseal;
mod revoked;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const USER: Bindings<'_> = Bindings { username: Some("jo@example.com"), hub_login_token: None };

/// One app, its ring, and a rule that allows everything.
struct Desk {
    ring: Keyring,
    app: App,
    policy: Policy,
}

impl Desk {
    fn new(versions: Vec<Version>) -> Self {
        let name = KeyName::new("k").unwrap();
        let ring = Keyring::new(vec![Key::new(name.clone(), KeyKind::Hat1, versions)]).unwrap();
        let app = App {
            name: "acme-contacts".into(),
            key: Arc::clone(ring.key(&name).unwrap()),
            ttl: DEFAULT_TTL,
            max_ttl: Ttl::Seconds(MAX_TTL_CEILING),
            pad_to: 0,
            max_chars: DEFAULT_MAX_CHARS,
            require_username: true,
            username_form: UsernameForm::Exact,
            reseal_extends: false,
            login: Settings::default(),
        };
        Self { ring, app, policy: policy(None) }
    }

    fn usual() -> Self {
        Self::new(vec![version(1, 0)])
    }

    fn may<V: Verb>(&self) -> Permit<'_, V> {
        self.policy.permit(&Caller::parse("uid:1").unwrap(), Object::App("acme-contacts")).unwrap()
    }

    fn try_seal(&self, contents: &Contents<'_>, bindings: &Bindings<'_>) -> Result<Sealed, SealProblem> {
        let expires = lifetime(&self.may::<verb::Seal>(), &self.app, None, NOW).unwrap();
        let (entropy, limits) = (Entropy { salt: [7; 24], grant_id: [8; 16] }, SealLimits::default());
        seal(
            &self.may::<verb::Seal>(),
            &self.app,
            Purpose::HubAuth,
            contents,
            bindings,
            expires,
            Revoked::NOTHING,
            NOW,
            entropy,
            limits,
        )
    }

    fn seal(&self, payload: &[u8], bindings: &Bindings<'_>) -> Sealed {
        let sealed = self.try_seal(&Contents { payload, ..Contents::default() }, bindings);
        sealed.unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn examine<V: Verb>(&self, token: &str, bindings: &Bindings<'_>, now: UnixSeconds) -> Examined {
        let Ok(token) = Unverified::parse(token) else { panic!("malformed") };
        token.examine(&self.may::<V>(), &self.ring, &self.app, Purpose::HubAuth, bindings, Revoked::NOTHING, now)
    }

    fn verdict(&self, token: &str, bindings: &Bindings<'_>) -> (Verdict, Vec<Hint>) {
        let found = self.examine::<verb::Open>(token, bindings, NOW);
        assert_eq!(found.payload(&self.may()).is_some(), found.verdict == Verdict::Valid);
        (found.verdict, found.hints.iter().collect())
    }

    fn reseal(&self, token: &str, bindings: &Bindings<'_>, now: UnixSeconds) -> Resealed {
        let Ok(token) = Unverified::parse(token) else { panic!("malformed") };
        let (permit, limits) = (self.may(), SealLimits::default());
        reseal(
            &permit,
            &self.ring,
            &self.app,
            Purpose::HubAuth,
            &token,
            bindings,
            Revoked::NOTHING,
            now,
            [9; 24],
            limits,
        )
    }
}

fn version(number: u8, activates_at: i64) -> Version {
    Version::new(number.into(), UnixSeconds(activates_at), 32, Some(MacKey::new(&[number; 32])))
        .hat1(Suite::Aes256Gcm, None)
}

fn policy(max_ttl: Option<i64>) -> Policy {
    Policy::new(vec![Rule {
        name: "everything".into(),
        callers: vec![CallerPattern::Any],
        verbs: VerbName::ALL.into_iter().filter(|verb| verb.is_for_apps()).collect(),
        domains: Vec::new(),
        apps: vec![ObjectPattern::Any],
        keys: Vec::new(),
        limits: RuleLimits { max_ttl, rate: None },
    }])
    .unwrap()
}

#[test]
fn what_is_sealed_opens_with_everything_that_went_in() {
    let desk = Desk::usual();
    let labels = [("tenant", "7"), ("tenant", "8")];
    let contents = Contents {
        kind: PayloadKind::Json,
        payload: b"{}",
        hub_origin: Some("https://core.broadsoftlabs.com"),
        labels: &labels,
        ..Contents::default()
    };
    let bindings = Bindings { hub_login_token: Some("login"), ..USER };
    let sealed = desk.try_seal(&contents, &bindings).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!((sealed.token_id, sealed.grant_id, sealed.seals), ([7; 16], [8; 16], 1));
    assert_eq!((sealed.issued_at, sealed.expires_at), (NOW, Some(NOW.plus(90 * 86_400))));
    assert!(sealed.username_bound && sealed.hub_login_token_bound && sealed.hints == Hints::none());

    let found = desk.examine::<verb::Open>(&sealed.token, &bindings, NOW);
    assert_eq!((found.verdict, found.key_version), (Verdict::Valid, Some(1)));
    assert_eq!(found.payload(&desk.may()), Some(&b"{}"[..]));
    let claims = found.claims.unwrap();
    assert_eq!((claims.token_id, claims.grant_id, claims.kind), ([7; 16], [8; 16], PayloadKind::Json));
    assert_eq!((claims.issued_at, claims.expires_at), (NOW, Some(NOW.plus(90 * 86_400))));
    assert_eq!(claims.hub_origin.as_deref(), Some("https://core.broadsoftlabs.com"));
    assert_eq!(claims.labels, labels.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(claims.username_bound && claims.hub_login_token_bound && claims.reseal_count == 0);
}

#[test]
fn who_may_only_verify_gets_no_payload_even_with_a_permit_to_open() {
    let desk = Desk::usual();
    let found = desk.examine::<verb::Verify>(&desk.seal(b"secret", &USER).token, &USER, NOW);
    assert_eq!(found.verdict, Verdict::Valid);
    assert!(found.payload(&desk.may()).is_none());
}

#[test]
fn a_token_for_another_user_or_login_is_refused_and_a_missing_value_is_named() {
    let desk = Desk::usual();
    let both = Bindings { hub_login_token: Some("login"), ..USER };
    let token = desk.seal(b"p", &both).token;
    let missing = (Verdict::WrongContext, vec![Hint::BindingValueMissing]);
    let wrong = (Verdict::WrongContext, Vec::new());
    assert_eq!(desk.verdict(&token, &both), (Verdict::Valid, Vec::new()));
    assert_eq!(desk.verdict(&token, &USER), missing);
    assert_eq!(desk.verdict(&token, &Bindings { username: None, ..both }), missing);
    for other in ["Jo@example.com", "jo@example.co", "jo@example.comx"] {
        assert_eq!(desk.verdict(&token, &Bindings { username: Some(other), ..both }), wrong, "{other}");
    }
    assert_eq!(desk.verdict(&token, &Bindings { hub_login_token: Some("Login"), ..both }), wrong);
    let long = "x".repeat(70_000);
    assert_eq!(desk.verdict(&token, &Bindings { username: Some(&long), ..both }), wrong);
    let unbound_login = desk.seal(b"p", &USER).token;
    assert_eq!(desk.verdict(&unbound_login, &both).0, Verdict::Valid, "a value too many binds nothing");
}

#[test]
fn an_app_that_insists_on_the_username_seals_and_takes_no_token_without() {
    let mut desk = Desk::usual();
    let nobody = Bindings::default();
    assert_eq!(desk.try_seal(&Contents::default(), &nobody).err(), Some(SealProblem::UsernameMissing));
    desk.app.require_username = false;
    let sealed = desk.seal(b"p", &nobody);
    assert!(!sealed.username_bound && sealed.hints == Hint::NotRevocableByUser.into());
    assert_eq!(desk.verdict(&sealed.token, &nobody).0, Verdict::Valid);
    desk.app.require_username = true;
    assert_eq!(desk.verdict(&sealed.token, &USER), (Verdict::WrongContext, vec![Hint::BindingAbsent]));
}

#[test]
fn ascii_lower_takes_two_spellings_of_one_user_for_the_same() {
    let mut desk = Desk::usual();
    desk.app.username_form = UsernameForm::AsciiLower;
    let token = desk.seal(b"p", &Bindings { username: Some("JO@Example.com"), ..USER }).token;
    assert_eq!(desk.verdict(&token, &USER).0, Verdict::Valid);
    assert_eq!(desk.verdict(&token, &Bindings { username: Some("jo@example.org"), ..USER }).0, Verdict::WrongContext);
}

#[test]
fn a_login_state_is_bound_to_nothing_and_is_no_auth_token() {
    let desk = Desk::usual();
    let (entropy, limits) = (Entropy { salt: [7; 24], grant_id: [8; 16] }, SealLimits::default());
    let expires = Some(NOW.plus(900));
    let purpose = Purpose::HubLogin;
    let sealed = seal(
        &desk.may::<verb::Seal>(),
        &desk.app,
        purpose,
        &Contents::default(),
        &USER,
        expires,
        Revoked::NOTHING,
        NOW,
        entropy,
        limits,
    );
    let sealed = sealed.unwrap_or_else(|problem| panic!("{problem}"));
    assert!(!sealed.username_bound && sealed.hints == Hints::none());
    assert_eq!(desk.verdict(&sealed.token, &USER).0, Verdict::BadSignature);
    let Ok(token) = Unverified::parse(&sealed.token) else { panic!("malformed") };
    let permit = desk.may::<verb::Open>();
    let found = token.examine(&permit, &desk.ring, &desk.app, purpose, &Bindings::default(), Revoked::NOTHING, NOW);
    assert_eq!(found.verdict, Verdict::Valid);
}

#[test]
fn the_times_are_judged_to_the_second() {
    let desk = Desk::usual();
    let token = desk.seal(b"p", &USER).token;
    let at = |now| {
        let found = desk.examine::<verb::Open>(&token, &USER, now);
        assert!(found.claims.is_some(), "it is authentic whatever the time");
        assert_eq!(found.payload(&desk.may()).is_some(), found.verdict == Verdict::Valid);
        found.verdict
    };
    let expires = NOW.plus(90 * 86_400);
    assert_eq!((at(expires.plus(-1)), at(expires)), (Verdict::Valid, Verdict::Expired));
    assert_eq!((at(NOW.plus(-60)), at(NOW.plus(-61))), (Verdict::Valid, Verdict::NotYetValid));
}

#[test]
fn a_key_that_is_unknown_foreign_or_marked_is_named_by_a_hint() {
    let token = Desk::usual().seal(b"p", &USER).token;
    let unknown = |hint| (Verdict::UnknownKey, vec![hint]);
    assert_eq!(Desk::new(vec![version(2, 0)]).verdict(&token, &USER), unknown(Hint::KeyNotFound));
    for (mark, hint) in [
        (Mark::Suspended, Hint::KeySuspended),
        (Mark::Compromised, Hint::KeyCompromised),
        (Mark::Destroyed, Hint::KeyDestroyed),
    ] {
        let mut marked = version(1, 0);
        marked.mark = Some(mark);
        assert_eq!(Desk::new(vec![marked, version(2, 0)]).verdict(&token, &USER), unknown(hint));
    }
    let foreign = KeyName::new("foreign").unwrap();
    let keys = vec![
        Key::new(KeyName::new("k").unwrap(), KeyKind::Hat1, vec![version(2, 0)]),
        Key::new(foreign, KeyKind::Hat1, vec![version(1, 0)]),
    ];
    let mut desk = Desk::usual();
    desk.ring = Keyring::new(keys).unwrap();
    assert_eq!(desk.verdict(&token, &USER), unknown(Hint::KeyOfAnotherApp));
}

#[test]
fn quotes_are_taken_off_once_and_counted() {
    let desk = Desk::usual();
    let token = desk.seal(b"p", &USER).token;
    assert_eq!(desk.verdict(&format!("\"{token}\""), &USER), (Verdict::Valid, vec![Hint::Quoted]));
    for bad in [format!("\"\"{token}\"\""), format!("\"{token}"), format!("{token}\""), format!("'{token}'")] {
        assert!(Unverified::parse(&bad).is_err(), "{bad:.4}");
    }
    assert!(Unverified::parse("\"").is_err() && Unverified::parse("\"\"").is_err());
}

#[test]
fn malformed_tokens_carry_a_hint_where_one_helps() {
    let token = Desk::usual().seal(b"p", &USER).token;
    let hints = |text: &str| Unverified::parse(text).err().map(|hints| hints.iter().collect::<Vec<_>>());
    assert_eq!(hints("hello"), Some(vec![Hint::Truncated, Hint::WrongPrefix]));
    assert_eq!(hints(&token[..token.len() - 1]), Some(vec![Hint::Truncated]));
    assert_eq!(hints(&format!("{token}\n")), Some(vec![Hint::Whitespace]));
    assert_eq!(hints(&format!("{token}=")), Some(vec![]));
    assert_eq!(hints(&"x".repeat(9000)), Some(vec![Hint::Oversized, Hint::WrongPrefix]));
    assert_eq!(hints(&token.replacen("hat1_", "hat2_", 1)), Some(vec![Hint::WrongPrefix]));
    assert_eq!(hints(&token.to_lowercase()), Some(vec![Hint::ChecksumMismatch]));
}

#[test]
fn the_length_of_a_token_follows_from_what_is_in_it_and_the_padding() {
    let mut desk = Desk::usual();
    let length = |desk: &Desk, payload| {
        let payload = vec![0; payload];
        desk.try_seal(&Contents { payload: &payload, ..Contents::default() }, &USER).map(|sealed| sealed.token.len())
    };
    assert_eq!((length(&desk, 0), length(&desk, 9), length(&desk, 10)), (Ok(183), Ok(183), Ok(247)));
    assert_eq!(length(&desk, 2841), Ok(3959));
    assert_eq!(length(&desk, 2842), Err(SealProblem::TokenTooLong { chars: 4023, limit: 4000 }));
    desk.app.pad_to = 2000;
    assert_eq!(length(&desk, 0), length(&desk, 1962));
    (desk.app.pad_to, desk.app.max_chars) = (0, CHARS_MAX);
    assert_eq!(length(&desk, 4096), Ok(5687));
    assert_eq!(length(&desk, 4097), Err(SealProblem::PayloadTooLong));
    desk.app.pad_to = PLAINTEXT_MAX;
    assert_eq!(length(&desk, 4096), Ok(CHARS_MAX));
}

#[test]
fn bindings_that_no_token_can_have_are_refused() {
    let desk = Desk::usual();
    let refused = |bindings: Bindings<'_>| desk.try_seal(&Contents::default(), &bindings).err();
    let (long, longer) = ("u".repeat(1024), "u".repeat(1025));
    let name = |username| refused(Bindings { username: Some(username), hub_login_token: None });
    assert_eq!(name(&long), None);
    assert_eq!(name(&longer), Some(SealProblem::Username(TextProblem::TooLong(1024))));
    assert_eq!(name(""), Some(SealProblem::Username(TextProblem::Empty)));
    assert_eq!(name("jo\n"), Some(SealProblem::Username(TextProblem::Control)));
    let login = |token| refused(Bindings { hub_login_token: Some(token), ..USER });
    assert_eq!((login(&long), login("\n")), (None, None));
    assert_eq!(login(&longer), Some(SealProblem::HubLoginToken(TextProblem::TooLong(1024))));
    assert_eq!(login(""), Some(SealProblem::HubLoginToken(TextProblem::Empty)));
}

#[test]
fn without_an_active_version_or_past_the_limit_nothing_is_sealed() {
    let coming = Desk::new(vec![version(1, NOW.0 + 1)]);
    assert_eq!(coming.try_seal(&Contents::default(), &USER).err(), Some(SealProblem::NoActiveVersion));
    let desk = Desk::usual();
    let limits = SealLimits { alarm: 1, refuse: 2 };
    let seal = || {
        let (entropy, expires) = (Entropy { salt: [7; 24], grant_id: [8; 16] }, Some(NOW.plus(1)));
        seal(
            &desk.may::<verb::Seal>(),
            &desk.app,
            Purpose::HubAuth,
            &Contents::default(),
            &USER,
            expires,
            Revoked::NOTHING,
            NOW,
            entropy,
            limits,
        )
    };
    assert_eq!(seal().map(|sealed| sealed.seals), Ok(1));
    assert_eq!(seal().map(|sealed| limits.alarmed(sealed.seals)), Ok(true));
    assert_eq!(seal().err(), Some(SealProblem::SealLimitReached));
    desk.app.key.versions()[0].usage.reserve(Reserve::NOTHING);
    assert_eq!(seal().err(), Some(SealProblem::Unreserved));
}

#[test]
fn use_is_noted_on_the_version_that_was_used_and_a_failed_opening_is_none() {
    let desk = Desk::new(vec![version(1, 0), version(2, NOW.0 + 10)]);
    let noted = |number: usize| desk.app.key.versions()[number - 1].usage.evidence();
    let span = |at| Some(Span { first: NOW.plus(at), last: NOW.plus(at) });
    let sealed = desk.seal(b"p", &USER);
    let made = Evidence { minted: span(0), seals: 1, latest_expiry: sealed.expires_at, ..Evidence::default() };
    assert_eq!((noted(1), noted(2)), (made, Evidence::default()));
    let other = Bindings { username: Some("eve@example.com"), ..USER };
    assert_eq!(desk.examine::<verb::Open>(&sealed.token, &other, NOW).verdict, Verdict::WrongContext);
    let expired = desk.examine::<verb::Verify>(&sealed.token, &USER, sealed.expires_at.unwrap());
    assert_eq!((expired.verdict, noted(1)), (Verdict::Expired, made));
    desk.examine::<verb::Verify>(&sealed.token, &USER, NOW.plus(5));
    assert_eq!(noted(1), Evidence { verified: span(5), ..made });
    desk.reseal(&sealed.token, &USER, NOW.plus(20));
    assert_eq!(noted(1).verified.unwrap().last, NOW.plus(20), "the source is verified, and not sealed with");
    assert_eq!((noted(1).seals, noted(2)), (1, Evidence { minted: span(20), ..made }));
}

#[test]
fn problems_say_what_to_do_and_quote_nothing() {
    for problem in [SealProblem::UsernameMissing, SealProblem::Username(TextProblem::Control)] {
        assert!(problem.to_string().contains(": ") && problem.field() == Some("username"));
    }
}
