//! A running transport, and callers that speak raw HTTP to it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{Bytes, BytesMut};
use countersign::{
    authority::{Authority, State},
    clock::Clock,
    grpc::{
        Limits, Server,
        listen::{bind_loopback, bind_unix},
        start,
    },
    hub::token::SealLimits,
    keyring::Keyring,
    liveauth::domain::Domains,
    metrics::{Metrics, TransportCounters},
    policy::Policy,
};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::Frame,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};
use tonic::transport::{Channel, Endpoint};
use tonic_types::pb::{ErrorInfo, RetryInfo};

pub(crate) const MINT: &str = "/countersign.v1.LiveAuthService/MintHash";
pub(crate) const OPEN: &str = "/countersign.v1.HubTokenService/Open";
pub(crate) const BATCH_OPEN: &str = "/countersign.v1.HubTokenService/BatchOpen";
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// An authority without a rule, a key or an object: none of these tests gets as far as to use any.
fn authority(metrics: &Arc<Metrics>) -> Arc<Authority> {
    let nothing = State::new(
        Policy::new(Vec::new()).unwrap(),
        Domains::new(Vec::new()).unwrap(),
        Vec::new(),
        Keyring::new(Vec::new()).unwrap(),
        SealLimits::default(),
    );
    Arc::new(Authority::new(Clock::system(), nothing.unwrap(), Arc::clone(metrics)))
}

/// To be held while files or sockets are made: binding changes the process's umask for a moment.
pub(crate) fn birth() -> MutexGuard<'static, ()> {
    static BIRTH: Mutex<()> = Mutex::new(());
    BIRTH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The default limits without a rate.
pub(crate) fn limits() -> Limits {
    Limits { rate: None, ..Limits::default() }
}

pub(crate) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

type Outgoing = BoxBody<Bytes, std::convert::Infallible>;

pub(crate) struct Running {
    server: Server,
    pub(crate) socket: PathBuf,
    pub(crate) tcp: String,
    pub(crate) counters: Arc<TransportCounters>,
    metrics: Arc<Metrics>,
    _place: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::start_with(limits, true)
    }

    pub(crate) fn start_with(limits: Limits, reflection: bool) -> Self {
        let _birth = birth();
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("countersign.sock");
        let listeners = vec![bind_unix(&socket).unwrap(), bind_loopback("127.0.0.1:0".parse().unwrap()).unwrap()];
        let tcp = listeners[1].address();
        let counters = Arc::new(TransportCounters::default());
        let metrics = Arc::new(Metrics::new(Clock::system()));
        let authority = authority(&metrics);
        let server = start(listeners, authority, limits, reflection, 2, Arc::clone(&counters)).unwrap();
        Self { server, socket, tcp, counters, metrics, _place: place }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) async fn drain(self, deadline: Duration) {
        self.server.drain(deadline).await;
    }

    pub(crate) async fn stop(self) {
        self.drain(Duration::from_millis(200)).await;
    }

    pub(crate) async fn unix(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }

    /// Events so far, by operation and outcome.
    pub(crate) fn events(&self) -> BTreeMap<(String, String), u64> {
        let text = self.metrics.render();
        let lines = text.lines().filter_map(|line| line.strip_prefix("countersign_requests_total{"));
        let label = |line: &str, name: &str| {
            let value = line.split_once(&format!("{name}=\"")).unwrap().1;
            value.split('"').next().unwrap().to_owned()
        };
        lines
            .map(|line| {
                let count = line.rsplit(' ').next().unwrap().parse().unwrap();
                ((label(line, "op"), label(line, "outcome")), count)
            })
            .collect()
    }

    pub(crate) async fn until(&self, condition: impl Fn(&TransportCounters) -> bool) {
        while !condition(&self.counters) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.tcp.clone()).unwrap().connect().await.unwrap()
    }

    async fn http2_connection(&self) -> SendRequest<Outgoing> {
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(self.unix().await)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(crate) async fn http2(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        send(&mut self.http2_connection().await, path, headers, Full::new(body).boxed()).await
    }

    pub(crate) async fn grpc(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        let headers = [&[("content-type", "application/grpc"), ("te", "trailers")], headers].concat();
        self.http2(path, &headers, body).await
    }

    /// A gRPC request whose body stays open.
    pub(crate) async fn grpc_unfinished(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let headers = [&[("content-type", "application/grpc")], headers].concat();
        send(&mut self.http2_connection().await, path, &headers, endless()).await
    }

    /// The same, left alone; it is on its way when this returns.
    pub(crate) async fn begin_call(&self, path: &str) -> tokio::task::JoinHandle<()> {
        let mut connection = self.http2_connection().await;
        let path = path.to_owned();
        let task = tokio::spawn(async move {
            let headers = [("content-type", "application/grpc")];
            let request = request(&path, &headers, endless());
            // Ends with the connection, when the server drops it.
            let _ = connection.send_request(request).await;
        });
        self.until(|counters| counters.receiving.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
        task
    }

    /// A Connect request over HTTP/1.1.
    pub(crate) async fn connect(&self, path: &str, content_type: &str, body: &[u8]) -> Reply {
        self.http1(&format!("POST {path} HTTP/1.1\r\ncontent-type: {content_type}"), body).await
    }

    /// A request over HTTP/1.1 on the Unix socket; `head` goes without host, length and empty line.
    pub(crate) async fn http1(&self, head: &str, body: &[u8]) -> Reply {
        exchange(self.unix().await, &complete(head, body)).await
    }

    pub(crate) async fn http1_tcp(&self, head: &str, body: &[u8]) -> Reply {
        let stream = TcpStream::connect(self.tcp.strip_prefix("http://").unwrap()).await.unwrap();
        exchange(stream, &complete(head, body)).await
    }

    pub(crate) async fn http1_raw(&self, text: &str) -> Reply {
        exchange(self.unix().await, text.as_bytes()).await
    }
}

fn endless() -> Outgoing {
    let first = tokio_stream::iter([Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 9, 1])))]);
    StreamBody::new(tokio_stream::StreamExt::chain(first, tokio_stream::pending())).boxed()
}

fn request(path: &str, headers: &[(&str, &str)], body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::post(format!("http://localhost{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

async fn send(connection: &mut SendRequest<Outgoing>, path: &str, headers: &[(&str, &str)], body: Outgoing) -> Reply {
    let (parts, body) = connection.send_request(request(path, headers, body)).await.unwrap().into_parts();
    let collected = body.collect().await.unwrap();
    let mut headers = parts.headers;
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    Reply { status: parts.status.as_u16(), headers, body: collected.to_bytes() }
}

fn complete(head: &str, body: &[u8]) -> Vec<u8> {
    let host = if head.contains("host:") { "" } else { "host: any\r\n" };
    let length = body.len();
    let mut whole = format!("{head}\r\n{host}connection: close\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    whole.extend_from_slice(body);
    whole
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &[u8]) -> Reply {
    // A refusal may come, and the connection close, before all of the request is out.
    let _ = stream.write_all(request).await;
    let mut answer = BytesMut::new();
    while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = parsed.parse(&answer).unwrap() else { panic!("no whole answer") };
    let pairs = parsed.headers.iter().map(|header| {
        (header.name.parse::<http::HeaderName>().unwrap(), http::HeaderValue::from_bytes(header.value).unwrap())
    });
    let (status, headers) = (parsed.code.unwrap(), pairs.collect());
    Reply { status, headers, body: answer.freeze().slice(start..) }
}

/// An answer; trailers are among the headers.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The code in a Connect error.
    pub(crate) fn json_code(&self) -> String {
        let error: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        error["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn grpc_status(&self) -> Option<i32> {
        self.headers.get("grpc-status")?.to_str().unwrap().parse().ok()
    }

    pub(crate) fn reason(&self) -> Option<String> {
        self.detail::<ErrorInfo>("ErrorInfo").map(|info| info.reason)
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let delay = self.detail::<RetryInfo>("RetryInfo")?.retry_delay?;
        delay.try_into().ok()
    }

    fn detail<M: prost::Message + Default>(&self, name: &str) -> Option<M> {
        let details = STANDARD_NO_PAD.decode(self.headers.get("grpc-status-details-bin")?).unwrap();
        let status = tonic_types::Status::decode(&details[..]).unwrap();
        let any = status.details.into_iter().find(|any| any.type_url.ends_with(name))?;
        M::decode(&any.value[..]).ok()
    }
}
