//! Resealing: the same grant under the active key version. The payload goes from one token into the other and
//! nowhere else.

use super::{
    Bindings, Examined, Purpose, SealLimits, SealProblem, Sealed, Unverified, body::Body, claims,
    lifetime::default_expiry, seal::Draft,
};
use crate::{
    clock::UnixSeconds,
    hub::{app::App, revocation::Revoked},
    keyring::Keyring,
    policy::{Permit, verb},
};

/// What became of a token that was to be resealed.
pub struct Resealed {
    /// What was found out about it.
    pub examined: Examined,
    /// The new token, or why there is none; `None` where the old one is not `VALID`.
    pub sealed: Option<Result<Sealed, SealProblem>>,
    /// Whether the new token's count of reseals is one higher than the old one's.
    pub counted: bool,
}

/// Seals a `VALID` token anew. Grant, issued-at (so that what is cut off stays so), kind, payload and bindings stay; so does the expiry, unless the app
/// extends it. The claims stay byte for byte, but for the count of reseals, which is raised where the token has
/// room for it: that a token is full never keeps it from a new key.
#[expect(clippy::too_many_arguments, reason = "each is one ingredient, and a struct would only rename the list")]
#[must_use]
pub fn reseal(
    permit: &Permit<'_, verb::Reseal>,
    ring: &Keyring,
    app: &App,
    purpose: Purpose,
    token: &Unverified<'_>,
    bindings: &Bindings<'_>,
    revoked: Revoked<'_>,
    now: UnixSeconds,
    salt: [u8; 24],
    limits: SealLimits,
) -> Resealed {
    let mut examined = token.examine(permit, ring, app, purpose, bindings, revoked, now);
    let plaintext = examined.take_plaintext();
    let Some(old) = plaintext.as_deref().and_then(|bytes| Body::read(bytes)) else {
        return Resealed { examined, sealed: None, counted: false };
    };
    let draft = |claims| Draft {
        app,
        purpose,
        flags: token.header.flags,
        bindings,
        body: Body { expires_at: new_expiry(permit, app, old.expires_at, now), claims, ..old },
    };
    let counted = claims::counted_up(old.claims);
    let counted = counted.as_deref().map(|claims| draft(claims)).filter(|draft| draft.check_length().is_ok());
    let is_counted = counted.is_some();
    let sealed = counted.unwrap_or_else(|| draft(old.claims)).seal(permit, now, salt, limits);
    Resealed { examined, sealed: Some(sealed), counted: is_counted }
}

/// The old expiry, or the app's default from now on if that is later and the app wants it; 0 is never.
fn new_expiry(permit: &Permit<'_, verb::Reseal>, app: &App, old: i64, now: UnixSeconds) -> i64 {
    if !app.reseal_extends || old == 0 {
        return old;
    }
    default_expiry(permit, app, now).map_or(0, |at| at.0.max(old))
}
