//! Renewing what Hub keeps: a new token of the same grant, which Hub is asked, once, to take in the place of the old one.

use std::sync::Arc;

use super::{RenewAuth, RenewedAuth, Reply, is_allowed, outgoing, user};
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
        login::{Callback, Generation, Origin, request},
        revocation::{self, Kind},
        token::{self, Bindings, Contents, Examined, News, PayloadKind, Renewed, Unverified},
    },
    outbound::{Answer, Request, Sent, Vendor},
    policy::verb,
    verdict::{Hint, Verdict},
};

/// A renewal that is ready to go out.
struct Renewal {
    request: Request,
    hub: Origin,
    /// What cuts the old token off.
    old: revocation::Entry,
    done: RenewedAuth,
}

impl Authority {
    /// Renews a token; else as [`Authority::complete_login`].
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn renew_auth(
        self: &Arc<Self>,
        call: Call<'_>,
        request: &RenewAuth<'_>,
        reply: impl FnOnce(Result<RenewedAuth, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let whom = Whom::User(request.username.to_owned());
        let trip = Trip { op: Op::RenewAuth, vendor: Vendor::Hub, whom, deadline: request.deadline };
        self.reach_out(
            call,
            trip,
            |state, now, room| {
                let admitted: Admitted<'_, App, verb::Renew> = match desk::app(state, call.caller, request.app) {
                    Ok(admitted) => admitted,
                    Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
                };
                let mut entry = entry(&admitted);
                let step = self.prepare_renewal(state, call, &admitted, request, room, now, &mut entry);
                (entry, step)
            },
            |flight, renewal: Renewal| async move { renewal.run(&flight).await },
            Box::new(reply) as Reply<RenewedAuth>,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "each is one ingredient, and a struct would only rename the list")]
    fn prepare_renewal(
        &self,
        state: &State,
        call: Call<'_>,
        admitted: &Admitted<'_, App, verb::Renew>,
        request: &RenewAuth<'_>,
        room: Result<(), Refusal>,
        now: UnixSeconds,
        entry: &mut Entry<'_>,
    ) -> Result<Step<Renewal, RenewedAuth>, Refusal> {
        let (app, permit) = (admitted.object, &admitted.permit);
        Due::Unit(&state.policy, call).pay(permit)?;
        super::has_hubs(app)?;
        if app.login.generation == Generation::One {
            return Err(Refusal::WrongGeneration);
        }
        let callback = Callback::parse(request.callback)
            .map_err(|problem| Refusal::invalid("callback", format!("callback {problem}")))?;
        is_allowed(app, callback.origin(), "callback")?;
        user(request.username)?;
        let contents = contents(request)?;
        let expires_at = token::lifetime(permit, app, request.ttl, now).map_err(not_that_long)?;
        self.working_ledger()?;
        room?;
        let mut judged = |examined: &Examined| {
            entry.outcome = Outcome::Judged(examined.verdict);
            entry.key_version = examined.key_version.unwrap_or(0);
            entry.quoted = examined.hints.contains(Hint::Quoted);
            Ok(Step::Answer(RenewedAuth::not(examined.verdict, examined.hints)))
        };
        let old = match Unverified::parse(request.auth) {
            Ok(old) => old,
            Err(hints) => return judged(&Examined::malformed(hints)),
        };
        let standing = self.standing();
        let bindings = Bindings { username: Some(request.username), hub_login_token: None };
        let news = contents.as_ref().map_or(News::None, News::Contents);
        let (revoked, salt) = (standing.of(app), entropy()?);
        let Renewed { examined, sealed } = token::renew(
            permit,
            &state.ring,
            app,
            &old,
            &bindings,
            news,
            expires_at,
            revoked,
            now,
            salt,
            state.seal_limits,
        );
        let Some(sealed) = sealed else { return judged(&examined) };
        let claims = examined.claims.as_ref().ok_or(Refusal::Internal)?;
        if claims.hub_origin.as_deref().is_some_and(|hub| hub != callback.origin().as_str()) {
            return Err(Refusal::invalid("callback", "it is on another Hub than the one that the token was made for"));
        }
        let sealed = sealed.map_err(|problem| not_sealed(&problem, app))?;
        alarm(state, app, &sealed);
        (entry.key_version, entry.token_id) = (sealed.key_version, Some(sealed.token_id));
        entry.quoted = examined.hints.contains(Hint::Quoted);
        let cut = revocation::Entry {
            app: app.name.as_str().into(),
            kind: Kind::Token,
            subject: claims.token_id,
            until: now,
            ends: claims.expires_at,
        };
        Ok(Step::Go(Renewal {
            request: outgoing(request::renew(&callback, plain(request.auth), &sealed.token, request.username)),
            hub: callback.origin().clone(),
            old: cut,
            done: RenewedAuth {
                verdict: Verdict::Valid,
                hints: examined.hints.without(Hint::ResealRecommended),
                token_id: id_text(&sealed.token_id),
                grant_id: id_text(&sealed.grant_id),
                issued_at: sealed.issued_at.0,
                expires_at: sealed.expires_at.map_or(0, |at| at.0),
                auth: sealed.token,
            },
        }))
    }
}

/// What the new token holds, where the request says so.
fn contents<'r>(request: &'r RenewAuth<'_>) -> Result<Option<Contents<'r>>, Refusal> {
    let kind = request.kind.ok_or_else(|| Refusal::invalid("kind", "no such payload kind; see PayloadKind"))?;
    match request.payload {
        Some(payload) => Ok(Some(Contents { kind, payload, labels: &request.labels, ..Contents::default() })),
        None if kind != PayloadKind::default() => {
            Err(Refusal::invalid("kind", "without a payload it is the old token's; leave it out, or send a payload"))
        }
        None if !request.labels.is_empty() => Err(Refusal::invalid(
            "labels",
            "without a payload they are the old token's; leave them out, or send a payload",
        )),
        None => Ok(None),
    }
}

/// The token without the pair of JSON quotes that Hub may have left around it.
fn plain(auth: &str) -> &str {
    auth.strip_prefix('"').and_then(|auth| auth.strip_suffix('"')).unwrap_or(auth)
}

impl Renewal {
    async fn run(self, flight: &Flight) -> Result<RenewedAuth, Refusal> {
        let Self { request, hub, old, mut done } = self;
        let authority = flight.authority();
        let Some(kept) = &authority.ledger else { return Err(Refusal::NoLedger) };
        let limit = authority.outbound.as_ref().map_or_else(Default::default, crate::outbound::Outbound::timeout);
        let asked = flight.ask("renew", request, &[hub.as_str().to_owned()], limit, read).await;
        if let Err(fault) = asked.and_then(|read| read) {
            return Err(Refusal::Vendor(match (fault.sent, fault.problem) {
                (Sent::Nothing, _) => fault.unreached(),
                (_, VendorProblem::Refused) => fault,
                _ => fault.taken_for(VendorProblem::RenewalUncertain),
            }));
        }
        let receipt = kept.ledger.revoke(old, authority.clock.now(), &kept.keyring_id);
        if authority.kept(receipt).await.is_err() {
            done.hints.add(Hint::OldTokenNotRevoked);
        }
        Ok(done)
    }
}

/// Whether Hub has taken it, and how that is counted. What it says besides is nobody's form.
fn read(answer: &Answer) -> (&'static str, Result<(), VendorFault>) {
    let fault = |problem, why| Err(VendorFault::answered(Vendor::Hub, problem, answer.status, Said::default(), why));
    let done = match answer.status {
        200..=299 => Ok(()),
        400..=499 => fault(VendorProblem::Refused, "it did not take the new token, and keeps the old one"),
        _ => fault(VendorProblem::Failed, "it broke down"),
    };
    (super::notify::word(answer.status), done)
}
