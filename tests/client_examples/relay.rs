//! A proxy between a program and the service, as one may stand in a network: it passes every call on and notes what it
//! was asked. Two calls fare worse. The first hash is asked for until the service itself says that the caller is over
//! its rate. The first one to be verified finds nobody: it is answered with UNAVAILABLE, as Envoy does.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, client::conn::http2::SendRequest, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::{
    net::{UnixListener, UnixStream},
    runtime::Runtime,
};

use crate::{MINT, VERIFY};

const RESOURCE_EXHAUSTED: &str = "8";
const UNAVAILABLE: &str = "14";

/// A call that went by.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub host: String,
    /// `grpc-timeout`: the deadline.
    pub timeout: Option<String>,
    /// `grpc-previous-rpc-attempts`: how often gRPC itself has tried before.
    pub attempts: Option<String>,
    /// Whether the service refused it for the caller's rate.
    pub limited: bool,
    /// Whether it was answered here, with UNAVAILABLE.
    pub unavailable: bool,
}

/// Relays while it lives.
pub struct Relay {
    seen: Arc<Mutex<Vec<Seen>>>,
    dir: TempDir,
    _runtime: Runtime,
}

impl Relay {
    /// Listens on a socket of its own, and passes on to the one at `service`.
    pub fn start(service: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(dir.path().join("relay.sock")).unwrap()
        };
        runtime.spawn(accept(listener, service.to_owned(), Arc::clone(&seen)));
        Self { seen, dir, _runtime: runtime }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("relay.sock")
    }

    /// The calls so far, in their order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: UnixListener, service: PathBuf, seen: Arc<Mutex<Vec<Seen>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let upstream = TokioIo::new(UnixStream::connect(&service).await.unwrap());
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), upstream).await.unwrap();
        tokio::spawn(connection);
        let seen = Arc::clone(&seen);
        let serve = service_fn(move |request| relay(request, sender.clone(), Arc::clone(&seen)));
        // A program that goes away ends its connection as it likes.
        tokio::spawn(async move {
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = http.serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}

async fn relay(
    request: Request<Incoming>,
    mut service: SendRequest<Full<Bytes>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let mut call = Seen {
        path: head.uri.path().to_owned(),
        host: head.uri.authority().map(ToString::to_string).unwrap_or_default(),
        timeout: header("grpc-timeout"),
        attempts: header("grpc-previous-rpc-attempts"),
        limited: false,
        unavailable: false,
    };
    let first = seen.lock().unwrap().iter().all(|before: &Seen| before.path != call.path);
    if first && call.path == VERIFY {
        call.unavailable = true;
        seen.lock().unwrap().push(call);
        return Ok(nobody());
    }
    loop {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        let (parts, body) = service.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let says = |headers: &HeaderMap| headers.get("grpc-status").is_some_and(|code| code == RESOURCE_EXHAUSTED);
        call.limited = says(&parts.headers) || body.trailers().is_some_and(says);
        if first && call.path == MINT && !call.limited {
            continue;
        }
        seen.lock().unwrap().push(call);
        let trailers = body.trailers().cloned();
        let whole = Full::new(body.to_bytes());
        // Clients insist that a status without an answer ends with its headers.
        let answer = match trailers {
            None => BoxBody::new(whole),
            Some(trailers) => BoxBody::new(whole.with_trailers(async move { Some(Ok(trailers)) })),
        };
        return Ok(Response::from_parts(parts, answer));
    }
}

/// A status without an answer.
fn nobody() -> Response<BoxBody<Bytes, Infallible>> {
    Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", UNAVAILABLE)
        .header("grpc-message", "no healthy upstream")
        .body(BoxBody::new(Full::default()))
        .unwrap()
}
