//! Sealing: one derived key, one commitment, one AEAD call for each token.

use zeroize::Zeroizing;

use super::{
    Bindings, Contents, Entropy, PAYLOAD_MAX, Purpose, SealLimits, SealProblem, Sealed,
    body::Body,
    claims,
    context::Context,
    wire::{self, CHARS_MAX, Flags, Header, PUBLIC_LEN},
};
use crate::{
    clock::{LATEST, UnixSeconds},
    crypto::aead::{self, TAG_LEN},
    hub::{
        app::{App, Ttl},
        revocation::Revoked,
    },
    keyring::{NEVER, SealRefused},
    policy::{Permit, Sealing, Verb},
    verdict::{Hint, Hints},
};

/// Seals `contents` with the version of the app's key that is active now. `expires_at` is what
/// [`super::lifetime()`] gave. It is issued now, or just after what `revoked` has of its user or app: a fresh login works at
/// once, whatever was cut off before. A token for [`Purpose::HubLogin`] is bound to nothing, whatever `bindings` hold.
#[expect(clippy::too_many_arguments, reason = "each is one ingredient, and a struct would only rename the list")]
pub fn seal<V: Sealing>(
    permit: &Permit<'_, V>,
    app: &App,
    purpose: Purpose,
    contents: &Contents<'_>,
    bindings: &Bindings<'_>,
    expires_at: Option<UnixSeconds>,
    revoked: Revoked<'_>,
    now: UnixSeconds,
    entropy: Entropy,
    limits: SealLimits,
) -> Result<Sealed, SealProblem> {
    bindings.check()?;
    if purpose.binds() && app.require_username && bindings.username.is_none() {
        return Err(SealProblem::UsernameMissing);
    }
    if contents.payload.len() > PAYLOAD_MAX {
        return Err(SealProblem::PayloadTooLong);
    }
    let expires_at = match expires_at {
        Some(at) if now < at && at <= LATEST && now >= UnixSeconds(0) => at.0,
        None if app.ttl == Ttl::Never => 0,
        _ => return Err(SealProblem::Expiry),
    };
    let claims = claims::write(contents)?;
    let username = bindings.username.filter(|_| purpose.binds());
    let body = Body {
        kind: contents.kind,
        issued_at: revoked.issue_at(username, now).0,
        expires_at,
        grant_id: entropy.grant_id,
        payload: contents.payload,
        claims: &claims,
    };
    let flags = if purpose.binds() {
        Flags { username: bindings.username.is_some(), hub_login_token: bindings.hub_login_token.is_some() }
    } else {
        Flags::default()
    };
    Draft { app, purpose, flags, bindings, body }.seal(permit, now, entropy.salt, limits)
}

/// All that a token is made of, but for the key and the salt. What is in it was checked.
pub(super) struct Draft<'a> {
    pub(super) app: &'a App,
    pub(super) purpose: Purpose,
    /// Which of the bindings, all present, the token is bound to.
    pub(super) flags: Flags,
    pub(super) bindings: &'a Bindings<'a>,
    pub(super) body: Body<'a>,
}

impl Draft<'_> {
    /// Whether the app allows a token of this length. What it allows is for tokens that Hub carries about.
    pub(super) fn check_length(&self) -> Result<(), SealProblem> {
        let limit = if self.purpose.binds() { self.app.max_chars } else { CHARS_MAX };
        let chars = wire::chars_for(self.plaintext_len());
        if chars > limit { Err(SealProblem::TokenTooLong { chars, limit }) } else { Ok(()) }
    }

    /// Seals it with the active version, and notes that.
    pub(super) fn seal<V: Verb>(
        &self,
        permit: &Permit<'_, V>,
        now: UnixSeconds,
        salt: [u8; 24],
        limits: SealLimits,
    ) -> Result<Sealed, SealProblem> {
        self.check_length()?;
        let version = self.app.key.active(now).ok_or(SealProblem::NoActiveVersion)?;
        let (Some(suite), Some(kid), Some(material)) = (version.suite, version.kid, version.material(permit)) else {
            return Err(SealProblem::NoActiveVersion);
        };
        let expires_at = Some(UnixSeconds(self.body.expires_at)).filter(|at| at.0 != 0);
        let noted = version.usage.seal(expires_at.unwrap_or(NEVER), now, limits.refuse);
        let seals = noted.map_err(|refused| match refused {
            SealRefused::LimitReached => SealProblem::SealLimitReached,
            SealRefused::Unreserved => SealProblem::Unreserved,
        })?;

        let header = Header::new(suite, self.flags, kid, salt);
        let context = Context::new(&header, self.app, self.purpose);
        let (key, commitment) = (context.key(material), context.commitment(material));
        let aad = context.bound(self.flags, self.bindings, self.app).expect("flags are set for values that are there");

        // The plaintext is written where the ciphertext will stand, in a buffer that never grows.
        let plaintext_len = self.plaintext_len();
        let mut sealed = Zeroizing::new(Vec::with_capacity(PUBLIC_LEN + plaintext_len + TAG_LEN));
        sealed.extend_from_slice(&header.bytes());
        sealed.extend_from_slice(commitment.expose());
        self.body.write(&mut sealed);
        sealed.resize(PUBLIC_LEN + plaintext_len, 0);
        let tag = aead::seal(suite, key.expose(), &header.nonce(), aad.as_bytes(), &mut sealed[PUBLIC_LEN..]);
        sealed.extend_from_slice(&tag);

        Ok(Sealed {
            token: wire::write(&sealed),
            token_id: header.token_id(),
            grant_id: self.body.grant_id,
            issued_at: UnixSeconds(self.body.issued_at),
            expires_at,
            key_version: version.number,
            username_bound: self.flags.username,
            hub_login_token_bound: self.flags.hub_login_token,
            hints: self.hints(),
            seals,
        })
    }

    fn plaintext_len(&self) -> usize {
        let pad_to = if self.purpose.binds() { self.app.pad_to } else { 0 };
        wire::padded(self.body.len().max(pad_to))
    }

    fn hints(&self) -> Hints {
        let by_nobody = self.purpose.binds() && !self.flags.username;
        if by_nobody { Hint::NotRevocableByUser.into() } else { Hints::none() }
    }
}
