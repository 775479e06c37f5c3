use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    crypto::mac::MacKey,
    hub::{
        app::{DEFAULT_MAX_CHARS, DEFAULT_TTL, MAX_TTL_CEILING, Ttl, UsernameForm},
        login::Settings,
    },
    keyring::{Key, KeyKind, KeyName},
};

fn app(name: &str, username_form: UsernameForm) -> App {
    App {
        name: name.into(),
        key: Arc::new(Key::new(KeyName::new("k").unwrap(), KeyKind::Hat1, Vec::new())),
        ttl: DEFAULT_TTL,
        max_ttl: Ttl::Seconds(MAX_TTL_CEILING),
        pad_to: 0,
        max_chars: DEFAULT_MAX_CHARS,
        require_username: true,
        username_form,
        reseal_extends: false,
        login: Settings::default(),
    }
}

fn digests() -> UserDigests {
    UserDigests::new(MacKey::new(&[7; 32]))
}

fn entry(app: &str, kind: Kind, subject: [u8; 16], until: i64, ends: Option<i64>) -> Entry {
    Entry { app: app.into(), kind, subject, until: UnixSeconds(until), ends: ends.map(UnixSeconds) }
}

/// Ids that share their first bits, or all but the last, or nothing.
fn id(number: u32) -> [u8; 16] {
    let mut id = [0; 16];
    match number % 3 {
        0 => id[15] = u8::try_from(number % 200).unwrap(),
        1 => id[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B1).to_be_bytes()),
        _ => id[7..11].copy_from_slice(&number.to_be_bytes()),
    }
    id
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<(u32, i64, Option<i64>)>),
    Sweep(i64),
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (0_u32..3000, 0_i64..100, prop_oneof![Just(None), (0_i64..100).prop_map(Some)]);
    let step = prop_oneof![
        6 => prop::collection::vec(row, 1..400).prop_map(Step::Add),
        2 => (0_i64..100).prop_map(Step::Sweep),
        1 => Just(Step::Reload),
    ];
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever is added, in any groups, and swept: the answers are those of a plain map.
    #[test]
    fn it_answers_as_a_plain_map_does(steps in steps()) {
        let mut denied = Denied::default();
        let mut model: BTreeMap<[u8; 16], (i64, i64)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add(rows) => {
                    let entries: Vec<Entry> =
                        rows.iter().map(|&(n, until, ends)| entry("a", Kind::Grant, id(n), until, ends)).collect();
                    denied = denied.with(&entries);
                    for (n, until, ends) in rows {
                        let known = model.entry(id(n)).or_insert((i64::MIN, i64::MIN));
                        *known = (known.0.max(until), known.1.max(ends.unwrap_or(i64::MAX)));
                    }
                }
                Step::Sweep(now) => {
                    denied = denied.without_ended(UnixSeconds(now));
                    model.retain(|_, (_, ends)| now < *ends);
                }
                Step::Reload => {
                    let mut loading = Denied::load();
                    loading.expect("a", Kind::Grant, model.len());
                    for (id, (until, ends)) in &model {
                        let ends = (*ends != i64::MAX).then_some(*ends);
                        loading.add(&entry("a", Kind::Grant, *id, *until, ends));
                    }
                    denied = loading.finish();
                }
            }
            prop_assert_eq!(denied.count(Kind::Grant), model.len());
            let app = app("a", UsernameForm::Exact);
            let revoked = denied.of(&app, None);
            for n in 0..3000 {
                let until = model.get(&id(n)).map(|(until, _)| *until);
                for issued in until.into_iter().flat_map(|until| [until - 1, until, until + 1]).chain([50]) {
                    let expected = until.is_some_and(|until| issued <= until);
                    prop_assert_eq!(revoked.covers(&id(n), None, UnixSeconds(issued)), expected);
                }
            }
        }
    }
}

#[test]
fn a_large_set_finds_all_that_is_in_it_and_nothing_else() {
    let many = |from: u32| {
        (from..from + 50_000).map(|n| u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
    };
    let ids: Vec<[u8; 16]> = many(1).map(u128::to_be_bytes).collect();
    let mut denied = Denied::default();
    for group in ids.chunks(777) {
        let group: Vec<Entry> = group.iter().map(|&id| entry("a", Kind::Token, id, 5, Some(9))).collect();
        denied = denied.with(&group);
    }
    let app = app("a", UsernameForm::Exact);
    let revoked = denied.of(&app, None);
    assert!(ids.iter().all(|id| revoked.has_token(id)));
    assert!(!many(100_000).any(|id| revoked.has_token(&id.to_be_bytes())));
    assert_eq!(denied.count(Kind::Token), ids.len());
    assert_eq!(denied.without_ended(UnixSeconds(9)).count(Kind::Token), 0);
}

#[test]
fn each_kind_cuts_off_its_own_and_no_other_app_s() {
    let (one, other, digests) = (app("one", UsernameForm::Exact), app("other", UsernameForm::Exact), digests());
    let jane = digests.of(&one, "jane").0;
    let of = |kind, subject| Denied::default().with(&[entry("one", kind, subject, 10, None)]);
    let covers = |denied: &Denied, app: &App, grant, user, at| {
        denied.of(app, Some(&digests)).covers(&grant, user, UnixSeconds(at))
    };
    let token = of(Kind::Token, [1; 16]);
    assert!(token.of(&one, None).has_token(&[1; 16]) && !token.of(&one, None).has_token(&[2; 16]));
    assert!(!token.of(&other, None).has_token(&[1; 16]) && !covers(&token, &one, [1; 16], Some("jane"), 10));
    let grant = of(Kind::Grant, [1; 16]);
    assert!(covers(&grant, &one, [1; 16], None, 10) && !covers(&grant, &one, [1; 16], None, 11));
    assert!(!covers(&grant, &other, [1; 16], None, 10) && !covers(&grant, &one, [2; 16], None, 10));
    let user = of(Kind::User, jane);
    assert!(covers(&user, &one, [3; 16], Some("jane"), 10) && !covers(&user, &one, [3; 16], Some("jane"), 11));
    assert!(!covers(&user, &one, [3; 16], Some("Jane"), 10) && !covers(&user, &one, [3; 16], None, 10));
    assert!(!covers(&user, &other, [3; 16], Some("jane"), 10));
    let whole = of(Kind::App, [0; 16]);
    assert!(covers(&whole, &one, [4; 16], None, 10) && !covers(&whole, &one, [4; 16], None, 11));
    assert!(!covers(&whole, &other, [4; 16], None, 10));
}

#[test]
fn users_are_known_in_the_form_in_which_their_app_compares_them() {
    let digests = digests();
    let (exact, lower) = (app("a", UsernameForm::Exact), app("a", UsernameForm::AsciiLower));
    assert_ne!(digests.of(&exact, "Jo"), digests.of(&exact, "jo"));
    assert_eq!(digests.of(&lower, "Jo"), digests.of(&lower, "jo"));
    assert_ne!(digests.of(&exact, "jo"), digests.of(&app("b", UsernameForm::Exact), "jo"));
    assert_ne!(digests.of(&exact, "jo"), UserDigests::new(MacKey::new(&[8; 32])).of(&exact, "jo"));
}

#[test]
fn a_second_revocation_covers_what_was_issued_after_the_first() {
    let (one, digests) = (app("one", UsernameForm::Exact), digests());
    let now = UnixSeconds(100);
    let mut denied = Denied::default();
    for (round, expected) in [102, 103, 104].into_iter().enumerate() {
        let until = denied.of(&one, None).until_now(now);
        assert_eq!(until.0, expected, "{round}");
        let jane = digests.of(&one, "jane").0;
        denied = denied.with(&[Entry { until, ..entry("one", Kind::User, jane, 0, Some(200)) }]);
        let fresh = denied.of(&one, Some(&digests)).issue_at(Some("jane"), now);
        assert!(!denied.of(&one, Some(&digests)).covers(&[0; 16], Some("jane"), fresh));
        // Neither a whole app's nor anybody else's comes before it.
        assert!(fresh <= denied.of(&one, None).until_now(now));
    }
    let ahead =
        denied.with(&[entry("one", Kind::App, [0; 16], 130, None), entry("one", Kind::Grant, [0; 16], 999, None)]);
    assert_eq!(ahead.of(&one, None).until_now(now).0, 130, "never further ahead than may be asked for");
    assert_eq!(ahead.of(&one, None).until_now(UnixSeconds(500)).0, 502);
    assert_eq!(Revoked::NOTHING.until_now(now).0, 102);
}

#[test]
fn a_token_is_issued_after_the_entries_that_would_cut_it_off() {
    let (one, digests) = (app("one", UsernameForm::Exact), digests());
    let user = entry("one", Kind::User, digests.of(&one, "jane").0, 12, Some(99));
    let denied = Denied::default().with(&[user, entry("one", Kind::Grant, [1; 16], 20, None)]);
    let at = |denied: &Denied, user, now| denied.of(&one, Some(&digests)).issue_at(user, UnixSeconds(now)).0;
    assert_eq!(
        (at(&denied, Some("jane"), 10), at(&denied, Some("jane"), 13), at(&denied, Some("jo"), 10)),
        (13, 13, 10)
    );
    assert_eq!((at(&denied, None, 10), at(&denied, Some("jane"), 50)), (10, 50));
    let whole = denied.with(&[entry("one", Kind::App, [0; 16], 15, None)]);
    assert_eq!((at(&whole, Some("jane"), 10), at(&whole, None, 10), at(&whole, None, 17)), (16, 16, 17));
    assert_eq!(Revoked::NOTHING.issue_at(Some("jane"), UnixSeconds(3)).0, 3);
}
