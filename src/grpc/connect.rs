//! The Connect protocol's unary form, for callers without a gRPC library: a translation in front of the same services.
//! A request becomes the gRPC message it stands for, and the gRPC answer becomes what Connect expects; nothing here
//! knows what an RPC does.
//!
//! What is wrong with a request is said without quoting any of it.

mod error;
mod json;
mod shape;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use tonic::Status;

use super::{
    codec::Decodable,
    front::Answer,
    message::{Fault, PREFIX},
    proto,
    status::{self, Rejection},
};
use crate::{audit::Op, authority::Refusal};

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

/// The protobuf message that a request's body stands for.
///
/// # Errors
/// Not JSON, or not the JSON of this message.
pub(super) fn request(codec: Codec, op: Op, body: Bytes) -> Result<Bytes, Fault> {
    match codec {
        Codec::Proto => Ok(body),
        Codec::Json => Translation::of(op).ok_or(Fault::Refused(Refusal::UnknownMethod)).and_then(|translation| {
            (translation.request)(&body).map_err(|problem| Fault::Explained(Refusal::Undecodable, problem))
        }),
    }
}

/// What Connect expects in place of a gRPC answer.
pub(super) async fn response(codec: Codec, op: Op, answer: Answer) -> Answer {
    match translated(codec, op, answer).await {
        Ok(body) => {
            let mut response = Response::new(tonic::body::Body::new(Full::new(body)));
            response.headers_mut().insert(header::CONTENT_TYPE, codec.content_type());
            response
        }
        Err(status) => error::answer(&status, None),
    }
}

/// The answer to a request that reached no service.
pub(super) fn fault(fault: Fault) -> Answer {
    match fault {
        Fault::Refused(refusal) => {
            let unknown_path = refusal == Refusal::UnknownMethod;
            error::answer(&status::recorded(&refusal), unknown_path.then_some(StatusCode::NOT_FOUND))
        }
        Fault::Broken => error::answer(&status::recorded(&Refusal::Undecodable), None),
        Fault::Explained(refusal, message) => error::answer(&status::with_message(&refusal, message), None),
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
                Rejection::Origin | Rejection::Host | Rejection::Compressed | Rejection::ConnectVersion => {}
            }
            answer
        }
    }
}

/// The message inside a gRPC answer, in the caller's encoding; or the status, if that is what it is.
async fn translated(codec: Codec, op: Op, answer: Answer) -> Result<Bytes, Status> {
    let (parts, body) = answer.into_parts();
    if let Some(status) = parts.extensions.get::<Status>() {
        return Err(status.clone());
    }
    let collected = body.collect().await?;
    if let Some(status) = collected.trailers().and_then(Status::from_header_map)
        && status.code() != tonic::Code::Ok
    {
        return Err(status);
    }
    let internal = || status::recorded(&Refusal::Internal);
    let framed = collected.to_bytes();
    if framed.len() < PREFIX {
        return Err(internal());
    }
    let message = framed.slice(PREFIX..);
    match codec {
        Codec::Proto => Ok(message),
        Codec::Json => {
            let translation = Translation::of(op).ok_or_else(internal)?;
            (translation.response)(&message).ok_or_else(internal)
        }
    }
}

/// The two ways between proto3 JSON and protobuf, for the messages of one RPC.
struct Translation {
    request: fn(&[u8]) -> Result<Bytes, String>,
    response: fn(&[u8]) -> Option<Bytes>,
}

impl Translation {
    const fn between<Q, R>() -> Self
    where
        Q: Decodable + DeserializeOwned,
        R: Decodable + Serialize,
    {
        Self { request: from_json::<Q>, response: to_json::<R> }
    }

    const fn of(op: Op) -> Option<Self> {
        match op {
            Op::MintHash => Some(Self::between::<proto::MintHashRequest, proto::MintHashResponse>()),
            Op::VerifyHash => Some(Self::between::<proto::VerifyHashRequest, proto::VerifyHashResponse>()),
            Op::BatchMintHash => Some(Self::between::<proto::BatchMintHashRequest, proto::BatchMintHashResponse>()),
            Op::BatchVerifyHash => {
                Some(Self::between::<proto::BatchVerifyHashRequest, proto::BatchVerifyHashResponse>())
            }
            Op::Seal => Some(Self::between::<proto::SealRequest, proto::SealResponse>()),
            Op::Open => Some(Self::between::<proto::OpenRequest, proto::OpenResponse>()),
            Op::Verify => Some(Self::between::<proto::VerifyRequest, proto::VerifyResponse>()),
            Op::Reseal => Some(Self::between::<proto::ResealRequest, proto::ResealResponse>()),
            Op::BatchSeal => Some(Self::between::<proto::BatchSealRequest, proto::BatchSealResponse>()),
            Op::BatchOpen => Some(Self::between::<proto::BatchOpenRequest, proto::BatchOpenResponse>()),
            Op::BatchVerify => Some(Self::between::<proto::BatchVerifyRequest, proto::BatchVerifyResponse>()),
            Op::BatchReseal => Some(Self::between::<proto::BatchResealRequest, proto::BatchResealResponse>()),
            Op::Unknown => None,
        }
    }
}

fn from_json<M: Decodable + DeserializeOwned>(body: &[u8]) -> Result<Bytes, String> {
    let value = json::parse(body, M::MOST_ITEMS)?;
    let message = M::deserialize(shape::Reader(&value)).map_err(|misfit| misfit.to_string())?;
    Ok(Message::encode_to_vec(&message).into())
}

fn to_json<M: Decodable + Serialize>(message: &[u8]) -> Option<Bytes> {
    let message = M::from_wire(message).ok()?;
    serde_json::to_vec(&message).ok().map(Bytes::from)
}
