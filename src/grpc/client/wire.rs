//! The client's one HTTP/2 connection, as the service that generated clients call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    Request, Response, Uri,
    uri::{Authority, Scheme},
};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tonic::{Status, body::Body};

use super::{
    super::tls::{ClientStream, ClientTls},
    Address,
};

/// A handle to the connection, which lives on the runtime.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    sender: http2::SendRequest<Body>,
    authority: Authority,
    scheme: Scheme,
}

impl Wire {
    /// Connects, in words for people if that fails.
    pub(super) async fn connect(address: &Address, tls: Option<&ClientTls>) -> Result<Self, String> {
        match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| error.to_string())?;
                // A path is no authority; this is the one that every gRPC implementation uses instead.
                Self::over(stream, Authority::from_static("localhost"), Scheme::HTTP).await
            }
            Address::Http(authority) => {
                let (stream, authority) = tcp(authority).await?;
                Self::over(stream, authority, Scheme::HTTP).await
            }
            Address::Https(authority) => {
                let tls = tls.ok_or("https:// needs a certificate, its key and a CA file")?;
                let (stream, authority) = tcp(authority).await?;
                let stream: ClientStream = tls.connect(stream, authority.host()).await?;
                Self::over(stream, authority, Scheme::HTTPS).await
            }
        }
    }

    async fn over<S>(stream: S, authority: Authority, scheme: Scheme) -> Result<Self, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|_| "it does not speak HTTP/2".to_owned())?;
        tokio::spawn(connection);
        Ok(Self { sender, authority, scheme })
    }

    /// The scheme and authority that requests go to.
    pub(super) fn origin(&self) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        Uri::from_parts(parts).unwrap_or_default()
    }
}

async fn tcp(authority: &str) -> Result<(TcpStream, Authority), String> {
    let stream = TcpStream::connect(authority).await.map_err(|error| error.to_string())?;
    let _ = stream.set_nodelay(true);
    let authority = authority.parse().map_err(|_| "not a host and port".to_owned())?;
    Ok((stream, authority))
}

impl tonic::codegen::Service<Request<Body>> for Wire {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // That the connection is gone the call itself says, with its cause.
        self.sender.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// Whether a status was made here, because the connection broke.
pub(super) fn is_broken(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<hyper::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}
