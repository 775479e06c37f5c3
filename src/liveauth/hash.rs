//! The LiveAuth hash: lower-case hex of HMAC-SHA-256 over `client-expires`, two canonical decimals.
//!
//! Minting takes numbers, never text, so that no caller can move the hyphen. Verifying takes text, exactly as it
//! was received, so that one signed pair of numbers has one spelling only. The MAC is checked before the time.

use std::fmt;

use crate::{
    clock::{LATEST, UnixSeconds},
    crypto::{frame::DecimalPair, mac::TAG_LEN},
    keyring::{Key, State, Unreserved, Version},
    liveauth::domain::{Domain, MAX_TTL_CEILING},
    policy::{Permit, Verb, verb},
    verdict::{Hint, Hints, Verdict},
};

/// Characters of a hash.
pub const HASH_LEN: usize = 2 * TAG_LEN;

/// Seconds by which an expiry may lie beyond the domain's limit: whoever signed may have another clock.
const AHEAD_SLACK: i64 = 60;

/// How long a hash is to be valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validity {
    /// As long as the domain says, clamped to what the rule allows.
    Default,
    /// So many seconds from now.
    Ttl(i64),
    /// Up to and including this Unix time, seconds.
    Until(i64),
}

/// Why a validity that was asked for is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExpiryProblem {
    /// A ttl below one second.
    NotPositive,
    /// A time that is not in the future.
    InThePast,
    /// A time after the year 9999.
    Milliseconds,
    /// Longer than allowed.
    TooLong {
        /// What is allowed, seconds.
        limit: i64,
        /// Who says so: `domain`, `rule` or `service`.
        whose: &'static str,
    },
}

impl fmt::Display for ExpiryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPositive => f.write_str("the ttl must be at least 1 second"),
            Self::InThePast => f.write_str("the expiry must lie in the future"),
            Self::Milliseconds => f.write_str("the expiry looks like milliseconds: Unix seconds are wanted"),
            Self::TooLong { limit, whose } => write!(f, "the {whose} allows at most {limit} seconds: ask for less"),
        }
    }
}

/// When a hash minted now for `domain` expires. What is asked for beyond a limit is refused; only the default
/// is clamped.
pub fn expiry(
    permit: &Permit<'_, verb::Mint>,
    domain: &Domain,
    validity: Validity,
    now: UnixSeconds,
) -> Result<UnixSeconds, ExpiryProblem> {
    let (mut limit, mut whose) = (domain.max_ttl, "domain");
    for (other, name) in [(permit.max_ttl().unwrap_or(i64::MAX), "rule"), (MAX_TTL_CEILING, "service")] {
        if other < limit {
            (limit, whose) = (other, name);
        }
    }
    let ttl = match validity {
        Validity::Default => domain.default_ttl.min(limit),
        Validity::Ttl(ttl) => ttl,
        Validity::Until(at) if at > LATEST.0 => return Err(ExpiryProblem::Milliseconds),
        Validity::Until(at) if at <= now.0 => return Err(ExpiryProblem::InThePast),
        Validity::Until(at) => UnixSeconds(at).since(now),
    };
    if ttl > limit {
        return Err(ExpiryProblem::TooLong { limit, whose });
    }
    if ttl < 1 {
        return Err(ExpiryProblem::NotPositive);
    }
    Ok(now.plus(ttl))
}

/// The number of an idibu customer account: 1 to 2^63 - 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(u64);

impl ClientId {
    /// The account of that number, if there can be one.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        u64::try_from(number).ok().filter(|&number| number > 0).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A hash as text. It signs a user in, so nothing shows it unasked.
pub struct HashText([u8; HASH_LEN]);

impl HashText {
    /// 64 of `[0-9a-f]`.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot: the only maker writes digits")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    fn of(tag: &[u8; TAG_LEN]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; HASH_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(tag) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }
}

/// A hash, and what it says.
pub struct Minted {
    /// Whom it speaks for.
    pub client: ClientId,
    /// The last second it is valid in.
    pub expires: UnixSeconds,
    /// The hash.
    pub hash: HashText,
    /// The number of the key version that made it.
    pub key_version: u32,
}

/// Why there is no hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MintProblem {
    /// No version of the key is active.
    NoActiveVersion,
    /// The hash would go beyond what is stored of the active version's use.
    Unreserved,
}

/// Makes a hash with the version of `key` that is active now, and notes that. Does not allocate.
///
/// # Panics
/// On an expiry before 1970, which [`expiry`] never gives.
pub fn mint(
    permit: &Permit<'_, verb::Mint>,
    key: &Key,
    client: ClientId,
    expires: UnixSeconds,
    now: UnixSeconds,
) -> Result<Minted, MintProblem> {
    mint_for(permit, key, client, expires, now)
}

/// The same for whatever else a hash is made for here: only a permit to mint gives the hash to who asks.
pub(super) fn mint_for<V: Verb>(
    permit: &Permit<'_, V>,
    key: &Key,
    client: ClientId,
    expires: UnixSeconds,
    now: UnixSeconds,
) -> Result<Minted, MintProblem> {
    let version = key.active(now).ok_or(MintProblem::NoActiveVersion)?;
    let material = version.material(permit).ok_or(MintProblem::NoActiveVersion)?;
    version.usage.mint(expires, now).map_err(|Unreserved| MintProblem::Unreserved)?;
    let second = u64::try_from(expires.0).expect("an expiry lies in the future, and so after 1970");
    let tag = material.tag(&DecimalPair::new(client.0, second));
    Ok(Minted { client, expires, hash: HashText::of(tag.expose()), key_version: version.number })
}

/// A hash that somebody presented, of the right form, and not yet believed.
pub struct Unverified<'a> {
    client: u64,
    expires: i64,
    hash: &'a str,
}

/// What was found out about a presented hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The verdict.
    pub verdict: Verdict,
    /// Remarks.
    pub hints: Hints,
    /// The key version that matched, if one did.
    pub key_version: Option<u32>,
    /// The client id, if the hash is authentic; else 0.
    pub client: u64,
    /// The last second it is valid in, Unix seconds, if the hash is authentic; else 0.
    pub expires: i64,
}

impl<'a> Unverified<'a> {
    /// Takes the three values as they were received. What is not exactly of the form is `MALFORMED`: the error
    /// holds the hints that go with it, and no key was tried.
    pub fn parse(client: &'a str, expires: &'a str, hash: &'a str) -> Result<Self, Hints> {
        let numbers = (canonical(client, CLIENT_DIGITS), canonical(expires, EXPIRES_DIGITS));
        if let (Some(client), Some(expires)) = numbers
            && is_hash(hash)
        {
            return Ok(Self { client: client.unsigned_abs(), expires, hash });
        }
        let mut hints = Hints::none();
        number_hints(client, CLIENT_DIGITS, Hint::Oversized, &mut hints);
        number_hints(expires, EXPIRES_DIGITS, Hint::LooksLikeMilliseconds, &mut hints);
        hash_hints(hash, &mut hints);
        Err(hints)
    }

    /// Judges the hash: every usable secret of the domain is tried, then the time is looked at.
    #[must_use]
    pub fn verify(&self, permit: &Permit<'_, verb::Verify>, domain: &Domain, now: UnixSeconds) -> Verified {
        let Some(version) = self.made_by(permit, &domain.key) else {
            let (verdict, hints) = (Verdict::BadSignature, Hints::none());
            return Verified { verdict, hints, key_version: None, client: 0, expires: 0 };
        };
        let mut hints = Hints::none();
        if domain.key.state(version, now) != State::Active {
            hints.add(Hint::KeyVersionNotActive);
        }
        let expires = UnixSeconds(self.expires);
        let verdict = if now > expires.plus(domain.leeway) {
            Verdict::Expired
        } else if expires > now.plus(domain.max_ttl).plus(AHEAD_SLACK) {
            if expires > LATEST {
                hints.add(Hint::LooksLikeMilliseconds);
            }
            Verdict::TooFarAhead
        } else {
            version.usage.verify(expires, now);
            Verdict::Valid
        };
        Verified { verdict, hints, key_version: Some(version.number), client: self.client, expires: self.expires }
    }

    /// The version that made the hash. All are tried, whether one fits or not: how long it takes tells nobody
    /// which secret a hash was made with.
    fn made_by<'k>(&self, permit: &Permit<'_, verb::Verify>, key: &'k Key) -> Option<&'k Version> {
        let mut tag = [0; TAG_LEN];
        base16ct::lower::decode(self.hash, &mut tag).expect("parsing has checked it");
        let input = DecimalPair::new(self.client, self.expires.unsigned_abs());
        let mut matched = None;
        for version in key.usable() {
            let fits = version.material(permit).is_some_and(|material| material.verify(&input, &tag));
            matched = matched.or(fits.then_some(version));
        }
        matched
    }
}

/// Most digits of a client id; 2^63 - 1 has as many.
const CLIENT_DIGITS: usize = 19;
/// Most digits of an expiry: the year 9999 has as many.
const EXPIRES_DIGITS: usize = 12;

/// `[1-9][0-9]*` of at most so many digits, below 2^63.
fn canonical(text: &str, digits: usize) -> Option<i64> {
    let shaped = text.len() <= digits && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    // An empty text, and nineteen digits above 2^63 - 1, fail here.
    if shaped { text.parse().ok() } else { None }
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_LEN && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn number_hints(text: &str, digits: usize, too_long: Hint, hints: &mut Hints) {
    if canonical(text, digits).is_some() {
        return;
    }
    if text.contains(char::is_whitespace) {
        hints.add(Hint::Whitespace);
    }
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') {
        if canonical(text, digits).is_none() {
            hints.add(too_long);
        }
    } else if text.len() > 1 && text.parse::<f64>().is_ok_and(f64::is_finite) {
        // Reads like a number, but has a sign, leading zeros, a fraction or an exponent.
        hints.add(Hint::NotCanonical);
    }
}

fn hash_hints(text: &str, hints: &mut Hints) {
    if text.contains(char::is_whitespace) {
        hints.add(Hint::Whitespace);
    }
    let text = text.trim();
    if text.len() < HASH_LEN {
        hints.add(Hint::Truncated);
    }
    if text.len() > HASH_LEN {
        hints.add(Hint::Oversized);
    }
    if text.bytes().all(|b| b.is_ascii_hexdigit()) && text.bytes().any(|b| b.is_ascii_uppercase()) {
        hints.add(Hint::Uppercase);
    }
}

#[cfg(test)]
mod tests;
