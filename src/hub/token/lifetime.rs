//! When a token expires.

use std::fmt;

use crate::{
    clock::{LATEST, UnixSeconds},
    hub::app::{App, Ttl},
    policy::{Permit, Sealing, Verb},
};

/// Why a lifetime that was asked for is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LifetimeProblem {
    /// A ttl below one second.
    NotPositive,
    /// Longer than allowed.
    TooLong {
        /// What is allowed, seconds.
        limit: i64,
        /// Who says so: `app` or `rule`.
        whose: &'static str,
    },
}

impl fmt::Display for LifetimeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPositive => f.write_str("the ttl must be at least 1 second"),
            Self::TooLong { limit, whose } => write!(f, "the {whose} allows at most {limit} seconds: ask for less"),
        }
    }
}

/// When a token sealed now expires; `None` is never. A ttl beyond a limit is refused; only the default is clamped.
pub fn lifetime<V: Sealing>(
    permit: &Permit<'_, V>,
    app: &App,
    ttl: Option<i64>,
    now: UnixSeconds,
) -> Result<Option<UnixSeconds>, LifetimeProblem> {
    let Some(ttl) = ttl else { return Ok(default_expiry(permit, app, now)) };
    let (mut limit, mut whose) = match app.max_ttl {
        Ttl::Seconds(most) => (most, "app"),
        Ttl::Never => (LATEST.since(now), "app"),
    };
    if let Some(most) = permit.max_ttl()
        && most < limit
    {
        (limit, whose) = (most, "rule");
    }
    if ttl < 1 {
        return Err(LifetimeProblem::NotPositive);
    }
    if ttl > limit { Err(LifetimeProblem::TooLong { limit, whose }) } else { Ok(Some(now.plus(ttl))) }
}

/// When a token expires by the app's default, clamped to what the rule allows.
pub(super) fn default_expiry<V: Verb>(permit: &Permit<'_, V>, app: &App, now: UnixSeconds) -> Option<UnixSeconds> {
    let limits = [app.ttl, app.max_ttl, permit.max_ttl().map_or(Ttl::Never, Ttl::Seconds)];
    let seconds = limits.into_iter().filter_map(|ttl| match ttl {
        Ttl::Seconds(seconds) => Some(seconds),
        Ttl::Never => None,
    });
    seconds.min().map(|seconds| now.plus(seconds))
}
