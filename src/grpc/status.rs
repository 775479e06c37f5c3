//! The only place where a refusal becomes a status. Exhaustive: a new refusal does not compile until it is mapped.
//! Texts come from the refusal and never quote a request.

use std::{collections::HashMap, error::Error, fmt};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{message::Explanation, proto};
use crate::{
    audit::{self, Outcome},
    authority::Refusal,
};

/// `google.rpc.ErrorInfo.domain` of every error.
pub(super) const DOMAIN: &str = "countersign";

/// The status of a refusal that is on record already.
pub(super) fn recorded(refusal: &Refusal) -> Status {
    explained(refusal, refusal.to_string().into())
}

/// The status of a refusal that nobody has recorded yet: it carries the refusal, and whoever sends the answer records it.
pub(super) fn unrecorded(refusal: Refusal) -> Status {
    let mut status = recorded(&refusal);
    status.set_source(std::sync::Arc::new(Unrecorded(refusal)));
    status
}

/// The refusal that a status carries, if it still has to be recorded.
pub(super) fn to_record(status: &Status) -> Option<&Refusal> {
    status.source().and_then(|source| source.downcast_ref::<Unrecorded>()).map(|Unrecorded(refusal)| refusal)
}

/// The status of a refusal in other words.
pub(super) fn explained(refusal: &Refusal, Explanation { message, field }: Explanation) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(refusal.reason(), DOMAIN, metadata(refusal));
    if let Some(field) = field {
        details.add_bad_request_violation(field, message.clone());
    }
    match refusal {
        Refusal::Invalid { field, description } => {
            details.add_bad_request_violation(*field, description.clone());
        }
        Refusal::TtlTooLong { field, .. } | Refusal::OriginNotAllowed { field } => {
            details.add_bad_request_violation(*field, message.clone());
        }
        Refusal::TokenTooLong { .. } => {
            details.add_bad_request_violation("payload", message.clone());
        }
        Refusal::RateLimited { retry_after } | Refusal::Overloaded { retry_after } => {
            details.set_retry_info(Some(*retry_after));
        }
        Refusal::Unreserved | Refusal::Unkept | Refusal::Unrecorded | Refusal::Vendor(_) => {
            if let after @ Some(_) = refusal.retry_after() {
                details.set_retry_info(after);
            }
        }
        Refusal::NoRule(_)
        | Refusal::UnknownDomain
        | Refusal::UnknownApp
        | Refusal::UnknownKey
        | Refusal::UnknownVersion
        | Refusal::Keys(..)
        | Refusal::NoActiveVersion
        | Refusal::SealLimitReached
        | Refusal::MessageTooLarge { .. }
        | Refusal::Undecodable
        | Refusal::DeadlineExceeded
        | Refusal::UnknownMethod
        | Refusal::NoLedger
        | Refusal::LoginNotConfigured
        | Refusal::WrongGeneration
        | Refusal::Internal => {}
    }
    Status::with_error_details(code(refusal.code()), message, details)
}

/// What programs want to know besides the reason.
fn metadata(refusal: &Refusal) -> HashMap<String, String> {
    let Refusal::Vendor(fault) = refusal else { return HashMap::new() };
    let mut known = vec![("vendor", fault.vendor.name().to_owned()), ("sent", fault.sent.name().to_owned())];
    known.extend(fault.http_status.map(|status| ("http_status", status.to_string())));
    let said = fault.said.as_str();
    known.extend((!said.is_empty()).then(|| ("vendor_message", said.to_owned())));
    known.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The same, for one item of a batch.
pub(super) fn of_item(refusal: &Refusal) -> proto::ItemError {
    proto::ItemError {
        code: refusal.code().number(),
        reason: refusal.reason().to_owned(),
        message: refusal.to_string(),
        field: refusal.field().unwrap_or_default().to_owned(),
    }
}

/// A request that never became a call: its form alone is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rejection {
    /// It has an `Origin` header: a browser sent it.
    Origin,
    /// On loopback TCP, the host is not this machine.
    Host,
    /// More than one Host header (RFC 9112, section 3.2): two readers could see two hosts.
    TwoHosts,
    /// Not POST.
    Method,
    /// No content type that this service speaks.
    ContentType,
    /// gRPC over HTTP/1.1.
    GrpcOverHttp1,
    /// A compressed message.
    Compressed,
    /// Another version of the Connect protocol.
    ConnectVersion,
}

impl Rejection {
    /// The status that says so.
    pub(super) fn status(self) -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.reason(), DOMAIN, []);
        Status::with_error_details(code(self.code()), self.message(), details)
    }

    /// The HTTP status, where it is not the one that the code implies.
    pub(super) const fn http_status(self) -> Option<http::StatusCode> {
        match self {
            Self::Origin | Self::Host => Some(http::StatusCode::FORBIDDEN),
            Self::TwoHosts => Some(http::StatusCode::BAD_REQUEST),
            Self::Method => Some(http::StatusCode::METHOD_NOT_ALLOWED),
            Self::ContentType | Self::GrpcOverHttp1 => Some(http::StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::Compressed | Self::ConnectVersion => None,
        }
    }

    /// How records show it.
    pub(super) const fn outcome(self) -> Outcome {
        Outcome::Refused(self.code(), self.reason())
    }

    const fn code(self) -> audit::Code {
        match self {
            Self::Origin | Self::Host => audit::Code::PermissionDenied,
            Self::Method | Self::ContentType | Self::GrpcOverHttp1 | Self::Compressed => audit::Code::Unimplemented,
            Self::TwoHosts | Self::ConnectVersion => audit::Code::InvalidArgument,
        }
    }

    /// The reason in its details, and in metrics.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Origin => "ORIGIN_REFUSED",
            Self::Host => "HOST_REFUSED",
            Self::TwoHosts => "HOST_AMBIGUOUS",
            Self::Method => "METHOD_NOT_ALLOWED",
            Self::ContentType => "UNSUPPORTED_CONTENT_TYPE",
            Self::GrpcOverHttp1 => "GRPC_NEEDS_HTTP2",
            Self::Compressed => "COMPRESSION_UNSUPPORTED",
            Self::ConnectVersion => "CONNECT_VERSION_UNSUPPORTED",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Origin => "requests with an Origin header are refused: this service is not for browsers",
            Self::Host => "on loopback the host must be localhost, 127.0.0.1 or [::1], with or without a port",
            Self::TwoHosts => "the request has more than one Host header; send one",
            Self::Method => "use POST",
            Self::ContentType => {
                "the content type must be application/json, application/proto, or application/grpc over HTTP/2"
            }
            Self::GrpcOverHttp1 => "gRPC needs HTTP/2; HTTP/1.1 carries only application/json and application/proto",
            Self::Compressed => "compressed messages are not supported; send them with the identity encoding",
            Self::ConnectVersion => "Connect-Protocol-Version must be 1, or absent",
        }
    }
}

const fn code(code: audit::Code) -> Code {
    match code {
        audit::Code::Cancelled => Code::Cancelled,
        audit::Code::Unknown => Code::Unknown,
        audit::Code::InvalidArgument => Code::InvalidArgument,
        audit::Code::DeadlineExceeded => Code::DeadlineExceeded,
        audit::Code::NotFound => Code::NotFound,
        audit::Code::AlreadyExists => Code::AlreadyExists,
        audit::Code::PermissionDenied => Code::PermissionDenied,
        audit::Code::ResourceExhausted => Code::ResourceExhausted,
        audit::Code::FailedPrecondition => Code::FailedPrecondition,
        audit::Code::Unimplemented => Code::Unimplemented,
        audit::Code::Internal => Code::Internal,
        audit::Code::Unavailable => Code::Unavailable,
    }
}

/// The mark of [`unrecorded`].
#[derive(Debug)]
struct Unrecorded(Refusal);

impl fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Unrecorded {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        authority::{KeysProblem, Said, VendorFault, VendorProblem},
        outbound::{Fault, Problem, Sent, Vendor},
        policy::VerbName,
    };

    #[test]
    fn every_refusal_has_its_code_reason_and_domain() {
        let retry_after = Duration::from_millis(20);
        let all = [
            Refusal::NoRule(VerbName::Mint),
            Refusal::UnknownDomain,
            Refusal::UnknownApp,
            Refusal::UnknownKey,
            Refusal::UnknownVersion,
            Refusal::Keys(KeysProblem::Exists, "there is one".into()),
            Refusal::Keys(KeysProblem::Incomplete, "not in force".into()),
            Refusal::Keys(KeysProblem::Unwritable, "no room".into()),
            Refusal::invalid("client", "too small"),
            Refusal::TtlTooLong { field: "ttl", limit: 900, whose: "domain" },
            Refusal::TokenTooLong { limit: 8183 },
            Refusal::NoActiveVersion,
            Refusal::SealLimitReached,
            Refusal::RateLimited { retry_after },
            Refusal::Overloaded { retry_after },
            Refusal::MessageTooLarge { limit: 65_536 },
            Refusal::Undecodable,
            Refusal::DeadlineExceeded,
            Refusal::UnknownMethod,
            Refusal::Unreserved,
            Refusal::Unkept,
            Refusal::NoLedger,
            Refusal::LoginNotConfigured,
            Refusal::WrongGeneration,
            Refusal::OriginNotAllowed { field: "callback" },
            Refusal::Unrecorded,
            Refusal::Vendor(vendor(Problem::Unreachable)),
            Refusal::Vendor(vendor(Problem::Timeout)),
            Refusal::Vendor(vendor(Problem::Redirect)),
            Refusal::Internal,
        ];
        for refusal in all {
            let status = recorded(&refusal);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!(status.code() as i32, refusal.code().number());
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (refusal.reason(), DOMAIN));
            let violation = details.bad_request().map(|bad| bad.field_violations[0].field.as_str());
            assert_eq!(violation, refusal.field());
            assert_eq!(details.retry_info().and_then(|info| info.retry_delay), refusal.retry_after());
            assert_eq!(of_item(&refusal).code, status.code() as i32);
        }
    }

    fn vendor(problem: Problem) -> VendorFault {
        VendorFault::of(Vendor::LiveAuth, Fault { sent: Sent::Uncertain, problem })
    }

    #[test]
    fn what_a_vendor_said_and_may_have_heard_is_in_the_details_and_not_in_the_text() {
        let said = Said::new("no such portal", &[]);
        let fault = VendorFault::answered(Vendor::LiveAuth, VendorProblem::Refused, 403, said, "it refused");
        let status = recorded(&Refusal::Vendor(fault));
        let metadata = status.get_error_details().error_info().unwrap().metadata.clone();
        let known = |name: &str| metadata.get(name).map(String::as_str);
        assert_eq!((known("vendor"), known("sent")), (Some("liveauth"), Some("answered")));
        assert_eq!((known("http_status"), known("vendor_message")), (Some("403"), Some("no such portal")));
        assert!(!status.message().contains("portal"), "{}", status.message());
    }

    #[test]
    fn only_an_unrecorded_refusal_asks_to_be_recorded() {
        assert_eq!(to_record(&unrecorded(Refusal::Undecodable)), Some(&Refusal::Undecodable));
        assert_eq!(to_record(&recorded(&Refusal::Undecodable)), None);
        assert_eq!(to_record(&Rejection::Origin.status()), None);
    }
}
