//! What is known of the use of a version, as a value, and what follows from it: whether destroying the version breaks
//! anything. It makes too much of use where it must, never too little; what it does not know, it calls unknown.

use std::fmt;

use super::key::{Key, KeyKind, State, Version};
use crate::clock::UnixSeconds;

/// The expiry of what never expires.
pub const NEVER: UnixSeconds = UnixSeconds(i64::MAX);

/// The longest that a LiveAuth hash is ever valid, seconds, whatever the configuration says.
pub const HASH_LIFE_MAX: i64 = 86_400;
/// The longest that one is taken after its expiry, seconds, likewise.
pub const HASH_LEEWAY_MAX: i64 = 30;

/// The first and the last time of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first time.
    pub first: UnixSeconds,
    /// The last time.
    pub last: UnixSeconds,
}

/// What is known of the use of a version. It may make too much of seals and of the latest expiry, and never too little.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Evidence {
    /// From when on nothing is missing; `None` where nobody keeps it.
    pub known_since: Option<UnixSeconds>,
    /// Minting and sealing.
    pub minted: Option<Span>,
    /// Verifying and opening of what was valid.
    pub verified: Option<Span>,
    /// Tokens sealed.
    pub seals: u64,
    /// The latest expiry that was issued, or was seen on something valid; [`NEVER`] of what does not expire.
    pub latest_expiry: Option<UnixSeconds>,
}

/// What a version is, as far as its destruction goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What its key is for.
    pub kind: KeyKind,
    /// Its state.
    pub state: State,
    /// When it was to mint first.
    pub activates_at: UnixSeconds,
    /// Since when it makes nothing, where that is known; one that is compromised: since when nothing of it is taken.
    pub ended_at: Option<UnixSeconds>,
}

/// What destroying a version means. Its text stands after a name: "version 2: …".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Destruction {
    /// It is destroyed.
    Done,
    /// Nothing that it made is taken any more, since then; `None` where that is not known.
    Safe {
        /// Since when.
        since: Option<UnixSeconds>,
    },
    /// It mints.
    Active,
    /// It is to mint from then on.
    PreActive {
        /// When.
        activates_at: UnixSeconds,
    },
    /// What it made may be valid until then.
    Issued {
        /// The moment from which on nothing is.
        until: UnixSeconds,
        /// So many tokens at most; 0 where they are not counted.
        seals: u64,
    },
    /// Some of the tokens that it sealed do not expire.
    NeverExpires {
        /// So many tokens at most.
        seals: u64,
    },
    /// What it made before that moment is not known; `None`: nothing at all is.
    Unknown {
        /// The moment.
        known_since: Option<UnixSeconds>,
    },
}

impl Evidence {
    /// All that two know who noted the use of one version side by side.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let span = |one: Option<Span>, other: Option<Span>| match (one, other) {
            (Some(one), Some(other)) => {
                Some(Span { first: one.first.min(other.first), last: one.last.max(other.last) })
            }
            (one, other) => one.or(other),
        };
        Self {
            known_since: [self.known_since, other.known_since].into_iter().flatten().min(),
            minted: span(self.minted, other.minted),
            verified: span(self.verified, other.verified),
            seals: self.seals.saturating_add(other.seals),
            latest_expiry: self.latest_expiry.max(other.latest_expiry),
        }
    }

    /// What destroying a version means that stands so at `now`.
    #[must_use]
    pub fn judge(&self, version: &Standing, now: UnixSeconds) -> Destruction {
        match version.state {
            State::Destroyed => Destruction::Done,
            State::Compromised => Destruction::Safe { since: version.ended_at },
            State::Active => Destruction::Active,
            State::PreActive => Destruction::PreActive { activates_at: version.activates_at },
            State::Deactivated | State::Suspended => self.judge_out_of_use(version, now),
        }
    }

    fn judge_out_of_use(&self, version: &Standing, now: UnixSeconds) -> Destruction {
        let Some(known_since) = self.known_since else { return Destruction::Unknown { known_since: None } };
        if self.latest_expiry == Some(NEVER) {
            return Destruction::NeverExpires { seals: self.seals };
        }
        let is_whole = known_since <= version.activates_at;
        let until = match version.kind {
            KeyKind::Hat1 => self.latest_expiry,
            KeyKind::LiveAuth => {
                // A hash is valid in the second of its expiry. Whatever was minted unseen is void after a day.
                let unseen = (!is_whole).then(|| known_since.plus(HASH_LIFE_MAX));
                self.latest_expiry.max(unseen).map(|at| at.plus(HASH_LEEWAY_MAX + 1))
            }
        };
        match until {
            Some(until) if now < until => Destruction::Issued { until, seals: self.seals },
            _ if version.kind == KeyKind::Hat1 && !is_whole => Destruction::Unknown { known_since: Some(known_since) },
            until => Destruction::Safe { since: until.max(version.ended_at) },
        }
    }
}

impl Key {
    /// How `version` stands at `now`, as far as its destruction goes.
    #[must_use]
    pub fn standing(&self, version: &Version, now: UnixSeconds) -> Standing {
        let state = self.state(version, now);
        let replaced = self.deactivates_at(version).filter(|at| *at <= now && state != State::Compromised);
        Standing {
            kind: self.kind,
            state,
            activates_at: version.activates_at,
            ended_at: [replaced, version.marked.out_of_use_since()].into_iter().flatten().min(),
        }
    }
}

impl Destruction {
    /// A name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Safe { .. } => "safe",
            Self::Active => "active",
            Self::PreActive { .. } => "pre-active",
            Self::Issued { .. } => "issued",
            Self::NeverExpires { .. } => "never-expires",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The moment that it is about.
    #[must_use]
    pub const fn at(self) -> Option<UnixSeconds> {
        match self {
            Self::Safe { since } => since,
            Self::PreActive { activates_at } => Some(activates_at),
            Self::Issued { until, .. } => Some(until),
            Self::Unknown { known_since } => known_since,
            Self::Done | Self::Active | Self::NeverExpires { .. } => None,
        }
    }

    /// Whether nothing breaks.
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Safe { .. })
    }
}

impl fmt::Display for Destruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = |seals: u64| match seals {
            0 => "what it made".to_owned(),
            1 => "the token that it sealed".to_owned(),
            n => format!("of the tokens that it sealed (at most {n}) some"),
        };
        match *self {
            Self::Done => f.write_str("destroyed"),
            Self::Safe { since: Some(since) } => write!(f, "safe to destroy since {}", since.utc()),
            Self::Safe { since: None } => f.write_str("safe to destroy"),
            Self::Active => f.write_str("not safe to destroy: it mints; rotate the key first"),
            Self::PreActive { activates_at } => {
                write!(f, "not safe to destroy: it is to mint from {} on", activates_at.utc())
            }
            Self::Issued { until, seals } => {
                write!(f, "not safe to destroy before {}: {} may be valid until then", until.utc(), what(seals))
            }
            Self::NeverExpires { seals } => {
                write!(f, "not safe to destroy: {} may never expire; reseal or revoke them first", what(seals))
            }
            Self::Unknown { known_since: Some(since) } => {
                write!(
                    f,
                    "not known to be safe to destroy: its use is known since {} only, and it could mint before",
                    since.utc()
                )
            }
            Self::Unknown { known_since: None } => {
                f.write_str("not known to be safe to destroy: no ledger has anything of its use")
            }
        }
    }
}

#[cfg(test)]
mod tests;
