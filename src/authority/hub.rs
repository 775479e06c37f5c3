//! Sealing, opening, judging and resealing Hub auth tokens.

mod present;

use self::present::{judge, open, reseal};
use super::{
    Authority, Batch, Call, JudgedToken, OpenedToken, Present, Refusal, ResealedToken, Seal, SealedToken, State,
    allowance::{Due, pay_for_batch},
    desk::{self, Admitted, Memo},
    standing::Standing,
};
use crate::{
    audit::{Entry, Op, Outcome, Subject},
    clock::UnixSeconds,
    hub::{
        app::App,
        token::{self, Bindings, Contents, Entropy, LifetimeProblem, Purpose, SealProblem, Sealed},
    },
    policy::{Meter, Verb, verb},
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
            let standing = self.standing();
            seal(
                state,
                &standing,
                desk::app(state, call.caller, request.app),
                Due::Unit(&state.policy, call),
                request,
                now,
            )
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
            let standing = self.standing();
            open(
                state,
                &standing,
                desk::app(state, call.caller, request.app),
                Due::Unit(&state.policy, call),
                request,
                now,
            )
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
            let standing = self.standing();
            judge(
                state,
                &standing,
                desk::app(state, call.caller, request.app),
                Due::Unit(&state.policy, call),
                request,
                now,
            )
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
            let standing = self.standing();
            reseal(
                state,
                &standing,
                desk::app(state, call.caller, request.app),
                Due::Unit(&state.policy, call),
                request,
                now,
            )
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
        act: impl for<'s> Fn(&'s State, &Standing<'_>, Admission<'s, V>, Due<'_>, &R, UnixSeconds) -> Answer<'s, T>,
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
                let standing = self.standing();
                Ok(items.iter().map(|item| act(state, &standing, admit(item.app()), Due::Nothing, item, now)).collect())
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
    standing: &Standing<'_>,
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
    let result = due.pay(&admitted.permit).and_then(|()| seal_admitted(state, standing, &admitted, request, now));
    entry.outcome = match &result {
        Ok(sealed) => {
            entry.key_version = sealed.key_version;
            entry.token_id = Some(sealed.token_id);
            Outcome::Done
        }
        Err(refusal) => refusal.outcome(),
    };
    (entry, result.map(SealedToken::from))
}

fn seal_admitted(
    state: &State,
    standing: &Standing<'_>,
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
        standing.of(admitted.object),
        now,
        entropy,
        state.seal_limits,
    )
    .map_err(|problem| not_sealed(&problem, admitted.object))?;
    alarm(state, admitted.object, &sealed);
    Ok(sealed)
}

pub(super) fn entropy() -> Result<Entropy, Refusal> {
    let mut entropy = Entropy { salt: [0; 24], grant_id: [0; 16] };
    let drawn = getrandom::fill(&mut entropy.salt).and_then(|()| getrandom::fill(&mut entropy.grant_id));
    drawn.map_err(|error| {
        tracing::error!(%error, "the operating system gave no randomness");
        Refusal::Internal
    })?;
    Ok(entropy)
}

pub(super) fn not_that_long(problem: LifetimeProblem) -> Refusal {
    match problem {
        LifetimeProblem::NotPositive => Refusal::invalid("ttl", problem.to_string()),
        LifetimeProblem::TooLong { limit, whose } => Refusal::TtlTooLong { field: "ttl", limit, whose },
    }
}

pub(super) fn not_sealed(problem: &SealProblem, app: &App) -> Refusal {
    match problem {
        SealProblem::NoActiveVersion => Refusal::NoActiveVersion,
        SealProblem::SealLimitReached => Refusal::SealLimitReached,
        SealProblem::Unreserved => Refusal::Unreserved,
        SealProblem::TokenTooLong { .. } => Refusal::TokenTooLong { limit: app.max_chars },
        other => Refusal::invalid(other.field().unwrap_or_default(), other.to_string()),
    }
}

/// One line when a key passes the alarm threshold; the gauge shows it from then on.
pub(super) fn alarm(state: &State, app: &App, sealed: &Sealed) {
    if sealed.seals == state.seal_limits.alarm {
        tracing::warn!(
            key = %app.key.name,
            version = sealed.key_version,
            seals = sealed.seals,
            "the key has sealed as many tokens as its alarm threshold: rotate it"
        );
    }
}

pub(super) fn entry<'s, V: Verb>(admitted: &Admitted<'s, App, V>) -> Entry<'s> {
    Entry {
        object: &admitted.object.name,
        rule: &admitted.permit.rule().name,
        key: admitted.object.key.name.as_str(),
        ..Entry::bare(Outcome::Done)
    }
}
