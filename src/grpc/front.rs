//! What happens to every request, whatever its form: gate, rate, route, load, message, service, answer. Each refusal on
//! the way is recorded here and nowhere else; what a use case refuses, it has recorded itself.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version, header, request::Parts};
use http_body::Body;
use prost::Message as _;
use tonic_health::pb::{HealthCheckRequest, health_server::HealthServer};
use zeroize::Zeroize as _;

use super::{
    answer::{self, Answer, AnswerBody},
    connect, health, host,
    limit::{InFlight, Limits, SHED_RETRY},
    message::{self, Fault, PREFIX, Whole},
    reflection,
    request_id::X_REQUEST_ID,
    route::Route,
    rpc::{self, Form},
    session::{Exchange, Gate, Session},
    status::{self, Rejection},
    timeout,
};
use crate::{
    audit::{Code, Op, Outcome},
    authority::{Call, Refusal, Slip},
};

/// How a request ends whose caller went away, or whose content broke off.
const LEFT: Outcome = Outcome::Refused(Code::Cancelled, "CALLER_LEFT");

/// How long an RPC may take whose work is done elsewhere, where ordinary ones may take no longer.
const ORDER_DEADLINE: Duration = Duration::from_secs(15);

/// What a caller is told who has no more time for that.
const STILL_AT_IT: &str = "the deadline passed before the answer was ready; what was begun is finished and recorded, so look what \
                           became of it before you ask again";

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Answers one request.
pub(super) async fn answer<B>(session: Arc<Session>, request: Request<B>) -> Result<Answer, Infallible>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let request_id = session.ids.of(&parts.headers);
    let route = Route::of(parts.uri.path(), session.gate.reach());
    let form = form_of(&parts);
    let in_grpc = form == Some(Form::Grpc) && parts.version == Version::HTTP_2;
    let mut record = Record { session: &session, op: route.op(), request_id: &request_id, arrived, made: false };

    let served = match open(&session, &parts, form, route, arrived) {
        Err(fault) => {
            let limits = session.transport.limits.load_full();
            Box::pin(message::discard(body, limits.message_bytes, arrived + limits.deadline)).await;
            Err(fault)
        }
        Ok((form, limits)) => match route {
            Route::Call(op) => serve(&parts.headers, body, form, op, &limits, &mut record).await,
            // Boxed, so that the future of a call, which is moved about, has no room set aside for these.
            _ => Box::pin(serve_standard(&session, parts, body, route, arrived, &limits, &mut record)).await,
        },
    };
    if let Err(fault) = &served
        && let Some(hold) = fault.hold()
    {
        Box::pin(tokio::time::sleep(hold)).await;
    }
    let mut answer = served.unwrap_or_else(|fault| {
        record.of_fault(&fault);
        if in_grpc { grpc_fault(fault) } else { connect::fault(fault) }
    });
    drop(record);
    answer.headers_mut().insert(X_REQUEST_ID, request_id);
    Ok(answer)
}

/// The one record of a request. Where nobody has made it by the end, the caller has left before there was an answer.
struct Record<'a> {
    session: &'a Arc<Session>,
    op: Op,
    request_id: &'a HeaderValue,
    arrived: Instant,
    made: bool,
}

impl Record<'_> {
    fn make(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.made, true) {
            let request_id = self.request_id.to_str().unwrap_or_default();
            let Session { caller, account, .. } = &**self.session;
            let (allowance, slip) = (&account.allowance, &Slip::default());
            let call = Call { caller, request_id, arrived: self.arrived, allowance, slip };
            self.session.transport.authority.0.note(call, self.op, outcome);
        }
    }

    fn of_fault(&mut self, fault: &Fault) {
        match fault {
            Fault::Refused(refusal) | Fault::Explained(refusal, _) => self.make(refusal.outcome()),
            Fault::Answered(status) => match status::to_record(status) {
                Some(refusal) => self.make(refusal.outcome()),
                None => self.made = true,
            },
            Fault::Rejected(rejection) => {
                self.session.transport.counters.count_rejected(rejection.reason());
                self.make(rejection.outcome());
            }
            Fault::Broken => self.make(LEFT),
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.make(LEFT);
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

/// Reflection and health, by tonic's own services. What is a stream is recorded when it begins.
async fn serve_standard<B>(
    session: &Session,
    parts: Parts,
    body: B,
    route: Route,
    arrived: Instant,
    limits: &Limits,
    record: &mut Record<'_>,
) -> Result<Answer, Fault>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let answer = if let Route::Reflection(version) = route {
        let request = Request::from_parts(parts, body);
        reflection::serve(version, session.gate.reach(), limits.message_bytes, request).await.map(AnswerBody::Stream)
    } else {
        let asked = timeout::of_grpc(&parts.headers)?;
        let deadline = arrived + asked.unwrap_or(Duration::MAX).min(limits.deadline);
        let message =
            message::framed(body, limits.message_bytes, deadline, &session.transport.counters.receiving).await?;
        // Tonic's codec would call it our own fault.
        HealthCheckRequest::decode(message.get(PREFIX..).unwrap_or_default()).map_err(|_| Refusal::Undecodable)?;
        grpc_call(HealthServer::new(session.transport.health.seen_by(session.gate.reach())), parts, message).await
    };
    record.make(match answer.headers().get(answer::GRPC_STATUS).map(HeaderValue::as_bytes) {
        None | Some(b"0") => Outcome::Done,
        // The only error of theirs that has no message of its own on the way: a service that is not here.
        Some(b"5") => Outcome::Refused(Code::NotFound, health::UNKNOWN_SERVICE),
        Some(_) => Refusal::Internal.outcome(),
    });
    Ok(answer)
}

/// An RPC of the API. A use case makes its record itself; its answer is held back until the journal has that record.
async fn serve<B>(
    headers: &HeaderMap,
    body: B,
    form: Form,
    op: Op,
    limits: &Limits,
    record: &mut Record<'_>,
) -> Result<Answer, Fault>
where
    B: Body<Data = Bytes>,
{
    let asked = match form {
        Form::Grpc => timeout::of_grpc(headers)?,
        Form::Connect(_) => timeout::of_connect(headers)?,
    };
    let (session, request_id, arrived) = (record.session, record.request_id, record.arrived);
    // It may have waited for as long as its connection did. Its caller has given up by now, or will have before an
    // answer is there: its other calls wait as long.
    let waited = session.lag.wait();
    let most = if op.administers() { limits.deadline.max(ORDER_DEADLINE) } else { limits.deadline };
    let left = asked.unwrap_or(most).min(most);
    let left = left.checked_sub(waited).ok_or(Refusal::DeadlineExceeded)?;
    let deadline = arrived + left;
    let overloaded = || Refusal::Overloaded { retry_after: SHED_RETRY };
    if limits.is_late(waited, op.makes()) || op.is_batch() && session.account.presence.is_behind() {
        return Err(overloaded().into());
    }
    let counters = &session.transport.counters;
    let limit = if op.is_batch() { limits.batch_bytes } else { limits.message_bytes };
    let request = match form {
        Form::Grpc => message::framed(body, limit, deadline, &counters.receiving).await?,
        Form::Connect(_) => message::plain(body, limit, deadline, &counters.receiving).await?,
    };
    // Not before it is all there: else whoever begins calls and does not go on would take the places of others.
    let _in_flight = InFlight::enter(&counters.in_flight, limits.in_flight, op.makes()).ok_or_else(overloaded)?;
    if op.administers() {
        let message = Box::pin(order(form, op, limits, deadline, request, record)).await?;
        return Ok(in_form(form, message));
    }
    let rate = limits.rate;
    let work = move |session: &Session, request_id: &HeaderValue| {
        let slip = Slip::default();
        let exchange = Exchange { session, request_id, arrived, deadline, rate, slip: &slip };
        (rpc::call(op, form, &exchange, &request), slip.take())
    };
    let (done, receipt) = if op.waits() {
        // Whether or not its caller waits so long, it makes its event itself.
        record.made = true;
        let (session, request_id) = (Arc::clone(session), request_id.clone());
        let worked = Box::pin(tokio::task::spawn_blocking(move || work(&session, &request_id))).await;
        record.made = false;
        // The panic hook has said what broke.
        worked.unwrap_or_else(|_| (Err(Fault::Answered(status::unrecorded(Refusal::Internal))), None))
    } else {
        work(session, request_id)
    };
    // Held back or not, the answer takes its place among those that nobody has taken yet.
    let done = done.map(|message| session.account.presence.give(message));
    if let Some(receipt) = receipt {
        // The use case has made its event, whatever becomes of the answer.
        record.made = true;
        if receipt.await.is_err() {
            return Err(Fault::Answered(status::recorded(&Refusal::Unrecorded)));
        }
    }
    let message = done?;
    record.made = true;
    Ok(in_form(form, message))
}

/// An RPC whose work is done elsewhere. What is refused at once is recorded and waited for as ever; from then on the
/// record is made where the work is done, whether or not anybody waits for the answer.
async fn order(
    form: Form,
    op: Op,
    limits: &Limits,
    deadline: Instant,
    request: Bytes,
    record: &mut Record<'_>,
) -> Result<Bytes, Fault> {
    let (begun, receipt) = {
        let slip = Slip::default();
        let (session, request_id, arrived) = (record.session, record.request_id, record.arrived);
        let exchange = Exchange { session, request_id, arrived, deadline, rate: limits.rate, slip: &slip };
        let begun = rpc::order(op, form, &exchange, &request);
        // It may have held a key. Where it is a piece of what its connection has read, it is not ours to wipe.
        if let Ok(mut request) = request.try_into_mut() {
            request.zeroize();
        }
        (begun, slip.take())
    };
    if let Some(receipt) = receipt {
        record.made = true;
        if receipt.await.is_err() {
            return Err(Fault::Answered(status::recorded(&Refusal::Unrecorded)));
        }
    }
    let ordered = begun?;
    record.made = true;
    match tokio::time::timeout_at(deadline.into(), ordered).await {
        Ok(Ok(done)) => done,
        Ok(Err(_dropped)) => Err(Fault::Answered(status::recorded(&Refusal::Internal))),
        Err(_elapsed) => Err(Fault::Explained(Refusal::DeadlineExceeded, STILL_AT_IT.into())),
    }
}

fn in_form(form: Form, message: Bytes) -> Answer {
    match form {
        Form::Grpc => answer::message(message),
        Form::Connect(codec) => connect::response(codec, message),
    }
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

/// The answer to a gRPC request that reached no service.
fn grpc_fault(fault: Fault) -> Answer {
    match fault {
        Fault::Refused(refusal) => answer::status(status::recorded(&refusal)),
        Fault::Explained(refusal, message) => answer::status(status::with_message(&refusal, message)),
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
