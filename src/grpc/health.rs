//! `grpc.health.v1`: whether this service serves, for each of its services and as a whole (the name ""). A watcher is told
//! when it ends, so that it does not hold up a drain.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::sync::watch;
use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{
    route::{HUB_LOGIN_SERVICE, HUB_TOKEN_SERVICE, KEY_SERVICE, LIVE_AUTH_PORTAL_SERVICE, LIVE_AUTH_SERVICE},
    session::Reach,
    status::DOMAIN,
};

/// The reason of the refusal to say anything of a service that is not here.
pub(super) const UNKNOWN_SERVICE: &str = "UNKNOWN_SERVICE";

const NAMES: [&str; 5] = ["", LIVE_AUTH_SERVICE, LIVE_AUTH_PORTAL_SERVICE, HUB_TOKEN_SERVICE, HUB_LOGIN_SERVICE];

fn is_known(name: &str, reach: Reach) -> bool {
    NAMES.contains(&name) || (reach == Reach::Admin && name == KEY_SERVICE)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    NotServing,
    Serving,
    Draining,
}

/// What health checks answer. Not serving, to begin with.
#[derive(Clone, Debug)]
pub(super) struct Health(watch::Sender<Phase>);

/// The same as callers by listeners of one reach see it.
#[derive(Debug)]
pub(super) struct Seen(Health, Reach);

impl Health {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::NotServing))
    }

    /// What one asks by a listener of this reach.
    pub(super) fn seen_by(&self, reach: Reach) -> Seen {
        Seen(self.clone(), reach)
    }

    pub(super) fn set_serving(&self, serving: bool) {
        let phase = if serving { Phase::Serving } else { Phase::NotServing };
        // A drain is not undone.
        self.0.send_if_modified(|now| *now != Phase::Draining && std::mem::replace(now, phase) != phase);
    }

    /// Not serving from now on; every watch ends.
    pub(super) fn drain(&self) {
        self.0.send_replace(Phase::Draining);
    }
}

#[tonic::async_trait]
impl health_server::Health for Seen {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service, self.1) {
            return Err(unknown_service());
        }
        Ok(Response::new(answer(*self.0.0.borrow())))
    }

    type WatchStream = Watch;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        let known = is_known(&request.get_ref().service, self.1);
        Ok(Response::new(Watch { phases: WatchStream::new(self.0.0.subscribe()), known, last: None, draining: false }))
    }
}

/// The answers of one watch: the first at once, then one for each change, then an end when the service drains.
#[derive(Debug)]
pub(super) struct Watch {
    phases: WatchStream<Phase>,
    known: bool,
    last: Option<i32>,
    draining: bool,
}

impl Stream for Watch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.draining {
                // The last word; the codec ends the stream with it.
                return Poll::Ready(Some(Err(Status::unavailable("the service is stopping"))));
            }
            let Some(phase) = ready!(Pin::new(&mut self.phases).poll_next(context)) else { return Poll::Ready(None) };
            self.draining = phase == Phase::Draining;
            let status = if self.known { answer(phase).status } else { ServingStatus::ServiceUnknown as i32 };
            if self.last.replace(status) != Some(status) {
                return Poll::Ready(Some(Ok(HealthCheckResponse { status })));
            }
        }
    }
}

/// The status that the protocol of health checks wants.
fn unknown_service() -> Status {
    let details = ErrorDetails::with_error_info(UNKNOWN_SERVICE, DOMAIN, []);
    Status::with_error_details(Code::NotFound, "no such service here", details)
}

fn answer(phase: Phase) -> HealthCheckResponse {
    let status = match phase {
        Phase::Serving => ServingStatus::Serving,
        Phase::NotServing | Phase::Draining => ServingStatus::NotServing,
    };
    HealthCheckResponse { status: status as i32 }
}
