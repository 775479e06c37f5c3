//! Completing a login. In generation 2 the browser carries the token. In generation 1 it is posted from here, once: the
//! ledger knows of it before, and unless it learns that Hub has said yes, the grant is cut off.

use std::sync::Arc;

use super::{CompleteLogin, CompletedLogin, Reply, is_allowed, notify::word, outgoing, user};
use crate::{
    audit::{Entry, Op, Outcome},
    authority::{
        Authority, Call, Refusal, State,
        allowance::Due,
        answer::id_text,
        desk::{self, Admitted},
        hub::{alarm, entropy, entry, not_sealed, not_that_long},
        reach::{Flight, Step, Trip, Whom},
        vendor::{Said, VendorFault, VendorProblem},
    },
    clock::UnixSeconds,
    hub::{
        app::App,
        login::{
            Begun, Origin,
            answer::{self, AnswerProblem},
            request,
        },
        token::{self, Bindings, Contents, Examined, Purpose, Sealed, Unverified},
    },
    ledger::{self, Binding},
    outbound::{Answer, Request, Sent, Vendor},
    policy::verb,
    verdict::Verdict,
};

/// Seconds beyond the time for Hub's answer after which nobody is at it any more.
const AFTERMATH: i64 = 60;

/// A delivery that is ready to go out.
struct Delivery {
    request: Request,
    hub: Origin,
    /// Where the browser may be sent.
    allowed: Vec<Origin>,
    binding: Binding,
    username: String,
    done: CompletedLogin,
}

impl Authority {
    /// Completes a login. `reply` is called with what came of it; not where a [`Refusal`] is given back, which is on record.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn complete_login(
        self: &Arc<Self>,
        call: Call<'_>,
        request: &CompleteLogin<'_>,
        reply: impl FnOnce(Result<CompletedLogin, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let whom = Whom::User(request.username.to_owned());
        let trip = Trip { op: Op::CompleteLogin, vendor: Vendor::Hub, whom, deadline: request.deadline };
        self.reach_out(
            call,
            trip,
            |state, now, room| self.prepare_login(state, call, request, room, now),
            |flight, delivery: Delivery| async move { delivery.run(&flight).await },
            Box::new(reply) as Reply<CompletedLogin>,
        )
    }

    fn prepare_login<'s>(
        &self,
        state: &'s State,
        call: Call<'_>,
        request: &CompleteLogin<'_>,
        room: Result<(), Refusal>,
        now: UnixSeconds,
    ) -> (Entry<'s>, Result<Step<Delivery, CompletedLogin>, Refusal>) {
        let admitted: Admitted<'s, App, verb::Login> = match desk::app(state, call.caller, request.app) {
            Ok(admitted) => admitted,
            Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
        };
        let mut entry = entry(&admitted);
        let step = self.next_step(state, call, &admitted, request, room, now, &mut entry);
        (entry, step)
    }

    #[expect(clippy::too_many_arguments, reason = "each is one ingredient, and a struct would only rename the list")]
    fn next_step(
        &self,
        state: &State,
        call: Call<'_>,
        admitted: &Admitted<'_, App, verb::Login>,
        request: &CompleteLogin<'_>,
        room: Result<(), Refusal>,
        now: UnixSeconds,
        entry: &mut Entry<'_>,
    ) -> Result<Step<Delivery, CompletedLogin>, Refusal> {
        let (app, permit) = (admitted.object, &admitted.permit);
        Due::Unit(&state.policy, call).pay(permit)?;
        super::has_hubs(app)?;
        user(request.username)?;
        room?;
        let standing = self.standing();
        let mut judged = |examined: &Examined, verdict| {
            entry.outcome = Outcome::Judged(verdict);
            entry.key_version = examined.key_version.unwrap_or(0);
            Ok(Step::Answer(CompletedLogin::not(verdict, examined.hints)))
        };
        let login_state = match Unverified::parse(request.login_state) {
            Ok(login_state) => login_state,
            Err(hints) => return judged(&Examined::malformed(hints), Verdict::Malformed),
        };
        let (none, revoked) = (Bindings::default(), standing.of(app));
        let found = login_state.examine(permit, &state.ring, app, Purpose::HubLogin, &none, revoked, now);
        if found.verdict != Verdict::Valid {
            return judged(&found, found.verdict);
        }
        let Some(begun) = found.login(permit).and_then(Begun::from_payload) else {
            return judged(&found, Verdict::Malformed);
        };
        is_allowed(app, begun.hub(), "login_state")?;
        if let Begun::One { .. } = &begun {
            self.working_ledger()?;
            request::segment(request.username)
                .map_err(|problem| Refusal::invalid("username", format!("username {problem}")))?;
        }
        let sealed = self.seal_login(state, admitted, request, &begun, now)?;
        (entry.key_version, entry.token_id) = (sealed.key_version, Some(sealed.token_id));
        let done = CompletedLogin {
            verdict: Verdict::Valid,
            hints: found.hints,
            redirect_url: String::new(),
            token_id: id_text(&sealed.token_id),
            grant_id: id_text(&sealed.grant_id),
            issued_at: sealed.issued_at.0,
            expires_at: sealed.expires_at.map_or(0, |at| at.0),
            generation: Some(begun.generation()),
            callback: String::new(),
        };
        match &begun {
            Begun::Two { callback } => Ok(Step::Answer(CompletedLogin {
                redirect_url: request::redirect(callback, &sealed.token, request.username),
                callback: callback.as_str().to_owned(),
                ..done
            })),
            Begun::One { hub, token } => {
                let binding = self.binding(app, token, request.username, &sealed, now)?;
                let (name, delivery) = (app.hub_name(), app.login.delivery);
                let sent = request::deliver(hub, name, request.username, token, &sealed.token, delivery)
                    .map_err(|problem| Refusal::invalid("username", format!("username {problem}")))?;
                Ok(Step::Go(Delivery {
                    request: outgoing(sent),
                    hub: hub.clone(),
                    allowed: app.login.origins.clone(),
                    binding,
                    username: request.username.to_owned(),
                    done,
                }))
            }
        }
    }

    fn seal_login(
        &self,
        state: &State,
        admitted: &Admitted<'_, App, verb::Login>,
        request: &CompleteLogin<'_>,
        begun: &Begun,
        now: UnixSeconds,
    ) -> Result<Sealed, Refusal> {
        let (app, permit) = (admitted.object, &admitted.permit);
        let kind = request.kind.ok_or_else(|| Refusal::invalid("kind", "no such payload kind; see PayloadKind"))?;
        let expires_at = token::lifetime(permit, app, request.ttl, now).map_err(not_that_long)?;
        let contents = Contents {
            kind,
            payload: request.payload,
            hub_origin: Some(begun.hub().as_str()),
            reseal_count: 0,
            labels: &request.labels,
        };
        let hub_login_token = match begun {
            Begun::One { token, .. } if app.login.bind_hub_login_token => Some(token.as_str()),
            Begun::One { .. } | Begun::Two { .. } => None,
        };
        let bindings = Bindings { username: Some(request.username), hub_login_token };
        let standing = self.standing();
        let sealed = token::seal(
            permit,
            app,
            Purpose::HubAuth,
            &contents,
            &bindings,
            expires_at,
            standing.of(app),
            now,
            entropy()?,
            state.seal_limits,
        );
        let sealed = sealed.map_err(|problem| not_sealed(&problem, app))?;
        alarm(state, app, &sealed);
        Ok(sealed)
    }

    /// What the ledger is told before the token goes out.
    fn binding(
        &self,
        app: &App,
        token: &str,
        username: &str,
        sealed: &Sealed,
        now: UnixSeconds,
    ) -> Result<Binding, Refusal> {
        let kept = self.ledger.as_ref().ok_or(Refusal::NoLedger)?;
        let outbound = self.outbound.as_ref().ok_or_else(crate::authority::stopping)?;
        let timeout = i64::try_from(outbound.timeout().as_secs()).unwrap_or(i64::MAX);
        Ok(Binding {
            app: app.name.as_str().into(),
            digest: kept.logins.of(&app.name, token),
            grant_id: sealed.grant_id,
            name: kept.logins.seal(&app.name, token, &sealed.grant_id, username),
            bound_at: now,
            issued_at: sealed.issued_at,
            ends: sealed.expires_at,
            due: Some(now.plus(timeout).plus(AFTERMATH)),
        })
    }
}

impl Delivery {
    async fn run(self, flight: &Flight) -> Result<CompletedLogin, Refusal> {
        let Self { request, hub, allowed, binding, username, mut done } = self;
        let authority = flight.authority();
        let Some(kept) = &authority.ledger else { return Err(Refusal::NoLedger) };
        let limit = authority.outbound.as_ref().map_or_else(Default::default, crate::outbound::Outbound::timeout);
        // What it is told here is taken back below; if it cannot be, by the ledger itself, when it is due.
        authority.kept(kept.ledger.bind(binding.clone())).await.map_err(|ledger::Unkept| Refusal::Unkept)?;
        let hubs = [hub.as_str().to_owned()];
        let asked = flight.ask("deliver", request, &hubs, limit, |answer| read(answer, &allowed)).await;
        let failed = match asked.and_then(|read| read) {
            Ok(url) => {
                let delivered = authority.kept(kept.ledger.deliver(binding.grant_id)).await;
                let state = authority.state.load();
                let is_lost = state.apps.get(&*binding.app).is_none_or(|app| {
                    let denied = kept.ledger.denied();
                    authority.is_cut_off(&denied, app, &binding.grant_id, &username, binding.issued_at)
                });
                if delivered.is_ok() && !is_lost {
                    done.redirect_url = url;
                    return Ok(done);
                }
                let why = "it has the token, but the ledger could not be told so in time";
                VendorFault::answered(Vendor::Hub, VendorProblem::Failed, 200, Said::default(), why)
            }
            Err(fault) => fault,
        };
        cut_off(authority, &binding).await;
        Err(Refusal::Vendor(if failed.sent == Sent::Nothing {
            failed.unreached()
        } else {
            failed.taken_for(VendorProblem::DeliveryUncertain)
        }))
    }
}

/// Where the browser goes next, and how that is counted.
fn read(answer: &Answer, allowed: &[Origin]) -> (&'static str, Result<String, VendorFault>) {
    match answer::landing(answer.status, &answer.body, allowed) {
        Ok(url) => ("ok", Ok(url)),
        Err(problem) => {
            let word = if problem == AnswerProblem::Status(answer.status) { word(answer.status) } else { "unreadable" };
            let why = problem.to_string();
            let problem = VendorProblem::Unreadable;
            (word, Err(VendorFault::answered(Vendor::Hub, problem, answer.status, Said::default(), &why)))
        }
    }
}

/// Cuts a grant off of which nobody knows whether Hub has its token. A ledger that does not take it now does so when the
/// binding is due, or its own line in the log says why not.
async fn cut_off(authority: &Arc<Authority>, binding: &Binding) {
    let Some(kept) = &authority.ledger else { return };
    let now = authority.clock.now();
    let receipt = kept.ledger.revoke(binding.revocation(now), now, &kept.keyring_id);
    if authority.kept(receipt).await.is_ok() {
        kept.ledger.unbind(binding.grant_id).detach();
    } else {
        tracing::error!(
            app = &*binding.app,
            grant_id = id_text(&binding.grant_id),
            "the grant of a login that went wrong could not be revoked at once; the ledger revokes it as soon as it works again"
        );
    }
}
