//! `hat1`: the Hub auth token. A key and a commitment are derived for each token from the app's key; one AEAD call
//! seals the payload, its times, its grant and its claims. docs/formats.md lists the bytes.
//!
//! [`Unverified`] is a token of the right form; only [`Unverified::examine`], with a permit, turns it into something
//! to believe. What fails is a verdict, never an error. Payloads are wiped when dropped.

use std::fmt;

use crate::{clock::UnixSeconds, verdict::Hints};

mod body;
mod claims;
mod context;
mod explain;
mod lifetime;
mod open;
mod renew;
mod reseal;
mod seal;
mod text;
mod wire;

pub use claims::{CLAIMS_MAX, Claims, LABEL_NAME_MAX, LABEL_VALUE_MAX, ORIGIN_MAX};
pub use explain::{Check, Checked, Explanation, Facts, Named, Outcome, explain};
pub use lifetime::{LifetimeProblem, lifetime};
pub use open::Examined;
pub use renew::{News, Renewed, renew};
pub use reseal::{Resealed, reseal};
pub use seal::seal;
pub use text::TextProblem;
pub use wire::{CHARS_MAX, CHARS_MIN, PLAINTEXT_MAX, Unverified, chars_for};

/// Longest payload, bytes.
pub const PAYLOAD_MAX: usize = 4096;
/// Longest username and longest hubLoginToken, bytes.
pub const BINDING_MAX: usize = 1024;

/// What a token is for. Each purpose derives keys of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// The `auth` value that Hub keeps.
    HubAuth,
    /// The state of a login under way; bound to nothing.
    HubLogin,
}

impl Purpose {
    /// The name that goes into the key derivation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HubAuth => "hub-auth",
            Self::HubLogin => "hub-login",
        }
    }

    /// Whether its tokens can be bound to a user and a login.
    const fn binds(self) -> bool {
        matches!(self, Self::HubAuth)
    }
}

/// What a payload is, for whoever opens it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PayloadKind {
    /// Bytes of the app's own making.
    #[default]
    Opaque,
    /// An OAuth access token.
    OauthAccessToken,
    /// An OAuth refresh token.
    OauthRefreshToken,
    /// A user id of the app.
    UserId,
    /// A JSON text.
    Json,
}

impl PayloadKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Opaque, Self::OauthAccessToken, Self::OauthRefreshToken, Self::UserId, Self::Json];

    /// The byte that stands for it in tokens.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Opaque => 0,
            Self::OauthAccessToken => 1,
            Self::OauthRefreshToken => 2,
            Self::UserId => 3,
            Self::Json => 4,
        }
    }

    /// The kind of that byte.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }
}

/// What goes into a token.
#[derive(Clone, Copy, Default)]
pub struct Contents<'a> {
    /// What the payload is.
    pub kind: PayloadKind,
    /// The payload: 0 to 4096 bytes.
    pub payload: &'a [u8],
    /// The Hub's origin: 1 to 255 printable ASCII characters.
    pub hub_origin: Option<&'a str>,
    /// How often the grant was resealed; 0 is not written.
    pub reseal_count: u32,
    /// Names (1 to 64 bytes) and values (0 to 256 bytes), without control characters, in this order.
    pub labels: &'a [(&'a str, &'a str)],
}

/// What a token is, or is said to be, bound to.
#[derive(Clone, Copy, Default)]
pub struct Bindings<'a> {
    /// The Hub username: 1 to 1024 bytes, no control characters.
    pub username: Option<&'a str>,
    /// The hubLoginToken, byte for byte: 1 to 1024 bytes.
    pub hub_login_token: Option<&'a str>,
}

/// Which binding no token can have, and why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BindingProblem {
    /// The username.
    Username(TextProblem),
    /// The hubLoginToken.
    HubLoginToken(TextProblem),
}

impl BindingProblem {
    /// The name of the field at fault.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Username(_) => "username",
            Self::HubLoginToken(_) => "hub_login_token",
        }
    }
}

impl fmt::Display for BindingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Username(problem) | Self::HubLoginToken(problem)) = self;
        write!(f, "{} {problem}", self.field())
    }
}

impl Bindings<'_> {
    /// Whether tokens can be bound to these values at all.
    pub fn check(&self) -> Result<(), BindingProblem> {
        if let Some(username) = self.username {
            text::check(username, 1, BINDING_MAX).map_err(BindingProblem::Username)?;
        }
        if let Some(token) = self.hub_login_token {
            text::check_len(token, 1, BINDING_MAX).map_err(BindingProblem::HubLoginToken)?;
        }
        Ok(())
    }
}

/// Fresh bytes from the operating system, for one token.
#[derive(Clone, Copy)]
pub struct Entropy {
    /// Makes the token's key its own; the first 16 bytes name the token.
    pub salt: [u8; 24],
    /// Names the grant.
    pub grant_id: [u8; 16],
}

/// How many tokens one key version may seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealLimits {
    /// From here on operators are told to rotate.
    pub alarm: u64,
    /// Here sealing ends.
    pub refuse: u64,
}

impl Default for SealLimits {
    /// Two salts meet with a probability of 2^-97 by the time that 2^48 tokens were sealed.
    fn default() -> Self {
        Self { alarm: 1 << 40, refuse: 1 << 48 }
    }
}

impl SealLimits {
    /// Whether a version that sealed so many tokens is due to be rotated.
    #[must_use]
    pub const fn alarmed(self, seals: u64) -> bool {
        seals >= self.alarm
    }
}

/// Why nothing was sealed. What it shows quotes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SealProblem {
    /// The app insists on a username, and there is none.
    UsernameMissing,
    /// No token can be bound to this username.
    Username(TextProblem),
    /// No token can be bound to this hubLoginToken.
    HubLoginToken(TextProblem),
    /// More than 4096 bytes of payload.
    PayloadTooLong,
    /// The Hub's origin does not fit.
    Origin(TextProblem),
    /// The name of a label does not fit.
    LabelName(TextProblem),
    /// The value of a label does not fit.
    LabelValue(TextProblem),
    /// More than 1024 bytes of claims.
    LabelsTooLong,
    /// The token would be longer than the app allows.
    TokenTooLong {
        /// Characters it would have.
        chars: usize,
        /// Characters the app allows.
        limit: usize,
    },
    /// The expiry is not in the future, or there is none and the app's tokens have one.
    Expiry,
    /// No version of the app's key is active.
    NoActiveVersion,
    /// The active version has sealed as many tokens as it may.
    SealLimitReached,
    /// The token would go beyond what is stored of the active version's use.
    Unreserved,
}

impl SealProblem {
    /// The field of the request that is at fault; `None` where the service is.
    #[must_use]
    pub const fn field(self) -> Option<&'static str> {
        match self {
            Self::UsernameMissing | Self::Username(_) => Some("username"),
            Self::HubLoginToken(_) => Some("hub_login_token"),
            Self::PayloadTooLong | Self::TokenTooLong { .. } => Some("payload"),
            Self::Origin(_) => Some("hub_origin"),
            Self::LabelName(_) | Self::LabelValue(_) | Self::LabelsTooLong => Some("labels"),
            Self::Expiry => Some("ttl"),
            Self::NoActiveVersion | Self::SealLimitReached | Self::Unreserved => None,
        }
    }
}

impl fmt::Display for SealProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsernameMissing => f.write_str("this app binds every token to a username: send one"),
            Self::Username(problem) => write!(f, "username {problem}"),
            Self::HubLoginToken(problem) => write!(f, "hub_login_token {problem}"),
            Self::PayloadTooLong => write!(f, "payload is longer than {PAYLOAD_MAX} bytes: shorten it"),
            Self::Origin(problem) => write!(f, "hub_origin {problem}"),
            Self::LabelName(problem) => write!(f, "the name of a label {problem}"),
            Self::LabelValue(problem) => write!(f, "the value of a label {problem}"),
            Self::LabelsTooLong => {
                write!(f, "origin and labels take more than {CLAIMS_MAX} bytes: send fewer or shorter ones")
            }
            Self::TokenTooLong { chars, limit } => write!(
                f,
                "the token would be {chars} characters long, the app allows {limit}: shorten the payload, or raise the app's max_chars"
            ),
            Self::Expiry => {
                f.write_str("the expiry must lie in the future; only an app whose ttl is never goes without")
            }
            Self::NoActiveVersion => f.write_str("no version of the app's key is active: rotate or resume it"),
            Self::SealLimitReached => f.write_str("the active key version has sealed all it may: rotate the key"),
            Self::Unreserved => {
                f.write_str("what is stored of the key's use does not reach as far: retry when more is")
            }
        }
    }
}

impl From<BindingProblem> for SealProblem {
    fn from(problem: BindingProblem) -> Self {
        match problem {
            BindingProblem::Username(problem) => Self::Username(problem),
            BindingProblem::HubLoginToken(problem) => Self::HubLoginToken(problem),
        }
    }
}

/// A fresh token, and what is known of it.
pub struct Sealed {
    /// The token. Whoever holds it and the username is let in, so nothing shows it unasked.
    pub token: String,
    /// Names this token.
    pub token_id: [u8; 16],
    /// Names the grant.
    pub grant_id: [u8; 16],
    /// When it was issued.
    pub issued_at: UnixSeconds,
    /// When it expires; `None` is never.
    pub expires_at: Option<UnixSeconds>,
    /// The number of the key version that sealed it.
    pub key_version: u32,
    /// Whether it is bound to a username.
    pub username_bound: bool,
    /// Whether it is bound to a hubLoginToken.
    pub hub_login_token_bound: bool,
    /// Remarks.
    pub hints: Hints,
    /// How many tokens that key version has sealed, this one included.
    pub seals: u64,
}

#[cfg(test)]
mod tests;
