//! Asking LiveAuth on a caller's behalf: the hash is made for the one request that it goes out with.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{
    Authority, Call, Refusal, State,
    allowance::Due,
    desk::{self, Admitted},
    reach::{Flight, Step, Trip, Whom},
    vendor::{Said, VendorFault, VendorProblem},
};
use crate::{
    audit::{Entry, Op, Outcome},
    clock::UnixSeconds,
    liveauth::{
        domain::{Domain, HostName},
        hash::{ClientId, MintProblem},
        portal::{self, Ask, CompleteInfo, Link, Login, Logout, Misread, PortalId, Signed, Status, TOKEN_MAX, Test},
    },
    outbound::{Answer, Request, Sent, Vendor},
};

/// Where LiveAuth is asked, and how long it may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Portal {
    /// Where.
    pub endpoint: portal::Endpoint,
    /// How long, from when the call goes out to the end of its answer.
    pub timeout: std::time::Duration,
}

/// Who asks, for whom.
#[derive(Clone, Copy)]
pub struct PortalCall<'a> {
    /// The domain that the request comes from, as the caller names it.
    pub domain: &'a str,
    /// The idibu client id.
    pub client: i64,
    /// From when on it is not begun any more.
    pub deadline: Instant,
}

/// A level that the API does not know.
#[derive(Clone, Copy)]
pub struct UnknownLevel;

/// For whom credentials are saved, or whose are removed.
#[derive(Clone, Copy)]
pub struct PortalLink {
    /// The portal.
    pub portal: i64,
    /// The level, where one is given; an error for one that the API does not know.
    pub link: Result<Option<PortalLevel>, UnknownLevel>,
    /// Which one of that level.
    pub id: Option<i64>,
}

pub use crate::liveauth::portal::{Began as LoggedIn, LinkKind as PortalLevel, StatusAnswer as PortalStatus};

/// Where an answer goes, once.
type Reply<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

impl Authority {
    /// Has LiveAuth tested. `reply` is called with what it said; not where a [`Refusal`] is given back, which is on record.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn portal_test(
        self: &Arc<Self>,
        call: Call<'_>,
        to: PortalCall<'_>,
        reply: impl FnOnce(Result<String, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        self.ask_portal(call, Op::PortalTest, to, Ok(Test), Box::new(reply))
    }

    /// Asks as whom a user posts; else as [`Authority::portal_test`].
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn portal_status(
        self: &Arc<Self>,
        call: Call<'_>,
        to: PortalCall<'_>,
        portal: i64,
        profile: i64,
        reply: impl FnOnce(Result<PortalStatus, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let ask =
            number("portal", portal).and_then(|portal| Ok(Status { portal, profile: number("profile", profile)? }));
        self.ask_portal(call, Op::PortalGetStatus, to, ask, Box::new(reply))
    }

    /// Begins a login; else as [`Authority::portal_test`].
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn portal_login(
        self: &Arc<Self>,
        call: Call<'_>,
        to: PortalCall<'_>,
        at: PortalLink,
        reply: impl FnOnce(Result<LoggedIn, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let ask = number("portal", at.portal).and_then(|portal| Ok(Login { portal, link: link(at)? }));
        self.ask_portal(call, Op::PortalLogin, to, ask, Box::new(reply))
    }

    /// Ends a login, and gives credentials; else as [`Authority::portal_test`].
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn portal_complete_info(
        self: &Arc<Self>,
        call: Call<'_>,
        to: PortalCall<'_>,
        token: &str,
        reply: impl FnOnce(Result<BTreeMap<String, String>, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let ask = CompleteInfo::of(token).ok_or_else(|| {
            let wanted = format!("the token that Login gave: 1 to {TOKEN_MAX} bytes, without control characters");
            Refusal::invalid("token", wanted)
        });
        self.ask_portal(call, Op::PortalCompleteInfo, to, ask, Box::new(reply))
    }

    /// Removes credentials; else as [`Authority::portal_test`].
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn portal_logout(
        self: &Arc<Self>,
        call: Call<'_>,
        to: PortalCall<'_>,
        at: PortalLink,
        reply: impl FnOnce(Result<(), Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let ask = number("portal", at.portal).and_then(|portal| {
            let link = link(at)?.ok_or_else(|| Refusal::invalid("link", "say whose credentials are to be removed"))?;
            Ok(Logout { portal, link })
        });
        self.ask_portal(call, Op::PortalLogout, to, ask, Box::new(reply))
    }

    fn ask_portal<A>(
        self: &Arc<Self>,
        call: Call<'_>,
        op: Op,
        to: PortalCall<'_>,
        ask: Result<A, Refusal>,
        reply: Reply<A::Answer>,
    ) -> Result<(), Refusal>
    where
        A: Ask + Send + Sync + 'static,
        A::Answer: Send + 'static,
    {
        let trip = Trip { op, vendor: Vendor::LiveAuth, whom: Whom::Client(to.client), deadline: to.deadline };
        self.reach_out(
            call,
            trip,
            |state, now, room| prepare(state, call, to, ask, room, now),
            |flight, errand: Errand<A>| async move { errand.run(&flight).await },
            reply,
        )
    }
}

/// A request that is ready to go out.
struct Errand<A> {
    ask: A,
    signed: Signed,
    referer: String,
    portal: Arc<Portal>,
}

/// Policy before form, and both before the key.
fn prepare<'s, A: Ask, T>(
    state: &'s State,
    call: Call<'_>,
    to: PortalCall<'_>,
    ask: Result<A, Refusal>,
    room: Result<(), Refusal>,
    now: UnixSeconds,
) -> (Entry<'s>, Result<Step<Errand<A>, T>, Refusal>) {
    let found = HostName::from_request(to.domain)
        .map_err(|problem| Refusal::invalid("domain", problem.to_string()))
        .and_then(|host| Ok((desk::domain(state, call.caller, &host)?, host)));
    let (admitted, host): (Admitted<'s, Domain, A::Verb>, HostName) = match found {
        Ok(found) => found,
        Err(refusal) => return (Entry::bare(refusal.outcome()), Err(refusal)),
    };
    let (domain, permit) = (admitted.object, &admitted.permit);
    let mut entry = Entry {
        object: domain.name.as_str(),
        rule: &permit.rule().name,
        key: domain.key.name.as_str(),
        ..Entry::bare(Outcome::Done)
    };
    let ready = || {
        Due::Unit(&state.policy, call).pay(permit)?;
        let client = ClientId::new(to.client)
            .ok_or_else(|| Refusal::invalid("client", "the numeric idibu client id, 1 or above, is needed"))?;
        let ask = ask?;
        let portal = state.portal.clone().ok_or(Refusal::Internal)?;
        room?;
        let signed =
            portal::sign(permit, domain, &portal.endpoint, client, &ask, now).map_err(|problem| match problem {
                MintProblem::NoActiveVersion => Refusal::NoActiveVersion,
                MintProblem::Unreserved => Refusal::Unreserved,
            })?;
        Ok(Errand { ask, signed, referer: domain.referer_for(&host), portal })
    };
    let ready = ready();
    if let Ok(errand) = &ready {
        entry.key_version = errand.signed.key_version;
    }
    (entry, ready.map(Step::Go))
}

impl<A: Ask> Errand<A> {
    /// Asks; where it is all the same how often, and nothing was answered, once more.
    async fn run(self, flight: &Flight) -> Result<A::Answer, Refusal> {
        let begun = Instant::now();
        let mut again = A::IS_REPEATABLE;
        loop {
            let left = self.portal.timeout.saturating_sub(begun.elapsed());
            let mut request = Request::get(self.signed.url.clone());
            request.referer = Some(self.referer.clone());
            let allowed = [self.portal.endpoint.origin().to_owned()];
            let asked = flight.ask(A::ACTION, request, &allowed, left, |answer| self.read(answer)).await;
            match asked {
                Ok(read) => return read.map_err(Refusal::Vendor),
                Err(fault) if again && is_worth_another(&fault) => again = false,
                Err(fault) => return Err(Refusal::Vendor(fault)),
            }
        }
    }

    /// What an answer says, and how that is counted.
    fn read(&self, answer: &Answer) -> (&'static str, Result<A::Answer, VendorFault>) {
        let said = |words: &str| Said::new(words, &[self.signed.hash(), self.ask.secret().unwrap_or_default()]);
        let fault = |problem, words: &str, why: &str| {
            Err(VendorFault::answered(Vendor::LiveAuth, problem, answer.status, said(words), why))
        };
        match answer.status {
            200..=299 => match A::read(&answer.body) {
                Ok(read) => ("ok", Ok(read)),
                Err(Misread::Complaint(words)) => {
                    ("refused", fault(VendorProblem::Refused, &words, "it refused, and the error's details say why"))
                }
                Err(Misread::Unlike(like)) => {
                    let why = format!("its answer is not what its document says: {like}");
                    ("unreadable", fault(VendorProblem::Unreadable, "", &why))
                }
            },
            // The latter three: not now.
            500.. | 408 | 425 | 429 => {
                let words = portal::complaint(&answer.body);
                let result = if answer.status < 500 { "http_4xx" } else { "http_5xx" };
                (result, fault(VendorProblem::Failed, &words, "it broke down, or is busy; ask again later"))
            }
            400..=499 => {
                let words = portal::complaint(&answer.body);
                let why = "it refused, and the error's details say why; where they do not, check the client id, and the \
                           domain and its secret with idibu";
                ("http_4xx", fault(VendorProblem::Refused, &words, why))
            }
            _ => (
                "unreadable",
                fault(VendorProblem::Unreadable, "", "its answer has no status that means anything here"),
            ),
        }
    }
}

/// Whether another attempt may end otherwise: nothing was answered, and there is still time.
fn is_worth_another(fault: &VendorFault) -> bool {
    fault.sent != Sent::Answered && matches!(fault.problem, VendorProblem::Unreachable | VendorProblem::Failed)
}

fn number(field: &'static str, number: i64) -> Result<PortalId, Refusal> {
    PortalId::new(number).ok_or_else(|| Refusal::invalid(field, "the idibu id, 1 or above, is needed"))
}

fn link(at: PortalLink) -> Result<Option<Link>, Refusal> {
    let level =
        at.link.map_err(|UnknownLevel| Refusal::invalid("link", "no such link; check it against the .proto files"))?;
    Link::of(level, at.id).map_err(|problem| Refusal::invalid("id", problem.advice()))
}
