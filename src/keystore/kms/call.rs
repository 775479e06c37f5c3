//! One call: a thread of its own, so that nobody else's runtime waits, a connection, and a deadline. Calls are rare (at the
//! start, at a rewrap, once a minute), and a connection that is made for each finds a plugin that was restarted.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::UnixStream, runtime::Builder, time::Instant};
use tonic::{Code, Response, Status, body::Body};

use super::{KmsProblem, problem::plain, v2::key_management_service_client::KeyManagementServiceClient};
use crate::crypto::heap;

/// Most bytes of an answer: annotations, a ciphertext and a key id, and their framing.
const ANSWER_MAX: usize = 64 << 10;

/// Stack wiped after a call, in bytes: what its futures held, and what decoding left.
const USE_STACK: usize = 128 * 1024;

/// Pauses between attempts, from the first to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The generated client over one connection.
pub(super) type Client = KeyManagementServiceClient<Wire>;

/// Connects and asks. Where that may help it is done again, until `patience` is over.
pub(super) fn within<R: Send>(
    socket: &Path,
    timeout: Duration,
    patience: Duration,
    ask: impl AsyncFn(Client) -> Result<Response<R>, Status> + Sync,
) -> Result<R, KmsProblem> {
    let asked = || {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| KmsProblem::Ours)?;
        runtime.block_on(async {
            let end = Instant::now() + patience;
            let mut pause = PAUSE.0;
            loop {
                match once(socket, timeout, &ask).await {
                    Err(problem) if problem.may_pass() && Instant::now() + pause < end => {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                    outcome => return outcome,
                }
            }
        })
    };
    let ask_wiping = || {
        // One of the two ways goes a key, through buffers of others.
        let answer = heap::wiping(asked);
        zeroize::zeroize_stack::<USE_STACK>();
        answer
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("kms".to_owned()).spawn_scoped(scope, ask_wiping);
        thread.map_err(|_| KmsProblem::Ours)?.join().unwrap_or(Err(KmsProblem::Ours))
    })
}

async fn once<R>(
    socket: &Path,
    timeout: Duration,
    ask: &impl AsyncFn(Client) -> Result<Response<R>, Status>,
) -> Result<R, KmsProblem> {
    let answer = async {
        let wire = Wire::connect(socket, timeout).await?;
        // A path is no authority; this is the one that every gRPC implementation uses instead.
        let origin = http::Uri::from_static("http://localhost");
        let client = KeyManagementServiceClient::with_origin(wire, origin).max_decoding_message_size(ANSWER_MAX);
        ask(client).await.map(Response::into_inner).map_err(|status| refused(&status))
    };
    tokio::time::timeout(timeout, answer).await.map_err(|_elapsed| KmsProblem::Late(timeout.as_millis()))?
}

fn refused(status: &Status) -> KmsProblem {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<hyper::Error>() {
            return KmsProblem::Broken;
        }
        cause = error.source();
    }
    let unavailable = status.code() == Code::Unavailable;
    KmsProblem::Refused { unavailable, code: status.code().description(), words: plain(status.message()) }
}

/// The connection, as what generated clients call.
pub(super) struct Wire {
    sender: http2::SendRequest<Body>,
    timeout: Duration,
}

impl Wire {
    async fn connect(socket: &Path, timeout: Duration) -> Result<Self, KmsProblem> {
        let stream = UnixStream::connect(socket).await.map_err(KmsProblem::Unreachable)?;
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|_| KmsProblem::Broken)?;
        tokio::spawn(connection);
        Ok(Self { sender, timeout })
    }
}

impl tonic::codegen::Service<http::Request<Body>> for Wire {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // So that the plugin gives up when we do. At most eight digits.
        if let Ok(value) = format!("{}m", self.timeout.as_millis().min(99_999_999)).parse() {
            request.headers_mut().insert("grpc-timeout", value);
        }
        Box::pin(self.sender.send_request(request))
    }
}
