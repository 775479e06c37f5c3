//! The closed list of what can be found out about a hash or a token, and the remarks that may go with it.
//! Failing verification is a value, never an error.

/// What was found out. The first check that fails decides.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Authentic, in time, and in the context it was made for.
    Valid,
    /// Authentic, but its time is over.
    Expired,
    /// Authentic, but issued in the future.
    NotYetValid,
    /// Authentic, but it expires later than any we would have made.
    TooFarAhead,
    /// No usable key made it.
    BadSignature,
    /// Not of the format; no key was tried.
    Malformed,
    /// Its key (or its Referer's domain) is not known or not usable.
    UnknownKey,
    /// Bound to another user or login, or its body was altered.
    WrongContext,
    /// Authentic, but cut off.
    Revoked,
}

impl Verdict {
    /// Every verdict, in the order of their numbers in the API (the first is number 1).
    pub const ALL: [Self; 9] = [
        Self::Valid,
        Self::Expired,
        Self::NotYetValid,
        Self::TooFarAhead,
        Self::BadSignature,
        Self::Malformed,
        Self::UnknownKey,
        Self::WrongContext,
        Self::Revoked,
    ];

    /// The name without the API's prefix, as logs, metrics and text output show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Expired => "EXPIRED",
            Self::NotYetValid => "NOT_YET_VALID",
            Self::TooFarAhead => "TOO_FAR_AHEAD",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::Malformed => "MALFORMED",
            Self::UnknownKey => "UNKNOWN_KEY",
            Self::WrongContext => "WRONG_CONTEXT",
            Self::Revoked => "REVOKED",
        }
    }
}

/// A remark for the operator of the calling service; it never changes a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hint {
    /// A time looks like milliseconds.
    LooksLikeMilliseconds,
    /// Shorter than it must be.
    Truncated,
    /// Longer than it can be.
    Oversized,
    /// Still good, but not under the active key version.
    ResealRecommended,
    /// The matching secret is not the active one.
    KeyVersionNotActive,
    /// Hexadecimal, but not in lower case.
    Uppercase,
    /// White space before, after or inside.
    Whitespace,
    /// A number not in canonical decimal.
    NotCanonical,
    /// One pair of JSON quotes was removed.
    Quoted,
    /// Does not start like a token of ours.
    WrongPrefix,
    /// The check digits do not match the text.
    ChecksumMismatch,
    /// A suite or flag that is not known.
    UnknownSuiteOrFlags,
    /// No key has that id.
    KeyNotFound,
    /// The key belongs to another app.
    KeyOfAnotherApp,
    /// The key is for another suite.
    KeyOfAnotherSuite,
    /// The key version is suspended.
    KeySuspended,
    /// The key version is compromised.
    KeyCompromised,
    /// The key version is destroyed.
    KeyDestroyed,
    /// Bound to a value that was not supplied.
    BindingValueMissing,
    /// Lacks a binding that the app insists on.
    BindingAbsent,
    /// Sealed without a username: it cannot be revoked by user.
    NotRevocableByUser,
    /// No configured domain matches the Referer's host.
    DomainNotFound,
    /// Renewed, but the old token is still good.
    OldTokenNotRevoked,
}

/// The few hints of one answer, without a heap. At most [`Hints::CAPACITY`]; further ones are dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    list: [Option<Hint>; Self::CAPACITY],
}

impl Hints {
    /// How many an answer can carry.
    pub const CAPACITY: usize = 6;

    /// No hints.
    #[must_use]
    pub const fn none() -> Self {
        Self { list: [None; Self::CAPACITY] }
    }

    /// Adds a hint unless it is there already.
    pub fn add(&mut self, hint: Hint) {
        for slot in &mut self.list {
            match slot {
                Some(present) if *present == hint => return,
                Some(_) => {}
                None => {
                    *slot = Some(hint);
                    return;
                }
            }
        }
    }

    /// The same with one more hint.
    #[must_use]
    pub fn with(mut self, hint: Hint) -> Self {
        self.add(hint);
        self
    }

    /// The same without one.
    #[must_use]
    pub fn without(self, hint: Hint) -> Self {
        self.iter().filter(|&other| other != hint).fold(Self::none(), Self::with)
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(&self, hint: Hint) -> bool {
        self.iter().any(|h| h == hint)
    }

    /// The hints, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = Hint> + '_ {
        self.list.iter().flatten().copied()
    }
}

impl From<Hint> for Hints {
    fn from(hint: Hint) -> Self {
        Self::none().with(hint)
    }
}
