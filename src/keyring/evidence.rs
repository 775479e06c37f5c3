//! What is known of the use of a version, as a value.

use crate::clock::UnixSeconds;

/// The expiry of what never expires.
pub const NEVER: UnixSeconds = UnixSeconds(i64::MAX);

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
