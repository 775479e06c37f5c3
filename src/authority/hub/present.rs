//! Tokens that somebody presents: opened, judged, or sealed anew.

use super::{Admission, Answer, alarm, entropy, entry, not_sealed};
use crate::{
    audit::{Entry, Outcome},
    authority::{
        JudgedToken, OpenedToken, Present, Refusal, ResealedToken, State, allowance::Due, answer::id_text,
        standing::Standing,
    },
    clock::UnixSeconds,
    hub::token::{self, Bindings, Examined, Purpose, Unverified},
    policy::{Permit, Verb, verb},
    verdict::Hint,
};

pub(super) fn open<'s>(
    state: &'s State,
    standing: &Standing<'_>,
    admission: Admission<'s, verb::Open>,
    due: Due<'_>,
    request: &Present<'_>,
    now: UnixSeconds,
) -> Answer<'s, OpenedToken> {
    examine(state, standing, admission, due, request, now, |permit, examined| {
        let payload = examined.payload(&permit).map(<[u8]>::to_vec).unwrap_or_default();
        OpenedToken { judged: JudgedToken::from(examined), payload }
    })
}

pub(super) fn judge<'s>(
    state: &'s State,
    standing: &Standing<'_>,
    admission: Admission<'s, verb::Verify>,
    due: Due<'_>,
    request: &Present<'_>,
    now: UnixSeconds,
) -> Answer<'s, JudgedToken> {
    examine(state, standing, admission, due, request, now, |_, examined| JudgedToken::from(examined))
}

/// The road that Open and Verify share; they differ in what they let out.
fn examine<'s, V: Verb + Copy, T>(
    state: &'s State,
    standing: &Standing<'_>,
    admission: Admission<'s, V>,
    due: Due<'_>,
    request: &Present<'_>,
    now: UnixSeconds,
    answer: impl FnOnce(Permit<'s, V>, Examined) -> T,
) -> Answer<'s, T> {
    let (admitted, bindings) = match admission.and_then(|admitted| Ok((admitted, bindings(request)?))) {
        Ok(both) => both,
        Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
    };
    let mut entry = entry(&admitted);
    if let Err(refusal) = due.pay(&admitted.permit) {
        return (Entry { outcome: refusal.outcome(), ..entry }, Err(refusal));
    }
    let examined = match Unverified::parse(request.auth) {
        Ok(token) => {
            entry.token_id = Some(token.token_id());
            let revoked = standing.of(admitted.object);
            token.examine(&admitted.permit, &state.ring, admitted.object, Purpose::HubAuth, &bindings, revoked, now)
        }
        Err(hints) => Examined::malformed(hints),
    };
    note(&mut entry, &examined);
    (entry, Ok(answer(admitted.permit, examined)))
}

pub(super) fn reseal<'s>(
    state: &'s State,
    standing: &Standing<'_>,
    admission: Admission<'s, verb::Reseal>,
    due: Due<'_>,
    request: &Present<'_>,
    now: UnixSeconds,
) -> Answer<'s, ResealedToken> {
    let (admitted, bindings) = match admission.and_then(|admitted| Ok((admitted, bindings(request)?))) {
        Ok(both) => both,
        Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
    };
    let mut entry = entry(&admitted);
    if let Err(refusal) = due.pay(&admitted.permit) {
        return (Entry { outcome: refusal.outcome(), ..entry }, Err(refusal));
    }
    let old = match Unverified::parse(request.auth) {
        Ok(old) => old,
        Err(hints) => {
            let examined = Examined::malformed(hints);
            note(&mut entry, &examined);
            return (entry, Ok(ResealedToken { judged: JudgedToken::from(examined), auth: String::new() }));
        }
    };
    let salt = match entropy() {
        Ok(entropy) => entropy.salt,
        Err(refusal) => return (Entry { outcome: refusal.outcome(), ..entry }, Err(refusal)),
    };
    let resealed = token::reseal(
        &admitted.permit,
        &state.ring,
        admitted.object,
        Purpose::HubAuth,
        &old,
        &bindings,
        standing.of(admitted.object),
        now,
        salt,
        state.seal_limits,
    );
    entry.token_id = Some(old.token_id());
    note(&mut entry, &resealed.examined);
    match resealed.sealed {
        None => (entry, Ok(ResealedToken { judged: JudgedToken::from(resealed.examined), auth: String::new() })),
        Some(Err(problem)) => {
            let refusal = not_sealed(&problem, admitted.object);
            (Entry { outcome: refusal.outcome(), ..entry }, Err(refusal))
        }
        Some(Ok(sealed)) => {
            alarm(state, admitted.object, &sealed);
            entry.key_version = sealed.key_version;
            entry.token_id = Some(sealed.token_id);
            let mut judged = JudgedToken::from(resealed.examined);
            judged.key_version = sealed.key_version;
            // That is what was just done.
            judged.hints = judged.hints.without(Hint::ResealRecommended);
            if let Some(claims) = &mut judged.claims {
                // The rest survives resealing.
                claims.token_id = id_text(&sealed.token_id);
                claims.expires_at = sealed.expires_at.map_or(0, |at| at.0);
                claims.reseal_count = claims.reseal_count.saturating_add(u32::from(resealed.counted));
            }
            (entry, Ok(ResealedToken { judged, auth: sealed.token }))
        }
    }
}

fn bindings<'r>(request: &Present<'r>) -> Result<Bindings<'r>, Refusal> {
    let bindings = Bindings { username: request.username, hub_login_token: request.hub_login_token };
    bindings.check().map_err(|problem| Refusal::invalid(problem.field(), problem.to_string()))?;
    Ok(bindings)
}

fn note(entry: &mut Entry<'_>, examined: &Examined) {
    entry.outcome = Outcome::Judged(examined.verdict);
    entry.key_version = examined.key_version.unwrap_or(0);
    entry.quoted = examined.hints.contains(Hint::Quoted);
}
