//! What happens to every request, whatever its form: gate, rate, route, load, message, service, answer. Each refusal on
//! the way is recorded here and nowhere else; what a use case refuses, it has recorded itself.
//!
//! A call that has arrived whole is done without waiting for anything, and without a future of its own.

mod begun;
mod order;
mod record;
mod standard;

pub(super) use begun::{Begun, Held};

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header, request::Parts};
use http_body::Body;

use self::record::Record;
use super::{
    answer::{self, Answer},
    connect, host,
    limit::{InFlight, Limits, SHED_RETRY},
    message::{self, Fault},
    request_id::X_REQUEST_ID,
    route::Route,
    rpc::{self, Form},
    session::{Exchange, Gate, Session},
    status::{self, Rejection},
    timeout,
};
use crate::{
    audit::{Op, Receipt},
    authority::{Refusal, Slip},
};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Answers one request.
pub(super) async fn answer<B>(session: Arc<Session>, request: Request<B>) -> Result<Answer, Infallible>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    Ok(begin(session, request, Instant::now()).await.finish().await)
}

/// Does the work of a request whose content is there to its end, all that can be done at once.
pub(super) fn begin_whole(session: &Arc<Session>, request: Request<Bytes>, arrived: Instant) -> Begun {
    let route = Route::of(request.uri().path(), session.gate.reach());
    let (Route::Call(op), true) = (route, route.op().is_done_at_once()) else {
        let session = Arc::clone(session);
        let request = request.map(message::Whole::new);
        return Begun::Waiting(Box::pin(async move { begin(session, request, arrived).await.finish().await }));
    };
    let (parts, body) = request.into_parts();
    let request_id = session.ids.of(&parts.headers);
    let form = form_of(&parts);
    let mut record = Record::new(session, op, &request_id, arrived);
    let done = open(session, &parts, form, route, arrived).and_then(|(form, limits)| {
        let admitted = admit(&parts.headers, form, op, limits, &record)?;
        match form {
            Form::Grpc => message::is_framed(&body, admitted.bytes)?,
            Form::Connect(_) => message::is_plain(&body, admitted.bytes)?,
        }
        work(&admitted, &body, &mut record)
    });
    record.end(&done);
    settle(done, session, in_grpc(form, &parts), request_id)
}

/// Does the work of a request as its content arrives.
pub(super) async fn begin<B>(session: Arc<Session>, request: Request<B>, arrived: Instant) -> Begun
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let (parts, body) = request.into_parts();
    let request_id = session.ids.of(&parts.headers);
    let route = Route::of(parts.uri.path(), session.gate.reach());
    let form = form_of(&parts);
    let mut record = Record::new(&session, route.op(), &request_id, arrived);
    let done = match open(&session, &parts, form, route, arrived) {
        Err(fault) => {
            let limits = session.transport.limits.load_full();
            Box::pin(message::discard(body, limits.message_bytes, arrived + limits.deadline)).await;
            Err(fault)
        }
        Ok((form, limits)) => match route {
            Route::Call(op) => match admit(&parts.headers, form, op, limits, &record) {
                Ok(admitted) => match read(&admitted, body, &session).await {
                    Ok(message) if op.administers() || op.reaches_out() => {
                        Box::pin(order::place(&admitted, message, &mut record)).await.map(Done::Answered)
                    }
                    Ok(message) if op.waits() => Box::pin(order::wait(admitted, message, &session, &mut record)).await,
                    Ok(message) => work(&admitted, &message, &mut record),
                    Err(fault) => Err(fault),
                },
                Err(fault) => Err(fault),
            },
            // Boxed, so that the future of a call has no room set aside for these.
            _ => {
                Box::pin(standard::serve(&session, &parts, body, route, &limits, &mut record)).await.map(Done::Answered)
            }
        },
    };
    record.end(&done);
    settle(done, &session, in_grpc(form, &parts), request_id)
}

/// How a request's work ended.
enum Done {
    Answered(Answer),
    /// With a message that waits for its record.
    Recording(Form, Bytes, Receipt),
    /// With a refusal that does.
    Refusing(Fault, Receipt),
}

/// Makes an answer of it, or what there is to wait for.
fn settle(done: Result<Done, Fault>, session: &Arc<Session>, in_grpc: bool, request_id: HeaderValue) -> Begun {
    match done {
        Ok(Done::Answered(answer)) => Begun::Answered(named(answer, request_id)),
        Ok(Done::Recording(form, message, receipt)) => {
            Begun::Held(Held::new(receipt, form, message, request_id, Arc::clone(session)))
        }
        Ok(Done::Refusing(fault, receipt)) => Begun::Waiting(Box::pin(async move {
            let fault = if receipt.await.is_ok() { fault } else { unrecorded() };
            if let Some(hold) = fault.hold() {
                tokio::time::sleep(hold).await;
            }
            named(of_fault(fault, in_grpc), request_id)
        })),
        Err(fault) => match fault.hold() {
            None => Begun::Answered(named(of_fault(fault, in_grpc), request_id)),
            Some(hold) => Begun::Later(hold, named(of_fault(fault, in_grpc), request_id)),
        },
    }
}

/// All that can be decided before the request has a content.
fn open(
    session: &Session,
    parts: &Parts,
    form: Option<Form>,
    route: Route,
    arrived: Instant,
) -> Result<(Form, Limits), Fault> {
    if parts.headers.contains_key(header::ORIGIN) {
        return Err(Rejection::Origin.into());
    }
    if session.gate == Gate::LoopbackTcp && !host::is_this_machine(parts) {
        return Err(Rejection::Host.into());
    }
    if parts.headers.get_all(header::HOST).iter().nth(1).is_some() {
        return Err(Rejection::TwoHosts.into());
    }
    let limits = **session.transport.limits.load();
    if let Some(rate) = limits.rate {
        session.account.bucket.take(rate, arrived, 1).map_err(|retry_after| Refusal::RateLimited { retry_after })?;
    }
    let reachable = match route {
        Route::Call(_) => true,
        Route::HealthCheck | Route::HealthWatch => !matches!(form, Some(Form::Connect(_))),
        Route::Reflection(_) => session.transport.reflection && !matches!(form, Some(Form::Connect(_))),
        Route::Unknown => false,
    };
    if !reachable {
        return Err(Refusal::UnknownMethod.into());
    }
    if parts.method != Method::POST {
        return Err(Rejection::Method.into());
    }
    let form = form.ok_or(Rejection::ContentType)?;
    match form {
        Form::Grpc if parts.version != Version::HTTP_2 => Err(Rejection::GrpcOverHttp1.into()),
        Form::Grpc if !is_identity(&parts.headers, &GRPC_ENCODING) => Err(Rejection::Compressed.into()),
        Form::Connect(_) if !is_identity(&parts.headers, &header::CONTENT_ENCODING) => {
            Err(Rejection::Compressed.into())
        }
        Form::Connect(_) if !connect::is_version_1(&parts.headers) => Err(Rejection::ConnectVersion.into()),
        Form::Grpc | Form::Connect(_) => Ok((form, limits)),
    }
}

/// A call that was let in, up to its message.
#[derive(Clone, Copy)]
struct Admitted {
    op: Op,
    form: Form,
    limits: Limits,
    deadline: Instant,
    /// How long its message may be.
    bytes: usize,
}

/// All that can be decided about a call before its message is there.
fn admit(headers: &HeaderMap, form: Form, op: Op, limits: Limits, record: &Record<'_>) -> Result<Admitted, Fault> {
    let asked = match form {
        Form::Grpc => timeout::of_grpc(headers)?,
        Form::Connect(_) => timeout::of_connect(headers)?,
    };
    // It may have waited for as long as its connection did. Its caller has given up by now, or will have before an
    // answer is there: its other calls wait as long.
    let waited = record.session.lag.wait();
    let most = match op {
        _ if op.administers() => limits.deadline.max(order::DEADLINE),
        _ if op.reaches_out() => limits.deadline.max(limits.reach),
        _ => limits.deadline,
    };
    let left = asked.unwrap_or(most).min(most);
    let left = left.checked_sub(waited).ok_or(Refusal::DeadlineExceeded)?;
    if limits.is_late(waited, op.makes()) || op.is_batch() && record.session.account.presence.is_behind() {
        return Err(Refusal::Overloaded { retry_after: SHED_RETRY }.into());
    }
    let bytes = if op.is_batch() { limits.batch_bytes } else { limits.message_bytes };
    Ok(Admitted { op, form, limits, deadline: record.arrived + left, bytes })
}

/// Reads the message of a call.
async fn read<B>(admitted: &Admitted, body: B, session: &Session) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
{
    let receiving = &session.transport.counters.receiving;
    match admitted.form {
        Form::Grpc => message::framed(body, admitted.bytes, admitted.deadline, receiving).await,
        Form::Connect(_) => message::plain(body, admitted.bytes, admitted.deadline, receiving).await,
    }
}

/// Counts a call in. Not before it is all there: else whoever begins calls and does not go on would take the places of
/// others.
fn enter<'s>(admitted: &Admitted, session: &'s Session) -> Result<InFlight<'s>, Fault> {
    let entered =
        InFlight::enter(&session.transport.counters.in_flight, admitted.limits.in_flight, admitted.op.makes());
    entered.ok_or_else(|| Refusal::Overloaded { retry_after: SHED_RETRY }.into())
}

/// Works on a call whose message is there. A use case makes its record itself; its answer is to be held back until the
/// journal has that record.
fn work(admitted: &Admitted, message: &Bytes, record: &mut Record<'_>) -> Result<Done, Fault> {
    let session = record.session;
    let in_flight = enter(admitted, session)?;
    conclude(admitted, perform(admitted, session, record.request_id, record.arrived, message), in_flight, record)
}

/// What a use case gives: a message or a refusal, and the receipt of its record.
type Performed = (Result<Bytes, Fault>, Option<Receipt>);

fn perform(
    admitted: &Admitted,
    session: &Session,
    request_id: &HeaderValue,
    arrived: Instant,
    message: &Bytes,
) -> Performed {
    let Admitted { op, form, limits, deadline, .. } = *admitted;
    let slip = Slip::default();
    let exchange = Exchange { session, request_id, arrived, deadline, rate: limits.rate, slip: &slip };
    (rpc::call(op, form, &exchange, message), slip.take())
}

fn conclude(
    admitted: &Admitted,
    (done, receipt): Performed,
    in_flight: InFlight<'_>,
    record: &mut Record<'_>,
) -> Result<Done, Fault> {
    // Held back or not, the answer takes its place among those that nobody has taken yet.
    let done = done.map(|message| record.session.account.presence.give(message));
    // Where there is a receipt or an answer, the use case has made its event, whatever becomes of the answer.
    record.made |= done.is_ok() || receipt.is_some();
    match (done, receipt) {
        (Ok(message), Some(receipt)) => {
            in_flight.pass_on();
            Ok(Done::Recording(admitted.form, message, receipt))
        }
        (Ok(message), None) => Ok(Done::Answered(of_message(admitted.form, message))),
        (Err(fault), Some(receipt)) => Ok(Done::Refusing(fault, receipt)),
        (Err(fault), None) => Err(fault),
    }
}

/// Gives an answer the id of its request.
fn named(mut answer: Answer, request_id: HeaderValue) -> Answer {
    answer.headers_mut().insert(X_REQUEST_ID, request_id);
    answer
}

/// The answer with this message.
fn of_message(form: Form, message: Bytes) -> Answer {
    match form {
        Form::Grpc => answer::message(message),
        Form::Connect(codec) => connect::response(codec, message),
    }
}

fn of_fault(fault: Fault, in_grpc: bool) -> Answer {
    if in_grpc { grpc_fault(fault) } else { connect::fault(fault) }
}

/// The journal did not take the record of a call.
fn unrecorded() -> Fault {
    Fault::Answered(status::recorded(&Refusal::Unrecorded))
}

fn in_grpc(form: Option<Form>, parts: &Parts) -> bool {
    form == Some(Form::Grpc) && parts.version == Version::HTTP_2
}

/// The answer to a gRPC request that reached no service.
fn grpc_fault(fault: Fault) -> Answer {
    match fault {
        Fault::Refused(refusal) => answer::status(status::recorded(&refusal)),
        Fault::Explained(refusal, words) => answer::status(status::explained(&refusal, words)),
        Fault::Answered(status) => answer::status(status),
        // Hardly anyone is left to read it.
        Fault::Broken => answer::status(status::recorded(&Refusal::Undecodable)),
        Fault::Rejected(rejection) => {
            let mut answer = answer::status(rejection.status());
            if let Some(http) = rejection.http_status() {
                *answer.status_mut() = http;
            }
            if rejection == Rejection::Compressed {
                answer.headers_mut().insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            answer
        }
    }
}

/// What the content type says.
fn form_of(parts: &Parts) -> Option<Form> {
    let content_type = parts.headers.get(header::CONTENT_TYPE)?.as_bytes();
    if content_type == b"application/grpc" {
        return Some(Form::Grpc);
    }
    let essence = content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii_end();
    if essence == b"application/grpc" || essence == b"application/grpc+proto" {
        return Some(Form::Grpc);
    }
    connect::Codec::of(content_type).map(Form::Connect)
}

fn is_identity(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}
