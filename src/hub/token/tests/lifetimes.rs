//! How long a token lives, and who limits that.

use super::*;

#[test]
fn a_token_without_expiry_is_for_apps_that_say_never_only() {
    let mut desk = Desk::usual();
    let with = |desk: &Desk, expires| {
        let (entropy, limits) = (Entropy { salt: [7; 24], grant_id: [8; 16] }, SealLimits::default());
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
    for expires in [None, Some(UnixSeconds(0)), Some(UnixSeconds(-1)), Some(NOW), Some(UnixSeconds(253_402_300_800))] {
        assert_eq!(with(&desk, expires).err(), Some(SealProblem::Expiry), "{expires:?}");
    }
    (desk.app.ttl, desk.app.max_ttl) = (Ttl::Never, Ttl::Never);
    let sealed = with(&desk, None).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(sealed.expires_at, None);
    let found = desk.examine::<verb::Open>(&sealed.token, &USER, UnixSeconds(i64::MAX));
    assert_eq!((found.verdict, found.claims.unwrap().expires_at), (Verdict::Valid, None));
}

#[test]
fn a_lifetime_beyond_a_limit_is_refused_and_only_the_default_is_clamped() {
    let mut desk = Desk::usual();
    let asked = |desk: &Desk, ttl| {
        lifetime(&desk.may::<verb::Seal>(), &desk.app, ttl, NOW).map(|at| at.map(|at| at.since(NOW)))
    };
    let too_long = |limit, whose| Err(LifetimeProblem::TooLong { limit, whose });
    assert_eq!(asked(&desk, None), Ok(Some(90 * 86_400)));
    assert_eq!(asked(&desk, Some(MAX_TTL_CEILING)), Ok(Some(MAX_TTL_CEILING)));
    assert_eq!(asked(&desk, Some(MAX_TTL_CEILING + 1)), too_long(MAX_TTL_CEILING, "app"));
    assert_eq!(asked(&desk, Some(0)), Err(LifetimeProblem::NotPositive));
    desk.policy = policy(Some(60));
    assert_eq!((asked(&desk, None), asked(&desk, Some(61))), (Ok(Some(60)), too_long(60, "rule")));
    (desk.app.ttl, desk.app.max_ttl) = (Ttl::Never, Ttl::Never);
    assert_eq!((asked(&desk, None), asked(&desk, Some(61))), (Ok(Some(60)), too_long(60, "rule")));
    desk.policy = policy(None);
    assert_eq!((asked(&desk, None), asked(&desk, Some(1 << 32))), (Ok(None), Ok(Some(1 << 32))));
    assert_eq!(asked(&desk, Some(i64::MAX)), too_long(253_402_300_799 - NOW.0, "app"));
}
