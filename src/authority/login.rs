//! Logging in to Hub: beginning and completing a login, renewing what Hub keeps, and finding out whose a hubLoginToken is.
//!
//! What goes out is on record first. A token of which nobody knows whether Hub has it is cut off: that it is to be cut off
//! is in the ledger before it goes out, so that it comes to that also if this process ends in between.

mod answer;
mod complete;
mod notify;
mod renew;
mod resolve;

pub use crate::hub::login::Generation as HubGeneration;
pub use answer::{
    BeginLogin, BegunLogin, CompleteLogin, CompletedLogin, NotifyUpdate, RenewAuth, RenewedAuth, ResolveLogin,
    ResolvedLogin,
};

use super::{
    Authority, Call, Kept, Refusal, State,
    allowance::Due,
    desk::{self, Admitted},
    hub::{alarm, entropy, entry, not_sealed},
    standing::Standing,
};
use crate::{
    audit::{Entry, Op, Subject},
    clock::UnixSeconds,
    hub::{
        app::App,
        login::{Begun, Generation, Origin, STATE_TTL, request},
        revocation::Denied,
        token::{self, Bindings, Contents, Purpose},
    },
    ledger,
    outbound::{Body, Method, Request},
    policy::verb,
};

/// Where an answer goes, once.
type Reply<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

impl Authority {
    /// Begins a login.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn begin_login(&self, call: Call<'_>, request: &BeginLogin<'_>) -> Result<BegunLogin, Refusal> {
        self.unary(call, Op::BeginLogin, Subject::NOBODY, |state, now| {
            let admitted: Admitted<'_, App, verb::Login> = match desk::app(state, call.caller, request.app) {
                Ok(admitted) => admitted,
                Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
            };
            let mut entry = entry(&admitted);
            let paid = Due::Unit(&state.policy, call).pay(&admitted.permit);
            let begun = paid.and_then(|()| {
                let begun = read(admitted.object, request.authenticate_url)?;
                if begun.generation() == Generation::One {
                    self.working_ledger()?;
                }
                let standing = self.standing();
                let sealed = seal_state(state, &standing, &admitted, &begun, now)?;
                (entry.key_version, entry.token_id) = (sealed.key_version, Some(sealed.token_id));
                Ok(BegunLogin {
                    login_state: sealed.token,
                    expires_at: sealed.expires_at.map_or(0, |at| at.0),
                    generation: begun.generation(),
                    hub_origin: begun.hub().to_string(),
                })
            });
            if let Err(refusal) = &begun {
                entry.outcome = refusal.outcome();
            }
            (entry, begun)
        })
    }

    /// The ledger, where there is one that keeps what it is told.
    fn working_ledger(&self) -> Result<&Kept, Refusal> {
        let kept = self.ledger.as_ref().ok_or(Refusal::NoLedger)?;
        if kept.ledger.counters().fault().is_some() { Err(Refusal::Unkept) } else { Ok(kept) }
    }

    /// Waits for a change to the ledger, on a thread that may.
    async fn kept(self: &std::sync::Arc<Self>, receipt: ledger::Receipt) -> Result<(), ledger::Unkept> {
        let Some(outbound) = &self.outbound else { return Err(ledger::Unkept) };
        let authority = std::sync::Arc::clone(self);
        let waited = outbound.blocking(move || authority.ledger().map(|ledger| ledger.wait(receipt)));
        waited.await.flatten().unwrap_or(Err(ledger::Unkept))
    }

    /// Whether a grant issued then is cut off, by itself, by the user or with the whole app.
    fn is_cut_off(&self, denied: &Denied, app: &App, grant_id: &[u8; 16], username: &str, issued: UnixSeconds) -> bool {
        let digests = self.ledger.as_ref().map(|kept| &kept.digests);
        denied.of(app, digests).covers(grant_id, Some(username), issued)
    }
}

/// What Hub asked for, if it is a Hub of the app.
fn read(app: &App, authenticate_url: &str) -> Result<Begun, Refusal> {
    let field = "authenticate_url";
    has_hubs(app)?;
    let begun = Begun::parse(authenticate_url, app.login.generation)
        .map_err(|problem| Refusal::invalid(field, format!("it {problem}")))?;
    is_allowed(app, begun.hub(), field)?;
    Ok(begun)
}

fn has_hubs(app: &App) -> Result<(), Refusal> {
    if app.login.origins.is_empty() { Err(Refusal::LoginNotConfigured) } else { Ok(()) }
}

fn is_allowed(app: &App, hub: &Origin, field: &'static str) -> Result<(), Refusal> {
    if app.login.allows(hub) { Ok(()) } else { Err(Refusal::OriginNotAllowed { field }) }
}

fn seal_state(
    state: &State,
    standing: &Standing<'_>,
    admitted: &Admitted<'_, App, verb::Login>,
    begun: &Begun,
    now: UnixSeconds,
) -> Result<token::Sealed, Refusal> {
    let payload = begun.to_payload();
    let contents = Contents { payload: &payload, ..Contents::default() };
    let (app, none) = (admitted.object, Bindings::default());
    let sealed = token::seal(
        &admitted.permit,
        app,
        Purpose::HubLogin,
        &contents,
        &none,
        Some(now.plus(STATE_TTL)),
        standing.of(app),
        now,
        entropy()?,
        state.seal_limits,
    );
    let sealed = sealed.map_err(|problem| not_sealed(&problem, app))?;
    alarm(state, app, &sealed);
    Ok(sealed)
}

/// A user whom a token can be bound to.
fn user(username: &str) -> Result<(), Refusal> {
    let bindings = Bindings { username: Some(username), hub_login_token: None };
    bindings.check().map_err(|problem| Refusal::invalid(problem.field(), problem.to_string()))
}

/// A request as the room for such things sends it.
fn outgoing(mut request: request::Request) -> Request {
    let method = match request.method {
        request::Method::Post => Method::Post,
        request::Method::Put => Method::Put,
    };
    let body = match request.content {
        request::Content::Form => Body::Form,
        request::Content::Json | request::Content::Nothing => Body::Json,
    };
    Request::with_body(method, std::mem::take(&mut request.url), body, std::mem::take(&mut *request.body))
}
