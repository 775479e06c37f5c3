//! Telling Hub that there is news for a user.

use std::sync::Arc;

use super::{NotifyUpdate, Reply, is_allowed, outgoing, user};
use crate::{
    audit::{Entry, Op, Outcome},
    authority::{
        Authority, Call, Refusal, State,
        allowance::Due,
        desk::{self, Admitted},
        reach::{Flight, Step, Trip, Whom},
        vendor::{Said, VendorFault, VendorProblem},
    },
    hub::{
        app::App,
        login::{Origin, request},
    },
    outbound::{Answer, Request, Vendor},
    policy::verb,
};

/// An announcement that is ready to go out.
struct Push {
    request: Request,
    hub: Origin,
}

impl Authority {
    /// Tells Hub, and gives the HTTP status that it answers with; else as [`Authority::complete_login`].
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn notify_update(
        self: &Arc<Self>,
        call: Call<'_>,
        request: &NotifyUpdate<'_>,
        reply: impl FnOnce(Result<u16, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let whom = Whom::User(request.username.to_owned());
        let trip = Trip { op: Op::NotifyUpdate, vendor: Vendor::Hub, whom, deadline: request.deadline };
        self.reach_out(
            call,
            trip,
            |state, _, room| {
                let admitted: Admitted<'_, App, verb::Notify> = match desk::app(state, call.caller, request.app) {
                    Ok(admitted) => admitted,
                    Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
                };
                let rule = &admitted.permit.rule().name;
                let entry = Entry { object: &admitted.object.name, rule, ..Entry::bare(Outcome::Done) };
                (entry, prepare(state, call, &admitted, request, room).map(Step::Go))
            },
            |flight, push: Push| async move { push.run(&flight).await },
            Box::new(reply) as Reply<u16>,
        )
    }
}

fn prepare(
    state: &State,
    call: Call<'_>,
    admitted: &Admitted<'_, App, verb::Notify>,
    asked: &NotifyUpdate<'_>,
    room: Result<(), Refusal>,
) -> Result<Push, Refusal> {
    let app = admitted.object;
    Due::Unit(&state.policy, call).pay(&admitted.permit)?;
    let configured = app.login.notified().ok_or(Refusal::LoginNotConfigured)?;
    let hub = match asked.hub_origin {
        None => configured.clone(),
        Some(text) => {
            Origin::parse(text).map_err(|problem| Refusal::invalid("hub_origin", format!("hub_origin {problem}")))?
        }
    };
    is_allowed(app, &hub, "hub_origin")?;
    user(asked.username)?;
    let request = request::push(app.login.generation, &hub, app.hub_name(), asked.username)
        .map_err(|problem| Refusal::invalid("username", format!("username {problem}")))?;
    room?;
    Ok(Push { request: outgoing(request), hub })
}

impl Push {
    async fn run(self, flight: &Flight) -> Result<u16, Refusal> {
        let outbound = flight.authority().outbound.as_ref();
        let limit = outbound.map_or_else(Default::default, crate::outbound::Outbound::timeout);
        let asked = flight.ask("push", self.request, &[self.hub.as_str().to_owned()], limit, read).await;
        asked.and_then(|read| read).map_err(Refusal::Vendor)
    }
}

fn read(answer: &Answer) -> (&'static str, Result<u16, VendorFault>) {
    let fault = |problem, why| Err(VendorFault::answered(Vendor::Hub, problem, answer.status, Said::default(), why));
    let done = match answer.status {
        200..=299 => Ok(answer.status),
        400..=499 => {
            fault(VendorProblem::Refused, "it refused; check hub_name, and that Hub knows the user by this name")
        }
        _ => fault(VendorProblem::Failed, "it broke down; ask again later"),
    };
    (word(answer.status), done)
}

/// How an answer is counted.
pub(super) const fn word(status: u16) -> &'static str {
    match status {
        200..=299 => "ok",
        400..=499 => "http_4xx",
        500..=599 => "http_5xx",
        _ => "unreadable",
    }
}
