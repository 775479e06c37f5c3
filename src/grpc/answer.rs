//! What goes back to the caller: one message and gRPC's trailers, or whatever a streaming service gives.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::{Frame, SizeHint};
use tonic::Status;

/// An answer to any request.
pub(super) type Answer = Response<AnswerBody>;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");

/// The body of an [`Answer`].
pub(super) enum AnswerBody {
    /// One piece, and nothing after it; none once it is sent.
    Plain(Option<Bytes>),
    /// A gRPC message, and after it the trailers that say all went well.
    Message(Option<Bytes>),
    /// Those trailers are all that is left; false once they are sent.
    Trailers(bool),
    /// A streaming service's.
    Stream(tonic::body::Body),
}

/// The gRPC answer with this message, which has its prefix.
pub(super) fn message(framed: Bytes) -> Answer {
    let mut answer = Response::new(AnswerBody::Message(Some(framed)));
    answer.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    answer
}

/// The gRPC answer with this status and no message.
pub(super) fn status(status: Status) -> Answer {
    status.into_http::<()>().map(|()| AnswerBody::Plain(None))
}

/// What follows a message: all went well.
pub(super) fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, OK);
    trailers
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match &mut *self {
            Self::Plain(bytes) => bytes.take().map(Frame::data),
            Self::Message(bytes) => {
                let frame = bytes.take().map(Frame::data);
                *self = Self::Trailers(true);
                frame
            }
            Self::Trailers(left) => std::mem::take(left).then(|| Frame::trailers(trailers())),
            Self::Stream(body) => return Pin::new(body).poll_frame(context),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(bytes) => bytes.is_none(),
            Self::Message(_) => false,
            Self::Trailers(left) => !left,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(bytes) | Self::Message(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Trailers(_) => SizeHint::with_exact(0),
            Self::Stream(body) => body.size_hint(),
        }
    }
}
