//! Why a call, or one item of a batch, is refused. Closed; the transport maps it in one place.
//! Texts say what to do, and never quote what the caller sent.

use std::{fmt, time::Duration};

use super::{
    custody::KeysProblem,
    vendor::{VendorFault, VendorProblem},
};
use crate::{
    audit::{Code, Outcome},
    policy::VerbName,
};

/// When to come back where changes to keys wait for each other: each takes some milliseconds.
pub(super) const CUSTODY_RETRY: Duration = Duration::from_secs(1);

/// When to come back after the journal took no record: most of what keeps it from that does not pass in less.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// When to come back after a vendor was not reached.
const VENDOR_RETRY: Duration = Duration::from_secs(1);

/// When to come back after the ledger held too little: it is looked after as often.
const LEDGER_RETRY: Duration = Duration::from_secs(1);

/// A refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No rule allows the caller this verb on this object.
    NoRule(VerbName),
    /// A rule allows it, but no such domain is configured.
    UnknownDomain,
    /// A rule allows it, but no such app is configured.
    UnknownApp,
    /// A rule allows it, but the keyring has no such key.
    UnknownKey,
    /// A rule allows it, but the key has no such version.
    UnknownVersion,
    /// A change to keys that cannot be made, or was not made whole. The text says what to do, and quotes no secret.
    Keys(KeysProblem, String),
    /// A vendor did not answer as it should.
    Vendor(VendorFault),
    /// A field that cannot be accepted.
    Invalid {
        /// The field, as the API names it.
        field: &'static str,
        /// What is wrong and what to do.
        description: String,
    },
    /// An explicit lifetime above a limit.
    TtlTooLong {
        /// The field, as the API names it.
        field: &'static str,
        /// The limit, seconds.
        limit: i64,
        /// Whose limit it is: "domain", "app", "rule", or "service".
        whose: &'static str,
    },
    /// The token would be longer than the app allows.
    TokenTooLong {
        /// The app's `max_chars`.
        limit: usize,
    },
    /// The key has no active version.
    NoActiveVersion,
    /// The key has sealed as many tokens as it may.
    SealLimitReached,
    /// The caller is over its rate.
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The service is over its load.
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The request is larger than its RPC takes.
    MessageTooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// The request does not decode.
    Undecodable,
    /// The caller's deadline, or ours, passed before the answer was ready.
    DeadlineExceeded,
    /// No such RPC.
    UnknownMethod,
    /// It would go beyond what the ledger holds of the key's use, and the ledger took no more in time.
    Unreserved,
    /// The ledger did not make it durable, or not in time, or could not be read.
    Unkept,
    /// The app's configuration names no Hub.
    LoginNotConfigured,
    /// The app is configured for the other generation of Hub's API.
    WrongGeneration,
    /// It names a Hub that the app's configuration does not.
    OriginNotAllowed {
        /// The field, as the API names it.
        field: &'static str,
    },
    /// There is no ledger, and so nothing can be revoked.
    NoLedger,
    /// The journal did not take the record, or not in time.
    Unrecorded,
    /// The operating system gave no randomness, or something of ours broke.
    Internal,
}

impl Refusal {
    /// An invalid field.
    #[must_use]
    pub fn invalid(field: &'static str, description: impl Into<String>) -> Self {
        Self::Invalid { field, description: description.into() }
    }

    /// The canonical code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NoRule(_) => Code::PermissionDenied,
            Self::UnknownDomain | Self::UnknownApp | Self::UnknownKey | Self::UnknownVersion => Code::NotFound,
            Self::Keys(problem, _) => problem.code(),
            Self::Vendor(fault) => fault.problem.code(),
            Self::Invalid { .. }
            | Self::TtlTooLong { .. }
            | Self::TokenTooLong { .. }
            | Self::OriginNotAllowed { .. }
            | Self::Undecodable => Code::InvalidArgument,
            Self::NoActiveVersion | Self::NoLedger | Self::LoginNotConfigured | Self::WrongGeneration => {
                Code::FailedPrecondition
            }
            Self::SealLimitReached | Self::RateLimited { .. } | Self::MessageTooLarge { .. } => Code::ResourceExhausted,
            Self::Overloaded { .. } | Self::Unreserved | Self::Unkept | Self::Unrecorded => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::UnknownMethod => Code::Unimplemented,
            Self::Internal => Code::Internal,
        }
    }

    /// The stable reason of `google.rpc.ErrorInfo`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoRule(_) => "NO_RULE",
            Self::UnknownDomain => "UNKNOWN_DOMAIN",
            Self::UnknownApp => "UNKNOWN_APP",
            Self::UnknownKey => "UNKNOWN_KEY",
            Self::UnknownVersion => "UNKNOWN_VERSION",
            Self::Keys(problem, _) => problem.reason(),
            Self::Vendor(fault) => fault.problem.reason(),
            Self::Invalid { .. } => "INVALID_FIELD",
            Self::TtlTooLong { .. } => "TTL_TOO_LONG",
            Self::TokenTooLong { .. } => "TOKEN_TOO_LONG",
            Self::NoActiveVersion => "NO_ACTIVE_VERSION",
            Self::SealLimitReached => "SEAL_LIMIT_REACHED",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::MessageTooLarge { .. } => "MESSAGE_TOO_LARGE",
            Self::Undecodable => "UNDECODABLE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::UnknownMethod => "UNKNOWN_METHOD",
            Self::Unreserved | Self::Unkept => "LEDGER_UNAVAILABLE",
            Self::LoginNotConfigured => "LOGIN_NOT_CONFIGURED",
            Self::WrongGeneration => "WRONG_GENERATION",
            Self::OriginNotAllowed { .. } => "ORIGIN_NOT_ALLOWED",
            Self::NoLedger => "NO_LEDGER",
            Self::Unrecorded => "JOURNAL_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// The field at fault, where there is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { field, .. } | Self::TtlTooLong { field, .. } | Self::OriginNotAllowed { field } => {
                Some(field)
            }
            Self::TokenTooLong { .. } => Some("payload"),
            _ => None,
        }
    }

    /// When a retry makes sense, if ever.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Overloaded { retry_after } => Some(*retry_after),
            Self::Unreserved | Self::Unkept => Some(LEDGER_RETRY),
            Self::Unrecorded => Some(JOURNAL_RETRY),
            Self::Vendor(fault) if matches!(fault.problem, VendorProblem::Unreachable) => Some(VENDOR_RETRY),
            _ => None,
        }
    }

    /// How records show it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Refused(self.code(), self.reason())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule(verb) => write!(
                f,
                "no rule allows this caller to {verb} here; add one to the policy, or check the name of the domain, app or key"
            ),
            Self::UnknownDomain => {
                f.write_str("no such domain is configured; add it to [[liveauth.domains]], or check its spelling")
            }
            Self::UnknownApp => f.write_str("no such app is configured; add it to [[hub.apps]], or check its spelling"),
            Self::UnknownKey => f.write_str("the keyring has no such key; check its spelling, or create or import it"),
            Self::UnknownVersion => f.write_str("the key has no such version; GetKey and `countersign keys show` list them"),
            Self::Keys(_, text) => f.write_str(text),
            Self::Vendor(fault) => fault.fmt(f),
            // Some rooms name the field themselves.
            Self::Invalid { field, description } if description.starts_with(field) => f.write_str(description),
            Self::Invalid { field, description } => write!(f, "{field}: {description}"),
            Self::TtlTooLong { field, limit, whose } => {
                write!(f, "{field}: longer than the {whose} allows; ask for at most {limit} s")
            }
            Self::TokenTooLong { limit } => {
                write!(
                    f,
                    "payload: the token would be longer than the app's max_chars of {limit}; shorten the payload or raise max_chars"
                )
            }
            Self::NoActiveVersion => f.write_str("the key has no active version; activate or import one"),
            Self::SealLimitReached => f.write_str("the key has sealed as many tokens as it may; rotate it"),
            Self::RateLimited { .. } => f.write_str("this caller is over its rate; retry later, or raise its rate"),
            Self::Overloaded { .. } => f.write_str("the service is over its load; retry later"),
            Self::MessageTooLarge { limit } => {
                write!(f, "the request is larger than the {limit} bytes this RPC takes; split it")
            }
            Self::Undecodable => {
                f.write_str("the request does not decode as the message of this RPC; check it against the .proto files")
            }
            Self::DeadlineExceeded => f.write_str("the deadline passed before the answer was ready"),
            Self::UnknownMethod => f.write_str("no such RPC here; check the service and method name"),
            Self::Unreserved => f.write_str(
                "the ledger does not hold enough of this key's use, and nothing is issued beyond it; retry later: the log says what its operator has to do",
            ),
            Self::Unkept => f.write_str(
                "the ledger does not answer, and nothing is revoked that it does not hold; retry until it does (asking twice does no harm): the log says what its operator has to do",
            ),
            Self::LoginNotConfigured => {
                f.write_str("the app's configuration names no Hub; list its origins in [[hub.apps]]")
            }
            Self::WrongGeneration => {
                f.write_str("the app is configured for generation 1 of Hub's API, which renews nothing; set generation = 2, or log in anew")
            }
            Self::OriginNotAllowed { field } => {
                write!(f, "{field}: it names a Hub that the app's configuration does not; if it is one, add it to origins in [[hub.apps]]")
            }
            Self::NoLedger => f.write_str("this service has no ledger, so nothing can be revoked; name a file in ledger.path and restart"),
            Self::Unrecorded => f.write_str(
                "the journal takes no records at present, and nothing is granted without one; retry later: the log says what its operator has to do",
            ),
            Self::Internal => f.write_str("something broke on our side; the log has more under the request id"),
        }
    }
}
