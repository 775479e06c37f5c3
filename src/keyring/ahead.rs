//! How far ahead of use its record is stored, as total functions on values.

use super::{
    evidence::{Evidence, NEVER},
    key::KeyKind,
    usage::Reserve,
};
use crate::clock::UnixSeconds;

/// Seconds that an expiry is stored ahead, beyond the latest that can be issued now. More is stored at half of it: for so
/// long nothing needs to be stored, and a crash makes an expiry no later than by this.
pub const EXPIRY_AHEAD: i64 = 6 * 3600;

/// Tokens that are counted ahead, likewise. Two cores seal half of it in some seconds, in batches.
pub const SEALS_AHEAD: u64 = 1 << 20;

/// How far a version can issue something at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Furthest {
    /// The latest expiry that something new may have.
    pub made: UnixSeconds,
    /// The latest expiry of what may be resealed with it, and keeps its own.
    pub resealed: Option<UnixSeconds>,
}

/// What is to be done about the bound of a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing: it reaches far enough.
    Keep,
    /// To be stored, and set then.
    Raise(Reserve),
    /// To be set, and stored then: it reaches much further than there is need for.
    Lower(Reserve),
}

/// The next step for a version that may issue as far as `furthest`, if it is bounded by `held` and was
/// used as `known` says. Only tokens are counted.
#[must_use]
pub fn step(kind: KeyKind, held: Reserve, known: &Evidence, furthest: Furthest) -> Step {
    // What is there already is stored as it is, so that nothing adds up over crashes.
    let ahead = |seconds| {
        let made = if furthest.made == NEVER { NEVER } else { furthest.made.plus(seconds) };
        [known.latest_expiry, furthest.resealed].into_iter().flatten().fold(made, UnixSeconds::max)
    };
    let counted = |tokens| if kind == KeyKind::Hat1 { known.seals.saturating_add(tokens) } else { 0 };
    let next = Reserve { until: ahead(EXPIRY_AHEAD), seals: counted(SEALS_AHEAD) };
    if held.until < ahead(EXPIRY_AHEAD / 2) || held.seals < counted(SEALS_AHEAD / 2) {
        Step::Raise(Reserve { until: next.until.max(held.until), ..next })
    } else if held.until > ahead(2 * EXPIRY_AHEAD) {
        Step::Lower(Reserve { until: next.until, seals: held.seals })
    } else {
        Step::Keep
    }
}

impl Evidence {
    /// What is stored of it, so that everything within the bound is covered.
    #[must_use]
    pub fn stored_with(&self, bound: Reserve) -> Self {
        Self {
            seals: self.seals.max(bound.seals),
            latest_expiry: self.latest_expiry.max((bound != Reserve::NOTHING).then_some(bound.until)),
            ..*self
        }
    }
}

/// Since when the use of a version is known that is seen for the first time `now`. Whoever has known its keyring for
/// longer than the version is there has missed nothing of it; `keyring_known` is since when.
#[must_use]
pub fn known_since(created_at: UnixSeconds, keyring_known: Option<UnixSeconds>, now: UnixSeconds) -> UnixSeconds {
    if keyring_known.is_some_and(|since| since <= created_at) { created_at.min(now) } else { now }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn by(made: UnixSeconds) -> Furthest {
        Furthest { made, resealed: None }
    }

    fn used(seals: u64, latest: Option<UnixSeconds>) -> Evidence {
        Evidence { seals, latest_expiry: latest, ..Evidence::default() }
    }

    #[test]
    fn more_is_stored_at_half_way() {
        let Step::Raise(first) = step(KeyKind::Hat1, Reserve::NOTHING, &used(0, None), by(NOW)) else {
            panic!("nothing is held")
        };
        assert_eq!(first, Reserve { until: NOW.plus(EXPIRY_AHEAD), seals: SEALS_AHEAD });
        let (half, seals_half) = (EXPIRY_AHEAD / 2, SEALS_AHEAD / 2);
        assert_eq!(step(KeyKind::Hat1, first, &used(seals_half, None), by(NOW.plus(half))), Step::Keep);
        assert!(matches!(step(KeyKind::Hat1, first, &used(seals_half + 1, None), by(NOW)), Step::Raise(_)));
        assert!(matches!(step(KeyKind::Hat1, first, &used(0, None), by(NOW.plus(half + 1))), Step::Raise(_)));
        let after_a_crash = used(0, Some(NOW.plus(EXPIRY_AHEAD)));
        assert_eq!(step(KeyKind::Hat1, Reserve::NOTHING, &after_a_crash, by(NOW)), Step::Raise(first));
        let never = Reserve { until: NEVER, ..first };
        assert_eq!(step(KeyKind::Hat1, first, &used(0, Some(NEVER)), by(NOW)), Step::Raise(never));
        assert_eq!(step(KeyKind::Hat1, never, &used(0, None), by(NEVER)), Step::Keep);
        let lower = Reserve { until: NOW.plus(EXPIRY_AHEAD), seals: SEALS_AHEAD };
        assert_eq!(step(KeyKind::Hat1, never, &used(0, None), by(NOW)), Step::Lower(lower));
    }

    #[test]
    fn nothing_is_missing_of_a_version_younger_than_the_knowledge_of_its_keyring() {
        let created = NOW.plus(-100);
        assert_eq!(known_since(created, Some(created), NOW), created);
        assert_eq!(known_since(created, Some(created.plus(1)), NOW), NOW);
        assert_eq!(known_since(created, None, NOW), NOW);
        assert_eq!(known_since(NOW.plus(5), Some(created), NOW), NOW, "a clock that was ahead");
    }

    fn moment() -> impl Strategy<Value = UnixSeconds> {
        prop_oneof![4 => (-100_000_i64..100_000).prop_map(|at| NOW.plus(at)), 1 => Just(NEVER), 1 => any::<i64>().prop_map(UnixSeconds)]
    }

    proptest! {
        #[test]
        fn a_step_covers_what_can_be_issued_and_one_is_enough(
            until in moment(), seals: u64, sealed: u64, latest in option::of(moment()), made in moment(),
            resealed in option::of(moment()), is_token: bool,
        ) {
            let furthest = Furthest { made, resealed };
            let (kind, sealed) = if is_token { (KeyKind::Hat1, sealed) } else { (KeyKind::LiveAuth, 0) };
            let (held, known) = (Reserve { until, seals }, used(sealed, latest));
            let next = match step(kind, held, &known, furthest) {
                Step::Keep => held,
                Step::Raise(next) => {
                    prop_assert!(next.until >= held.until);
                    next
                }
                Step::Lower(next) => {
                    prop_assert!(next.until < held.until && next.seals == held.seals);
                    next
                }
            };
            prop_assert!(next.until >= made && resealed.is_none_or(|at| next.until >= at));
            prop_assert!(next.seals > sealed || !is_token || sealed > u64::MAX - SEALS_AHEAD);
            prop_assert_eq!(latest.is_none_or(|at| next.until >= at), true);
            let again = step(kind, next, &known, furthest);
            prop_assert!(!matches!(again, Step::Raise(_)) || sealed > u64::MAX - SEALS_AHEAD, "{again:?}");
            let stored = known.stored_with(next);
            prop_assert!(stored.seals >= next.seals && stored.latest_expiry >= Some(next.until));
        }
    }
}
