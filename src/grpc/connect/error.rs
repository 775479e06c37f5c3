//! A status as Connect puts it: an HTTP status, and JSON with a code's name, a message and details.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http::{Response, StatusCode, header};
use prost::Message as _;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::pb::ErrorInfo;

use super::JSON;
use crate::grpc::answer::{Answer, AnswerBody};

#[derive(Serialize)]
struct Error<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: String,
    value: String,
    /// The same as JSON, where programs branch on it: who speaks JSON mostly has no protobuf to read the value with.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Info>,
}

/// An `ErrorInfo` in proto3 JSON.
#[derive(Serialize)]
struct Info {
    reason: String,
    domain: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

impl Info {
    fn of(bytes: &[u8]) -> Option<Self> {
        let ErrorInfo { reason, domain, metadata } = ErrorInfo::decode(bytes).ok()?;
        Some(Self { reason, domain, metadata: metadata.into_iter().collect() })
    }
}

/// The answer that tells the status; under another HTTP status than the code implies, if one is given.
pub(super) fn answer(status: &Status, http: Option<StatusCode>) -> Answer {
    let details = tonic_types::Status::decode(status.details()).map(|rpc| rpc.details).unwrap_or_default();
    let details = details.into_iter().map(|any| {
        let kind = any.type_url.rsplit('/').next().unwrap_or_default().to_owned();
        let debug = (kind == "google.rpc.ErrorInfo").then(|| Info::of(&any.value)).flatten();
        Detail { kind, value: STANDARD_NO_PAD.encode(any.value), debug }
    });
    let (code, implied) = name(status.code());
    let error = Error { code, message: status.message(), details: details.collect() };
    let body = serde_json::to_vec(&error).unwrap_or_default();
    let mut answer = Response::new(AnswerBody::Plain(Some(body.into())));
    *answer.status_mut() = http.unwrap_or(implied);
    answer.headers_mut().insert(header::CONTENT_TYPE, JSON);
    answer
}

/// Connect's name of a code, and the HTTP status it goes with.
const fn name(code: Code) -> (&'static str, StatusCode) {
    match code {
        Code::Ok | Code::Unknown => ("unknown", StatusCode::INTERNAL_SERVER_ERROR),
        // 499, "client closed request", has no name in HTTP; nobody is left to read it.
        Code::Cancelled => ("canceled", StatusCode::REQUEST_TIMEOUT),
        Code::InvalidArgument => ("invalid_argument", StatusCode::BAD_REQUEST),
        Code::DeadlineExceeded => ("deadline_exceeded", StatusCode::GATEWAY_TIMEOUT),
        Code::NotFound => ("not_found", StatusCode::NOT_FOUND),
        Code::AlreadyExists => ("already_exists", StatusCode::CONFLICT),
        Code::PermissionDenied => ("permission_denied", StatusCode::FORBIDDEN),
        Code::ResourceExhausted => ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
        Code::FailedPrecondition => ("failed_precondition", StatusCode::BAD_REQUEST),
        Code::Aborted => ("aborted", StatusCode::CONFLICT),
        Code::OutOfRange => ("out_of_range", StatusCode::BAD_REQUEST),
        Code::Unimplemented => ("unimplemented", StatusCode::NOT_IMPLEMENTED),
        Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        Code::DataLoss => ("data_loss", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
    }
}
