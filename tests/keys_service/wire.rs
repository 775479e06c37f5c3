//! Calls over gRPC by hand, on any stream, so that every kind of listener is asked in the same way.

use std::{path::Path, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use crate::{guarded::Guarded, peer};

/// What came back: the canonical code, and the bytes of the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub code: i32,
    pub message: Bytes,
}

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub async fn unix(path: &Path) -> Box<dyn Stream> {
    Box::new(UnixStream::connect(path).await.unwrap())
}

pub async fn tcp(address: &str) -> Box<dyn Stream> {
    Box::new(TcpStream::connect(address).await.unwrap())
}

/// The service's caller, at one of its TLS listeners.
pub async fn tls(guarded: &Guarded, port: u16) -> Box<dyn Stream> {
    let mut client = peer::client(&guarded.tls(), "caller");
    client.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    Box::new(TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap())
}

/// One call on a connection of its own. Of a stream of messages, all bytes.
pub async fn call(stream: Box<dyn Stream>, path: &str, request: &impl Message) -> Reply {
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driving = tokio::spawn(connection);
    let encoded = request.encode_to_vec();
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(encoded.len()).unwrap());
    body.put_slice(&encoded);
    let request = http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body.freeze()))
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let collected = body.collect().await.unwrap();
    let status = head.headers.get("grpc-status").or(collected.trailers().and_then(|all| all.get("grpc-status")));
    let code = status.unwrap().to_str().unwrap().parse().unwrap();
    let whole = collected.to_bytes();
    driving.abort();
    Reply { code, message: whole.slice(5.min(whole.len())..) }
}
