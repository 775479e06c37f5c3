//! Sealing, opening, judging and resealing Hub auth tokens.

use super::{
    Authority, Batch, Call, JudgedToken, OpenedToken, Present, Refusal, ResealedToken, Seal, SealedToken, State,
    allowance::{Due, pay_for_batch},
    answer::id_text,
    desk::{self, Admitted, Memo},
};
use crate::{
    audit::{Entry, Op, Outcome, Subject},
    clock::UnixSeconds,
    hub::{
        app::App,
        token::{
            self, Bindings, Contents, Entropy, Examined, LifetimeProblem, Purpose, SealProblem, Sealed, Unverified,
        },
    },
    policy::{Meter, Verb, verb},
    verdict::Hint,
};

type Answer<'s, T> = (Entry<'s>, Result<T, Refusal>);
type Admission<'s, V> = Result<Admitted<'s, App, V>, Refusal>;

impl Authority {
    /// Seals a token.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn seal(&self, call: Call<'_>, request: &Seal<'_>) -> Result<SealedToken, Refusal> {
        self.unary(call, Op::Seal, Subject::user(request.username), |state, now| {
            seal(state, desk::app(state, call.caller, request.app), Due::Unit(&state.policy, call), request, now)
        })
    }

    /// Seals many.
    ///
    /// # Errors
    /// A [`Refusal`] of the whole batch: 0 or more than 1,000 items.
    pub fn batch_seal(&self, call: Call<'_>, items: &[Seal<'_>]) -> Batch<SealedToken> {
        self.each(call, Op::BatchSeal, items, seal)
    }

    /// Opens a token.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn open(&self, call: Call<'_>, request: &Present<'_>) -> Result<OpenedToken, Refusal> {
        self.unary(call, Op::Open, Subject::user(request.username), |state, now| {
            open(state, desk::app(state, call.caller, request.app), Due::Unit(&state.policy, call), request, now)
        })
    }

    /// Opens many.
    ///
    /// # Errors
    /// A [`Refusal`] of the whole batch: 0 or more than 1,000 items.
    pub fn batch_open(&self, call: Call<'_>, items: &[Present<'_>]) -> Batch<OpenedToken> {
        self.each(call, Op::BatchOpen, items, open)
    }

    /// Judges a token.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn verify(&self, call: Call<'_>, request: &Present<'_>) -> Result<JudgedToken, Refusal> {
        self.unary(call, Op::Verify, Subject::user(request.username), |state, now| {
            judge(state, desk::app(state, call.caller, request.app), Due::Unit(&state.policy, call), request, now)
        })
    }

    /// Judges many.
    ///
    /// # Errors
    /// A [`Refusal`] of the whole batch: 0 or more than 1,000 items.
    pub fn batch_verify(&self, call: Call<'_>, items: &[Present<'_>]) -> Batch<JudgedToken> {
        self.each(call, Op::BatchVerify, items, judge)
    }

    /// Seals a token anew.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn reseal(&self, call: Call<'_>, request: &Present<'_>) -> Result<ResealedToken, Refusal> {
        self.unary(call, Op::Reseal, Subject::user(request.username), |state, now| {
            reseal(state, desk::app(state, call.caller, request.app), Due::Unit(&state.policy, call), request, now)
        })
    }

    /// Seals many anew.
    ///
    /// # Errors
    /// A [`Refusal`] of the whole batch: 0 or more than 1,000 items.
    pub fn batch_reseal(&self, call: Call<'_>, items: &[Present<'_>]) -> Batch<ResealedToken> {
        self.each(call, Op::BatchReseal, items, reseal)
    }

    /// One use case for each item, with one permit for each app that they name.
    fn each<R: OfUser, V: Verb + Copy, T>(
        &self,
        call: Call<'_>,
        op: Op,
        items: &[R],
        act: impl for<'s> Fn(&'s State, Admission<'s, V>, Due<'_>, &R, UnixSeconds) -> Answer<'s, T>,
    ) -> Batch<T> {
        self.batch(
            call,
            op,
            items,
            |item| Subject::user(item.username()),
            |state, now| {
                let mut memo = Memo::new();
                let mut admit = |name| memo.get(name, |name| desk::app(state, call.caller, name));
                if state.policy.is_metered() {
                    pay_for_batch(&state.policy, call, items.iter().map(|item| meter(&admit(item.app()))))?;
                }
                Ok(items.iter().map(|item| act(state, admit(item.app()), Due::Nothing, item, now)).collect())
            },
        )
    }
}

/// What is asked for an app and one of its users.
trait OfUser {
    fn app(&self) -> &str;
    fn username(&self) -> Option<&str>;
}

impl OfUser for Seal<'_> {
    fn app(&self) -> &str {
        self.app
    }

    fn username(&self) -> Option<&str> {
        self.username
    }
}

impl OfUser for Present<'_> {
    fn app(&self) -> &str {
        self.app
    }

    fn username(&self) -> Option<&str> {
        self.username
    }
}

fn meter<V: Verb>(admission: &Admission<'_, V>) -> Option<Meter> {
    admission.as_ref().ok()?.permit.meter()
}

fn seal<'s>(
    state: &'s State,
    admission: Admission<'s, verb::Seal>,
    due: Due<'_>,
    request: &Seal<'_>,
    now: UnixSeconds,
) -> Answer<'s, SealedToken> {
    let admitted = match admission {
        Ok(admitted) => admitted,
        Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
    };
    let mut entry = entry(&admitted);
    let result = due.pay(&admitted.permit).and_then(|()| seal_admitted(state, &admitted, request, now));
    entry.outcome = match &result {
        Ok(sealed) => {
            entry.key_version = sealed.key_version;
            entry.token_id = Some(sealed.token_id);
            Outcome::Done
        }
        Err(refusal) => refusal.outcome(),
    };
    (entry, result.map(sealed_token))
}

fn seal_admitted(
    state: &State,
    admitted: &Admitted<'_, App, verb::Seal>,
    request: &Seal<'_>,
    now: UnixSeconds,
) -> Result<Sealed, Refusal> {
    let kind = request.kind.ok_or_else(|| Refusal::invalid("kind", "no such payload kind; see PayloadKind"))?;
    let expires_at = token::lifetime(&admitted.permit, admitted.object, request.ttl, now).map_err(not_that_long)?;
    let contents = Contents {
        kind,
        payload: request.payload,
        hub_origin: (!request.hub_origin.is_empty()).then_some(request.hub_origin),
        reseal_count: 0,
        labels: &request.labels,
    };
    let bindings = Bindings { username: request.username, hub_login_token: request.hub_login_token };
    let entropy = entropy()?;
    let sealed = token::seal(
        &admitted.permit,
        admitted.object,
        Purpose::HubAuth,
        &contents,
        &bindings,
        expires_at,
        now,
        entropy,
        state.seal_limits,
    )
    .map_err(|problem| not_sealed(&problem, admitted.object))?;
    alarm(state, admitted.object, &sealed);
    Ok(sealed)
}

fn open<'s>(
    state: &'s State,
    admission: Admission<'s, verb::Open>,
    due: Due<'_>,
    request: &Present<'_>,
    now: UnixSeconds,
) -> Answer<'s, OpenedToken> {
    examine(state, admission, due, request, now, |permit, examined| {
        let payload = examined.payload(&permit).map(<[u8]>::to_vec).unwrap_or_default();
        OpenedToken { judged: judged(examined), payload }
    })
}

fn judge<'s>(
    state: &'s State,
    admission: Admission<'s, verb::Verify>,
    due: Due<'_>,
    request: &Present<'_>,
    now: UnixSeconds,
) -> Answer<'s, JudgedToken> {
    examine(state, admission, due, request, now, |_, examined| judged(examined))
}

/// The road that Open and Verify share; they differ in what they let out.
fn examine<'s, V: Verb + Copy, T>(
    state: &'s State,
    admission: Admission<'s, V>,
    due: Due<'_>,
    request: &Present<'_>,
    now: UnixSeconds,
    answer: impl FnOnce(crate::policy::Permit<'s, V>, Examined) -> T,
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
            token.examine(&admitted.permit, &state.ring, admitted.object, Purpose::HubAuth, &bindings, now)
        }
        Err(hints) => Examined::malformed(hints),
    };
    note(&mut entry, &examined);
    (entry, Ok(answer(admitted.permit, examined)))
}

fn reseal<'s>(
    state: &'s State,
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
            return (entry, Ok(ResealedToken { judged: judged(examined), auth: String::new() }));
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
        now,
        salt,
        state.seal_limits,
    );
    entry.token_id = Some(old.token_id());
    note(&mut entry, &resealed.examined);
    match resealed.sealed {
        None => (entry, Ok(ResealedToken { judged: judged(resealed.examined), auth: String::new() })),
        Some(Err(problem)) => {
            let refusal = not_sealed(&problem, admitted.object);
            (Entry { outcome: refusal.outcome(), ..entry }, Err(refusal))
        }
        Some(Ok(sealed)) => {
            alarm(state, admitted.object, &sealed);
            entry.key_version = sealed.key_version;
            entry.token_id = Some(sealed.token_id);
            let mut judged = judged(resealed.examined);
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

fn entropy() -> Result<Entropy, Refusal> {
    let mut entropy = Entropy { salt: [0; 24], grant_id: [0; 16] };
    let drawn = getrandom::fill(&mut entropy.salt).and_then(|()| getrandom::fill(&mut entropy.grant_id));
    drawn.map_err(|error| {
        tracing::error!(%error, "the operating system gave no randomness");
        Refusal::Internal
    })?;
    Ok(entropy)
}

fn not_that_long(problem: LifetimeProblem) -> Refusal {
    match problem {
        LifetimeProblem::NotPositive => Refusal::invalid("ttl", problem.to_string()),
        LifetimeProblem::TooLong { limit, whose } => Refusal::TtlTooLong { field: "ttl", limit, whose },
    }
}

fn not_sealed(problem: &SealProblem, app: &App) -> Refusal {
    match problem {
        SealProblem::NoActiveVersion => Refusal::NoActiveVersion,
        SealProblem::SealLimitReached => Refusal::SealLimitReached,
        SealProblem::Unreserved => Refusal::Unreserved,
        SealProblem::TokenTooLong { .. } => Refusal::TokenTooLong { limit: app.max_chars },
        other => Refusal::invalid(other.field().unwrap_or_default(), other.to_string()),
    }
}

/// One line when a key passes the alarm threshold; the gauge shows it from then on.
fn alarm(state: &State, app: &App, sealed: &Sealed) {
    if sealed.seals == state.seal_limits.alarm {
        tracing::warn!(
            key = %app.key.name,
            version = sealed.key_version,
            seals = sealed.seals,
            "the key has sealed as many tokens as its alarm threshold: rotate it"
        );
    }
}

fn sealed_token(sealed: Sealed) -> SealedToken {
    SealedToken {
        token_id: id_text(&sealed.token_id),
        grant_id: id_text(&sealed.grant_id),
        issued_at: sealed.issued_at.0,
        expires_at: sealed.expires_at.map_or(0, |at| at.0),
        key_version: sealed.key_version,
        username_bound: sealed.username_bound,
        hub_login_token_bound: sealed.hub_login_token_bound,
        hints: sealed.hints,
        auth: sealed.token,
    }
}

fn judged(mut examined: Examined) -> JudgedToken {
    JudgedToken {
        verdict: examined.verdict,
        hints: examined.hints,
        claims: examined.claims.take().map(Into::into),
        key_version: examined.key_version.unwrap_or(0),
    }
}

fn note(entry: &mut Entry<'_>, examined: &Examined) {
    entry.outcome = Outcome::Judged(examined.verdict);
    entry.key_version = examined.key_version.unwrap_or(0);
    entry.quoted = examined.hints.contains(Hint::Quoted);
}

fn entry<'s, V: Verb>(admitted: &Admitted<'s, App, V>) -> Entry<'s> {
    Entry {
        object: &admitted.object.name,
        rule: &admitted.permit.rule().name,
        key: admitted.object.key.name.as_str(),
        ..Entry::bare(Outcome::Done)
    }
}
