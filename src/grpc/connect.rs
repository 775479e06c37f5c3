//! The Connect protocol's unary form, for callers without a gRPC library: a translation in front of the same services.
//! Here is what the protocol says of headers, encodings and errors; nothing here knows what an RPC does.
//!
//! What is wrong with a request is said without quoting any of it.

mod error;
mod json;
mod shape;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::de::DeserializeOwned;

use super::{
    answer::{Answer, AnswerBody},
    codec::Decodable,
    message::{Explanation, Fault},
    status::{self, Rejection},
};
use crate::authority::Refusal;

const CONNECT_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How a Connect message is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Codec {
    /// `application/json`: proto3 JSON.
    Json,
    /// `application/proto`
    Proto,
}

impl Codec {
    /// What the content type says; a `charset` may follow if it is UTF-8.
    pub(super) fn of(content_type: &[u8]) -> Option<Self> {
        let mut parts = content_type.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let essence = parts.next()?;
        let codec = if essence.eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else if essence.eq_ignore_ascii_case(b"application/proto") {
            Self::Proto
        } else {
            return None;
        };
        let utf8 = |part: &[u8]| {
            part.eq_ignore_ascii_case(b"charset=utf-8") || part.eq_ignore_ascii_case(b"charset=\"utf-8\"")
        };
        parts.all(utf8).then_some(codec)
    }

    const fn content_type(self) -> HeaderValue {
        match self {
            Self::Json => JSON,
            Self::Proto => HeaderValue::from_static("application/proto"),
        }
    }
}

/// Whether the protocol version, if one is given, is the only one there is.
pub(super) fn is_version_1(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECT_PROTOCOL_VERSION).iter().all(|version| version.as_bytes() == b"1")
}

/// Reads a message from proto3 JSON.
///
/// # Errors
/// What does not fit, without quoting any of it.
pub(super) fn read_json<M: Decodable + DeserializeOwned>(body: &[u8]) -> Result<M, Explanation> {
    let mut value = json::parse(body, M::MOST_ITEMS)?;
    let read = M::deserialize(shape::Reader(&value)).map_err(Explanation::from);
    if M::HOLDS_KEYS {
        value.wipe();
    }
    read
}

/// The answer with this message, in the caller's encoding.
pub(super) fn response(codec: Codec, message: Bytes) -> Answer {
    let mut response = Response::new(AnswerBody::Plain(Some(message)));
    response.headers_mut().insert(header::CONTENT_TYPE, codec.content_type());
    response
}

/// The answer to a request that reached no service.
pub(super) fn fault(fault: Fault) -> Answer {
    match fault {
        Fault::Refused(refusal) => {
            let unknown_path = refusal == Refusal::UnknownMethod;
            error::answer(&status::recorded(&refusal), unknown_path.then_some(StatusCode::NOT_FOUND))
        }
        Fault::Answered(status) => error::answer(&status, None),
        Fault::Broken => error::answer(&status::recorded(&Refusal::Undecodable), None),
        Fault::Explained(refusal, words) => error::answer(&status::explained(&refusal, words), None),
        Fault::Rejected(rejection) => {
            let mut answer = error::answer(&rejection.status(), rejection.http_status());
            match rejection {
                Rejection::Method => {
                    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                }
                Rejection::ContentType | Rejection::GrpcOverHttp1 => {
                    let accepted = HeaderValue::from_static("application/json, application/proto");
                    answer.headers_mut().insert(ACCEPT_POST, accepted);
                }
                Rejection::Origin
                | Rejection::Host
                | Rejection::TwoHosts
                | Rejection::Compressed
                | Rejection::ConnectVersion => {}
            }
            answer
        }
    }
}
