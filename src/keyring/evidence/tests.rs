//! The judgement as a table, and what holds of it for whatever evidence.

use proptest::{collection::vec, option, prelude::*};

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const STATES: [State; 6] =
    [State::PreActive, State::Active, State::Deactivated, State::Suspended, State::Compromised, State::Destroyed];

fn standing(kind: KeyKind, state: State) -> Standing {
    Standing { kind, state, activates_at: NOW.plus(-1000), ended_at: Some(NOW.plus(-500)) }
}

fn known(since: i64, latest: Option<i64>, seals: u64) -> Evidence {
    Evidence {
        known_since: Some(NOW.plus(since)),
        seals,
        latest_expiry: latest.map(|at| if at == i64::MAX { NEVER } else { NOW.plus(at) }),
        ..Evidence::default()
    }
}

#[test]
fn what_is_known_decides_whether_it_is_safe() {
    let hat1 = |state, evidence: Evidence| evidence.judge(&standing(KeyKind::Hat1, state), NOW);
    let safe = |at: i64| Destruction::Safe { since: Some(NOW.plus(at)) };
    let whole = known(-1000, Some(-1), 7);
    for state in [State::Deactivated, State::Suspended] {
        assert_eq!(hat1(state, whole), safe(-1));
        assert_eq!(hat1(state, known(-1000, Some(0), 7)), safe(0), "a token is void in the second of its expiry");
        assert_eq!(hat1(state, known(-1000, Some(1), 7)), Destruction::Issued { until: NOW.plus(1), seals: 7 });
        assert_eq!(hat1(state, known(-1000, None, 0)), safe(-500), "it made nothing, and ended then");
        assert_eq!(hat1(state, known(-1000, Some(-700), 1)), safe(-500));
        assert_eq!(hat1(state, known(-1000, Some(i64::MAX), 7)), Destruction::NeverExpires { seals: 7 });
        let younger = Destruction::Unknown { known_since: Some(NOW.plus(-999)) };
        assert_eq!(hat1(state, known(-999, Some(-1), 7)), younger);
        assert_eq!(hat1(state, known(-999, None, 0)), younger);
        assert_eq!(hat1(state, known(-999, Some(9), 7)), Destruction::Issued { until: NOW.plus(9), seals: 7 });
        assert_eq!(hat1(state, Evidence::default()), Destruction::Unknown { known_since: None });
    }
    assert_eq!(hat1(State::Active, whole), Destruction::Active);
    assert_eq!(hat1(State::PreActive, whole), Destruction::PreActive { activates_at: NOW.plus(-1000) });
    assert_eq!(hat1(State::Compromised, Evidence::default()), safe(-500));
    assert_eq!(hat1(State::Destroyed, whole), Destruction::Done);
}

#[test]
fn hashes_from_before_it_was_known_are_void_after_a_day() {
    let liveauth = |evidence: Evidence| evidence.judge(&standing(KeyKind::LiveAuth, State::Deactivated), NOW);
    let safe = |at: i64| Destruction::Safe { since: Some(NOW.plus(at)) };
    assert_eq!(liveauth(known(-1000, Some(-31), 0)), safe(0), "leeway is for the whole second");
    assert_eq!(liveauth(known(-1000, Some(-30), 0)), Destruction::Issued { until: NOW.plus(1), seals: 0 });
    assert_eq!(
        liveauth(known(-999, Some(-40), 0)),
        Destruction::Issued { until: NOW.plus(86_400 + 31 - 999), seals: 0 }
    );
    let old = Standing { activates_at: NOW.plus(-90_000), ..standing(KeyKind::LiveAuth, State::Deactivated) };
    assert_eq!(known(-89_000, None, 0).judge(&old, NOW), Destruction::Safe { since: Some(NOW.plus(-500)) });
}

#[test]
fn the_texts_say_since_when_or_what_would_break() {
    let text = |destruction: Destruction| destruction.to_string();
    assert_eq!(text(Destruction::Safe { since: Some(NOW) }), "safe to destroy since 2027-01-15T08:00:00Z");
    let issued = text(Destruction::Issued { until: NOW, seals: 2 });
    assert_eq!(
        issued,
        "not safe to destroy before 2027-01-15T08:00:00Z: of the tokens that it sealed (at most 2) some may be valid \
         until then"
    );
    for destruction in [
        Destruction::Active,
        Destruction::PreActive { activates_at: NOW },
        Destruction::NeverExpires { seals: 1 },
        Destruction::Unknown { known_since: Some(NOW) },
        Destruction::Unknown { known_since: None },
    ] {
        assert!(text(destruction).starts_with("not ") && !destruction.is_safe());
    }
}

fn kind() -> impl Strategy<Value = KeyKind> {
    prop_oneof![Just(KeyKind::LiveAuth), Just(KeyKind::Hat1)]
}

/// Around a moment, and the ends of time.
fn moment() -> impl Strategy<Value = UnixSeconds> {
    prop_oneof![8 => (-200_000_i64..200_000).prop_map(|at| NOW.plus(at)), 1 => any::<i64>().prop_map(UnixSeconds), 1 => Just(NEVER)]
}

fn span() -> impl Strategy<Value = Option<Span>> {
    option::of((moment(), moment()).prop_map(|(a, b)| Span { first: a.min(b), last: a.max(b) }))
}

prop_compose! {
    fn evidence()(
        known_since in option::weighted(0.9, moment()), minted in span(), verified in span(),
        seals in prop_oneof![0_u64..9, any::<u64>()], latest_expiry in option::of(moment()),
    ) -> Evidence {
        Evidence { known_since, minted, verified, seals, latest_expiry }
    }
}

prop_compose! {
    fn version()(
        kind in kind(), state in prop::sample::select(&STATES[..]), activates_at in moment(), ended_at in option::of(moment()),
    ) -> Standing {
        Standing { kind, state, activates_at, ended_at }
    }
}

proptest! {
    #[test]
    fn there_is_an_answer_to_everything_and_what_mints_or_may_be_valid_is_never_safe(
        evidence in evidence(), version in version(), now in moment(),
    ) {
        let judged = evidence.judge(&version, now);
        prop_assert!(!judged.to_string().contains('\n'));
        if judged.is_safe() && version.state != State::Compromised {
            prop_assert!(matches!(version.state, State::Deactivated | State::Suspended));
            prop_assert!(evidence.known_since.is_some());
            prop_assert!(evidence.latest_expiry.is_none_or(|at| at <= now), "{:?}", evidence.latest_expiry);
        }
        if let Destruction::Issued { until, .. } = judged {
            prop_assert!(until > now);
        }
    }

    /// Nothing but new use makes it unsafe again, and the moment that is told is the right one.
    #[test]
    fn what_is_safe_stays_safe_and_what_is_not_becomes_so_at_the_moment_told(
        evidence in evidence(), version in version(), now in moment(), later in 0_i64..1_000_000,
    ) {
        match evidence.judge(&version, now) {
            safe @ Destruction::Safe { .. } => prop_assert_eq!(evidence.judge(&version, now.plus(later)), safe),
            Destruction::Issued { until, .. } => {
                let before = evidence.judge(&version, until.plus(-1));
                prop_assert!(matches!(before, Destruction::Issued { .. }), "{before:?}");
                let then = evidence.judge(&version, until);
                prop_assert!(!matches!(then, Destruction::Issued { .. }), "{then:?}");
            }
            _ => {}
        }
    }

    #[test]
    fn more_use_is_never_safer(one in evidence(), more in evidence(), version in version(), now in moment()) {
        // Who began to look earlier may know what was unknown; what both know counts.
        let more = Evidence { known_since: one.known_since.and(one.known_since.max(more.known_since)), ..more };
        let both = one.with(&more);
        prop_assert_eq!(both, more.with(&one));
        if both.judge(&version, now).is_safe() {
            prop_assert!(one.judge(&version, now).is_safe());
        }
    }

    #[test]
    fn it_makes_no_difference_who_noted_what(all in vec(evidence(), 1..5)) {
        let forwards = all.iter().fold(Evidence::default(), |sum, one| sum.with(one));
        let backwards = all.iter().rev().fold(Evidence::default(), |sum, one| sum.with(one));
        prop_assert_eq!(forwards, backwards);
        prop_assert_eq!(forwards.latest_expiry, all.iter().filter_map(|one| one.latest_expiry).max());
        prop_assert_eq!(forwards.known_since, all.iter().filter_map(|one| one.known_since).min());
    }
}
