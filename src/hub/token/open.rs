//! Opening, in the order that docs/formats.md lists: key, cut off by id, commitment, bindings, AEAD, body, times, cut off
//! otherwise. The first check that fails decides. Key ids are looked up; no key is ever tried on the off chance.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{
    Bindings, Claims, Purpose, Unverified,
    body::{Body, PAYLOAD_AT},
    claims::Entries,
    context::Context,
    explain::Check,
    wire::Header,
};
use crate::{
    clock::UnixSeconds,
    crypto::aead::{self, TAG_LEN},
    hub::{app::App, revocation::Revoked},
    keyring::{Key, Keyring, Mark, NEVER, State, Version},
    policy::{Permit, Verb, VerbName, verb},
    verdict::{Hint, Hints, Verdict},
};

/// Seconds that a token may seem to come from the future: whoever sealed it may have another clock.
const SKEW: i64 = 60;

/// What was found out about a token.
pub struct Examined {
    /// The verdict.
    pub verdict: Verdict,
    /// Remarks.
    pub hints: Hints,
    /// The key version that the token names, if it is usable.
    pub key_version: Option<u32>,
    /// What it says of itself, where it is known to be authentic: `VALID`, `EXPIRED`, `NOT_YET_VALID`, and `REVOKED` unless
    /// by its id.
    pub claims: Option<Claims>,
    /// The check that decided; none where all were passed.
    pub(super) failed: Option<Check>,
    /// Kept for `VALID` tokens and verbs that need it only.
    plaintext: Option<Plaintext>,
}

struct Plaintext {
    bytes: Zeroizing<Vec<u8>>,
    payload: Range<usize>,
}

impl Examined {
    /// What there is to say of a text that [`Unverified::parse`] refused.
    #[must_use]
    pub fn malformed(hints: Hints) -> Self {
        Self { verdict: Verdict::Malformed, hints, key_version: None, claims: None, failed: None, plaintext: None }
    }

    /// The payload of a `VALID` token that was examined in order to be opened.
    #[must_use]
    pub fn payload(&self, _permit: &Permit<'_, verb::Open>) -> Option<&[u8]> {
        let plaintext = self.plaintext.as_ref()?;
        Some(&plaintext.bytes[plaintext.payload.clone()])
    }

    /// The payload of a `VALID` login state that was examined in order to complete the login.
    #[must_use]
    pub fn login(&self, _permit: &Permit<'_, verb::Login>) -> Option<&[u8]> {
        let plaintext = self.plaintext.as_ref()?;
        Some(&plaintext.bytes[plaintext.payload.clone()])
    }

    /// Takes the plaintext out, for resealing: what is left shows no payload to anybody.
    pub(super) fn take_plaintext(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        Some(self.plaintext.take()?.bytes)
    }

    fn failed(check: Check, verdict: Verdict, hints: Hints, key_version: Option<u32>) -> Self {
        Self { verdict, hints, key_version, claims: None, failed: Some(check), plaintext: None }
    }
}

impl Unverified<'_> {
    /// Judges the token as one of `app` for `purpose`, presented with `bindings`. Bindings that
    /// [`Bindings::check`] refuses fit no token.
    #[expect(clippy::too_many_arguments, reason = "each is one ingredient, and a struct would only rename the list")]
    #[must_use]
    pub fn examine<V: Verb>(
        &self,
        permit: &Permit<'_, V>,
        ring: &Keyring,
        app: &App,
        purpose: Purpose,
        bindings: &Bindings<'_>,
        revoked: Revoked<'_>,
        now: UnixSeconds,
    ) -> Examined {
        let (key, version) = match self.find_key(ring, app) {
            Ok(found) => found,
            Err(hint) => return Examined::failed(Check::Key, Verdict::UnknownKey, self.hints.with(hint), None),
        };
        let Some(material) = version.material(permit) else {
            return Examined::failed(Check::Key, Verdict::UnknownKey, self.hints.with(Hint::KeyDestroyed), None);
        };
        let fails = |check, verdict, hints| Examined::failed(check, verdict, hints, Some(version.number));

        if revoked.has_token(&self.token_id()) {
            return fails(Check::TokenRevoked, Verdict::Revoked, self.hints);
        }
        let Header { suite, flags, .. } = self.header;
        let context = Context::new(&self.header, app, purpose);
        if !context.is_committed_to(material, &self.commit) {
            return fails(Check::Commitment, Verdict::BadSignature, self.hints);
        }
        if purpose.binds() && app.require_username && !flags.username {
            return fails(Check::Bindings, Verdict::WrongContext, self.hints.with(Hint::BindingAbsent));
        }
        if bindings.check().is_err() {
            return fails(Check::Bindings, Verdict::WrongContext, self.hints);
        }
        let key_bytes = context.key(material);
        let Some(aad) = context.bound(flags, bindings, app) else {
            return fails(Check::Bindings, Verdict::WrongContext, self.hints.with(Hint::BindingValueMissing));
        };

        let mut bytes = Zeroizing::new(vec![0; self.ciphertext_len()]);
        self.decode_ciphertext(&mut bytes);
        let nonce = self.header.nonce();
        let opened = bytes.split_last_chunk_mut::<TAG_LEN>().is_some_and(|(message, tag)| {
            aead::open(suite, key_bytes.expose(), &nonce, aad.as_bytes(), message, tag).is_ok()
        });
        if !opened {
            let verdict = if flags.any() { Verdict::WrongContext } else { Verdict::BadSignature };
            return fails(Check::Seal, verdict, self.hints);
        }
        let message_len = bytes.len() - TAG_LEN;
        bytes.truncate(message_len);
        let Some((claims, payload)) = self.read(&bytes) else {
            return fails(Check::Body, Verdict::Malformed, self.hints);
        };

        let username = bindings.username.filter(|_| flags.username);
        let failed = failing_time(&claims, now).or_else(|| {
            let is_covered = revoked.covers(&claims.grant_id, username, claims.issued_at);
            is_covered.then_some((Check::Revoked, Verdict::Revoked))
        });
        let verdict = failed.map_or(Verdict::Valid, |(_, verdict)| verdict);
        let (mut hints, mut plaintext) = (self.hints, None);
        if verdict == Verdict::Valid {
            if key.state(version, now) != State::Active {
                hints.add(Hint::ResealRecommended);
            }
            // What only looks at a token, such as an explanation, is no use of its key.
            let is_use = matches!(
                V::NAME,
                VerbName::Open | VerbName::Verify | VerbName::Reseal | VerbName::Login | VerbName::Renew
            );
            if is_use {
                version.usage.verify(claims.expires_at.unwrap_or(NEVER), now);
            }
            if is_use && V::NAME != VerbName::Verify {
                plaintext = Some(Plaintext { bytes, payload });
            }
        }
        let (key_version, failed) = (Some(version.number), failed.map(|(check, _)| check));
        Examined { verdict, hints, key_version, claims: Some(claims), failed, plaintext }
    }

    /// The one version that the token names, if it is the app's, of the token's suite, and usable.
    fn find_key<'k>(&self, ring: &'k Keyring, app: &App) -> Result<(&'k Key, &'k Version), Hint> {
        let (key, version) = ring.by_kid(&self.header.kid).ok_or(Hint::KeyNotFound)?;
        if key.name != app.key.name {
            return Err(Hint::KeyOfAnotherApp);
        }
        if version.suite != Some(self.header.suite) {
            return Err(Hint::KeyOfAnotherSuite);
        }
        match version.mark {
            None => Ok((key, version)),
            Some(Mark::Suspended) => Err(Hint::KeySuspended),
            Some(Mark::Compromised) => Err(Hint::KeyCompromised),
            Some(Mark::Destroyed) => Err(Hint::KeyDestroyed),
        }
    }

    fn read(&self, plaintext: &[u8]) -> Option<(Claims, Range<usize>)> {
        let body = Body::read(plaintext)?;
        let entries = Entries::read(body.claims)?;
        let claims = Claims {
            token_id: self.token_id(),
            grant_id: body.grant_id,
            kind: body.kind,
            issued_at: UnixSeconds(body.issued_at),
            expires_at: Some(UnixSeconds(body.expires_at)).filter(|at| at.0 != 0),
            username_bound: self.header.flags.username,
            hub_login_token_bound: self.header.flags.hub_login_token,
            hub_origin: entries.origin.map(Into::into),
            reseal_count: entries.reseal_count,
            labels: entries.labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        };
        Some((claims, PAYLOAD_AT..PAYLOAD_AT + body.payload.len()))
    }
}

fn failing_time(claims: &Claims, now: UnixSeconds) -> Option<(Check, Verdict)> {
    if claims.expires_at.is_some_and(|at| now >= at) {
        Some((Check::Expiry, Verdict::Expired))
    } else if claims.issued_at > now.plus(SKEW) {
        Some((Check::IssuedAt, Verdict::NotYetValid))
    } else {
        None
    }
}
