//! The services that are not ours: health and reflection.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use prost::Message as _;
use tonic_health::pb::{HealthCheckRequest, health_server::HealthServer};

use super::record::Record;
use crate::{
    audit::{Code, Outcome},
    authority::Refusal,
    grpc::{
        answer::{self, Answer, AnswerBody},
        health,
        limit::Limits,
        message::{self, Fault, PREFIX, Whole},
        reflection,
        route::Route,
        session::Session,
        timeout,
    },
};

/// Reflection and health, by tonic's own services. What is a stream is recorded when it begins.
pub(super) async fn serve<B>(
    session: &Session,
    parts: &Parts,
    body: B,
    route: Route,
    limits: &Limits,
    record: &mut Record<'_>,
) -> Result<Answer, Fault>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let answer = if let Route::Reflection(version) = route {
        let request = Request::from_parts(parts.clone(), body);
        reflection::serve(version, session.gate.reach(), limits.message_bytes, request).await.map(AnswerBody::Stream)
    } else {
        let asked = timeout::of_grpc(&parts.headers)?;
        let deadline = record.arrived + asked.unwrap_or(Duration::MAX).min(limits.deadline);
        let message =
            message::framed(body, limits.message_bytes, deadline, &session.transport.counters.receiving).await?;
        // Tonic's codec would call it our own fault.
        HealthCheckRequest::decode(message.get(PREFIX..).unwrap_or_default()).map_err(|_| Refusal::Undecodable)?;
        grpc_call(HealthServer::new(session.transport.health.seen_by(session.gate.reach())), parts.clone(), message)
            .await
    };
    record.make(match answer.headers().get(answer::GRPC_STATUS).map(HeaderValue::as_bytes) {
        None | Some(b"0") => Outcome::Done,
        // The only error of theirs that has no message of its own on the way: a service that is not here.
        Some(b"5") => Outcome::Refused(Code::NotFound, health::UNKNOWN_SERVICE),
        Some(_) => Refusal::Internal.outcome(),
    });
    Ok(answer)
}

/// Calls a tonic service with a message that is all there.
async fn grpc_call<S>(mut service: S, parts: Parts, message: Bytes) -> Answer
where
    S: tonic::codegen::Service<Request<Whole>, Response = Response<tonic::body::Body>, Error = Infallible>,
{
    match service.call(Request::from_parts(parts, Whole::new(message))).await {
        Ok(answer) => answer.map(AnswerBody::Stream),
        Err(never) => match never {},
    }
}
