//! Telling those who look after a key why a token under it is judged as it is. Nothing is granted by it, and no payload,
//! username or claim of the app's own making comes out.

use super::{
    Authority, Call, KeyState, PayloadKind, Present, Refusal, Suite,
    allowance::Due,
    answer::id_text,
    desk::{self, Admitted},
};
use crate::{
    audit::{Entry, Op, Outcome, Subject},
    hub::{
        revocation::Kind,
        token::{self, Bindings, Checked, Explanation, Purpose},
    },
    keyring::Key,
    policy::{Object, verb},
    verdict::{Hints, Verdict},
};

/// A judgement, told.
pub struct ExplainedToken {
    /// The verdict.
    pub verdict: Verdict,
    /// Remarks.
    pub hints: Hints,
    /// Every check of opening, in order.
    pub checks: Vec<Checked>,
    /// What anybody can read in it, where it is of the right form.
    pub facts: Option<TokenFacts>,
    /// What it says of itself, where it is authentic.
    pub claims: Option<TokenTimes>,
    /// What cuts it off, and up to which moment, Unix seconds.
    pub revoked_by: Vec<(Kind, i64)>,
}

/// What anybody can read in a token; to be believed only where it is authentic.
pub struct TokenFacts {
    /// Its public id, hexadecimal.
    pub token_id: String,
    /// What it says it is sealed with.
    pub suite: Suite,
    /// Bound to a username.
    pub username_bound: bool,
    /// Bound to a hubLoginToken.
    pub hub_login_token_bound: bool,
    /// Most bytes of payload and claims that one of its length holds.
    pub holds: usize,
    /// The public id of its key version, hexadecimal.
    pub kid: String,
    /// The key of that id; empty where there is none, or none that the caller may look after.
    pub key: String,
    /// The version of that key; 0 where there is no key.
    pub key_version: u32,
    /// Where that version stands.
    pub key_state: Option<KeyState>,
}

/// What an authentic token says of itself, as far as an operator needs it. `expires_at` 0 means never.
pub struct TokenTimes {
    /// The grant's id, hexadecimal.
    pub grant_id: String,
    /// What the payload is.
    pub kind: PayloadKind,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// How often the grant was resealed.
    pub reseal_count: u32,
}

impl Authority {
    /// Tells why a token is judged as it is.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn explain_token(&self, call: Call<'_>, request: &Present<'_>) -> Result<ExplainedToken, Refusal> {
        self.unary(call, Op::ExplainToken, Subject::user(request.username), |state, now| {
            let admitted = desk::app_by_its_key::<verb::Admin>(state, call.caller, request.app);
            let (app, Admitted { object: key, permit }): (_, Admitted<'_, Key, _>) = match admitted {
                Ok(admitted) => admitted,
                Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
            };
            let entry = Entry {
                object: &app.name,
                key: key.name.as_str(),
                rule: &permit.rule().name,
                ..Entry::bare(Outcome::Done)
            };
            if let Err(refusal) = Due::Unit(&state.policy, call).pay(&permit) {
                return (Entry { outcome: refusal.outcome(), ..entry }, Err(refusal));
            }
            let bindings = Bindings { username: request.username, hub_login_token: request.hub_login_token };
            let standing = self.standing();
            let told = token::explain(
                &permit,
                &state.ring,
                app,
                Purpose::HubAuth,
                request.auth,
                &bindings,
                standing.of(app),
                now,
            );
            let entry = Entry {
                outcome: Outcome::Judged(told.verdict()),
                key_version: told.examined.key_version.unwrap_or(0),
                token_id: told.facts.as_ref().map(|facts| facts.token_id),
                ..entry
            };
            let may_name = |key: &str| state.policy.permit::<verb::Admin>(call.caller, Object::Key(key)).is_ok();
            (entry, Ok(explained(told, may_name)))
        })
    }
}

fn explained(told: Explanation, may_name: impl Fn(&str) -> bool) -> ExplainedToken {
    let Explanation { examined, checks, facts, named, revoked_by } = told;
    let named = named.filter(|named| may_name(named.key.as_str()));
    let facts = facts.map(|facts| TokenFacts {
        token_id: id_text(&facts.token_id),
        suite: facts.suite,
        username_bound: facts.username_bound,
        hub_login_token_bound: facts.hub_login_token_bound,
        holds: facts.holds,
        kid: facts.kid.to_string(),
        key: named.as_ref().map(|named| named.key.as_str().to_owned()).unwrap_or_default(),
        key_version: named.as_ref().map_or(0, |named| named.version),
        key_state: named.map(|named| named.state),
    });
    let claims = examined.claims.as_ref().map(|claims| TokenTimes {
        grant_id: id_text(&claims.grant_id),
        kind: claims.kind,
        issued_at: claims.issued_at.0,
        expires_at: claims.expires_at.map_or(0, |at| at.0),
        reseal_count: claims.reseal_count,
    });
    let revoked_by = revoked_by.into_iter().map(|(kind, until)| (kind, until.0)).collect();
    ExplainedToken { verdict: examined.verdict, hints: examined.hints, checks, facts, claims, revoked_by }
}
