//! What happened, as a value: every request that arrives makes exactly one [`Event`], whether it is a call of the API, a
//! health check, reflection, or refused for its form alone, and also when its caller leaves before the answer. Everything
//! that counts or records calls reads it. It names keys, objects and outcomes; it has no place for a token, payload or
//! secret, and whom an entry is about can be read only by the journal, which keeps a keyed pseudonym of it.

use std::time::Duration;

use super::op::Op;
use crate::{clock::UnixSeconds, policy::Caller, verdict::Verdict};

/// The canonical gRPC codes that this service answers with (google.rpc.Code).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// 1
    Cancelled,
    /// 2
    Unknown,
    /// 3
    InvalidArgument,
    /// 4
    DeadlineExceeded,
    /// 5
    NotFound,
    /// 6
    AlreadyExists,
    /// 7
    PermissionDenied,
    /// 8
    ResourceExhausted,
    /// 9
    FailedPrecondition,
    /// 12
    Unimplemented,
    /// 13
    Internal,
    /// 14
    Unavailable,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The name in metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Cancelled => 1,
            Self::Unknown => 2,
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
        }
    }
}

/// How a call, or one item of a batch, ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Something was made, or a batch was worked through.
    Done,
    /// Something was judged.
    Judged(Verdict),
    /// Refused, with the stable reason.
    Refused(Code, &'static str),
}

impl Outcome {
    /// `OK`, the verdict's name, or the code's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "OK",
            Self::Judged(verdict) => verdict.name(),
            Self::Refused(code, _) => code.name(),
        }
    }
}

/// Whom an entry is about. What goes in comes out as a keyed pseudonym alone, in the journal.
#[derive(Clone, Copy)]
pub struct Subject<'a>(pub(super) Who<'a>);

#[derive(Clone, Copy)]
pub(super) enum Who<'a> {
    Nobody,
    User(&'a str),
    Client(u64),
}

impl<'a> Subject<'a> {
    /// Nobody that the request named.
    pub const NOBODY: Self = Self(Who::Nobody);

    /// A Hub user, as the caller wrote the name.
    #[must_use]
    pub fn user(name: Option<&'a str>) -> Self {
        Self(name.map_or(Who::Nobody, Who::User))
    }

    /// An idibu client; nobody where the number is no client's.
    #[must_use]
    pub fn client(number: i64) -> Self {
        Self(u64::try_from(number).ok().filter(|&n| n > 0).map_or(Who::Nobody, Who::Client))
    }

    /// An idibu client as a request wrote it; nobody where it is not spelt as a client's number is.
    #[must_use]
    pub fn client_text(text: &str) -> Self {
        let canonical =
            text.starts_with(|c: char| ('1'..='9').contains(&c)) && text.bytes().all(|b| b.is_ascii_digit());
        if canonical { Self::client(text.parse().unwrap_or(0)) } else { Self::NOBODY }
    }
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject(..)")
    }
}

/// What a call cuts off.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// What kind of thing.
    pub kind: &'static str,
    /// The grant, where it is one, or known.
    pub grant_id: Option<[u8; 16]>,
    /// What was issued until then.
    pub until: UnixSeconds,
}

/// One item of a batch, or the one thing a unary call is about.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The configured domain or app; empty where none was found.
    pub object: &'a str,
    /// The rule that allowed it; empty where none did.
    pub rule: &'a str,
    /// The key; empty where none was reached.
    pub key: &'a str,
    /// The key version that made or matched it; 0 where none did.
    pub key_version: u32,
    /// The token's public id, where there is a token.
    pub token_id: Option<[u8; 16]>,
    /// Whom it is about.
    pub subject: Subject<'a>,
    /// What it cuts off.
    pub cut: Option<Cut>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether a pair of JSON quotes had to be removed from the token.
    pub quoted: bool,
}

impl Entry<'_> {
    /// An entry that knows nothing but how it ended.
    #[must_use]
    pub const fn bare(outcome: Outcome) -> Self {
        Self {
            object: "",
            rule: "",
            key: "",
            key_version: 0,
            token_id: None,
            subject: Subject::NOBODY,
            cut: None,
            outcome,
            quoted: false,
        }
    }
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The call's one clock read.
    pub at: UnixSeconds,
    /// The request id, ours or the caller's.
    pub request_id: &'a str,
    /// Who called.
    pub caller: &'a Caller,
    /// What was asked for.
    pub op: Op,
    /// How the call as a whole ended; an item that was refused does not change it.
    pub outcome: Outcome,
    /// One entry for a unary call, one an item for a batch, none for a call refused before its content was looked at.
    pub entries: &'a [Entry<'a>],
    /// From arrival to answer.
    pub latency: Duration,
}
