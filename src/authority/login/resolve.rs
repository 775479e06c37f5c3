//! Whose a hubLoginToken is. What is kept of it is read from the ledger, and so this is for threads that may wait.

use super::{ResolveLogin, ResolvedLogin};
use crate::{
    audit::{Entry, Op, Outcome, Subject},
    authority::{
        Authority, Call, Kept, Refusal,
        allowance::Due,
        answer::id_text,
        desk::{self, Admitted},
    },
    clock::UnixSeconds,
    hub::{app::App, token::BINDING_MAX},
    ledger,
    policy::verb,
    verdict::Verdict,
};

impl Authority {
    /// Finds out whose a hubLoginToken is.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn resolve_login(&self, call: Call<'_>, request: &ResolveLogin<'_>) -> Result<ResolvedLogin, Refusal> {
        self.unary(call, Op::ResolveLogin, Subject::NOBODY, |state, now| {
            let admitted: Admitted<'_, App, verb::Resolve> = match desk::app(state, call.caller, request.app) {
                Ok(admitted) => admitted,
                Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
            };
            let app = admitted.object;
            let rule = &admitted.permit.rule().name;
            let entry = |outcome| Entry { object: &app.name, rule, ..Entry::bare(outcome) };
            let resolved = Due::Unit(&state.policy, call).pay(&admitted.permit).and_then(|()| {
                let kept = self.ledger.as_ref().ok_or(Refusal::NoLedger)?;
                self.resolve(kept, app, request.hub_login_token, now)
            });
            let outcome = resolved.as_ref().map_or_else(Refusal::outcome, |resolved| Outcome::Judged(resolved.verdict));
            (entry(outcome), resolved)
        })
    }

    fn resolve(&self, kept: &Kept, app: &App, token: &str, now: UnixSeconds) -> Result<ResolvedLogin, Refusal> {
        let nothing = |verdict| ResolvedLogin {
            verdict,
            username: String::new(),
            grant_id: String::new(),
            bound_at: 0,
            expires_at: 0,
            found: false,
        };
        if !(1..=BINDING_MAX).contains(&token.len()) || token.chars().any(char::is_control) {
            return Ok(nothing(Verdict::Malformed));
        }
        let digest = kept.logins.of(&app.name, token);
        let bindings = kept.ledger.bindings(&app.name, digest).map_err(|ledger::Unkept| Refusal::Unkept)?;
        // The newest counts: it is what the user did last.
        let opened = bindings.into_iter().find_map(|binding| {
            let name = kept.logins.open(&app.name, token, &binding.grant_id, &binding.name);
            name.ok().map(|name| (binding, name))
        });
        let Some((binding, name)) = opened else { return Ok(nothing(Verdict::UnknownKey)) };
        let denied = kept.ledger.denied();
        let verdict = if binding.ends.is_some_and(|at| now >= at) {
            Verdict::Expired
        } else if self.is_cut_off(&denied, app, &binding.grant_id, &name, binding.issued_at) {
            Verdict::Revoked
        } else {
            Verdict::Valid
        };
        Ok(ResolvedLogin {
            verdict,
            username: if verdict == Verdict::Valid { String::clone(&name) } else { String::new() },
            grant_id: id_text(&binding.grant_id),
            bound_at: binding.bound_at.0,
            expires_at: binding.ends.map_or(0, |at| at.0),
            found: true,
        })
    }
}
