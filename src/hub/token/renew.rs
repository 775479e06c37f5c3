//! Renewing: a successor with a life of its own for a token that Hub is to let go of. It belongs to the same grant, and is
//! bound to the same username and login.

use super::{
    Bindings, Contents, Entropy, Examined, PAYLOAD_MAX, Purpose, SealLimits, SealProblem, Sealed, Unverified,
    body::Body, claims, seal::Draft,
};
use crate::{
    clock::{LATEST, UnixSeconds},
    hub::{
        app::{App, Ttl},
        revocation::Revoked,
    },
    keyring::Keyring,
    policy::{Permit, verb},
};

/// What the successor holds.
#[derive(Clone, Copy)]
pub enum News<'a> {
    /// What the old one holds: payload, kind, origin and labels.
    None,
    /// This, in place of payload, kind and labels; the origin stays.
    Contents(&'a Contents<'a>),
}

/// What became of a token that was to be renewed.
pub struct Renewed {
    /// What was found out about it.
    pub examined: Examined,
    /// The successor, or why there is none; `None` where the old one is not `VALID`.
    pub sealed: Option<Result<Sealed, SealProblem>>,
}

/// Seals a successor of a `VALID` token, as one of `app` for Hub. `expires_at` is what [`super::lifetime()`] gave. Of
/// `entropy` only the salt is used: the grant stays.
#[expect(clippy::too_many_arguments, reason = "each is one ingredient, and a struct would only rename the list")]
#[must_use]
pub fn renew(
    permit: &Permit<'_, verb::Renew>,
    ring: &Keyring,
    app: &App,
    token: &Unverified<'_>,
    bindings: &Bindings<'_>,
    news: News<'_>,
    expires_at: Option<UnixSeconds>,
    revoked: Revoked<'_>,
    now: UnixSeconds,
    entropy: Entropy,
    limits: SealLimits,
) -> Renewed {
    let purpose = Purpose::HubAuth;
    let mut examined = token.examine(permit, ring, app, purpose, bindings, revoked, now);
    let plaintext = examined.take_plaintext();
    let Some(old) = plaintext.as_deref().and_then(|bytes| Body::read(bytes)) else {
        return Renewed { examined, sealed: None };
    };
    let sealed = (|| {
        let expires_at = match expires_at {
            Some(at) if now < at && at <= LATEST && now >= UnixSeconds(0) => at.0,
            None if app.ttl == Ttl::Never => 0,
            _ => return Err(SealProblem::Expiry),
        };
        let issued_at = revoked.issue_at(bindings.username, now).0;
        let old = Body { issued_at, expires_at, ..old };
        let flags = token.header.flags;
        let seal = |body| Draft { app, purpose, flags, bindings, body }.seal(permit, now, entropy.salt, limits);
        match news {
            News::None => seal(old),
            News::Contents(contents) if contents.payload.len() > PAYLOAD_MAX => Err(SealProblem::PayloadTooLong),
            News::Contents(contents) => {
                let hub_origin = examined.claims.as_ref().and_then(|claims| claims.hub_origin.as_deref());
                let claims = claims::write(&Contents { hub_origin, ..*contents })?;
                seal(Body { kind: contents.kind, payload: contents.payload, claims: &claims, ..old })
            }
        }
    })();
    Renewed { examined, sealed: Some(sealed) }
}
