//! What happened, as a value: every request that arrives makes exactly one [`Event`], whether it is a call of the API, a
//! health check, reflection, or refused for its form alone, and also when its caller leaves before the answer. Everything
//! that counts or records calls reads it. It names keys, objects and outcomes; it has no place for a token, payload or
//! secret, and whom an entry is about can be read only by the journal, which keeps a keyed pseudonym of it.

use std::time::Duration;

use crate::{clock::UnixSeconds, policy::Caller, verdict::Verdict};

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// `LiveAuthService/MintHash`
    MintHash,
    /// `LiveAuthService/VerifyHash`
    VerifyHash,
    /// `LiveAuthService/BatchMintHash`
    BatchMintHash,
    /// `LiveAuthService/BatchVerifyHash`
    BatchVerifyHash,
    /// `HubTokenService/Seal`
    Seal,
    /// `HubTokenService/Open`
    Open,
    /// `HubTokenService/Verify`
    Verify,
    /// `HubTokenService/Reseal`
    Reseal,
    /// `HubTokenService/BatchSeal`
    BatchSeal,
    /// `HubTokenService/BatchOpen`
    BatchOpen,
    /// `HubTokenService/BatchVerify`
    BatchVerify,
    /// `HubTokenService/BatchReseal`
    BatchReseal,
    /// `KeyService/ListKeys`
    ListKeys,
    /// `KeyService/GetKey`
    GetKey,
    /// `KeyService/CreateKey`
    CreateKey,
    /// `KeyService/ImportKeyVersion`
    ImportKeyVersion,
    /// `KeyService/RotateKey`
    RotateKey,
    /// `KeyService/SuspendKeyVersion`
    SuspendKeyVersion,
    /// `KeyService/ResumeKeyVersion`
    ResumeKeyVersion,
    /// `KeyService/MarkKeyVersionCompromised`
    MarkKeyVersionCompromised,
    /// `KeyService/DestroyKeyVersion`
    DestroyKeyVersion,
    /// `KeyService/Reload`
    Reload,
    /// `grpc.health.v1.Health/Check`
    HealthCheck,
    /// `grpc.health.v1.Health/Watch`, when it begins.
    HealthWatch,
    /// A stream of reflection, of either version, when it begins.
    Reflection,
    /// A method that does not exist.
    Unknown,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::MintHash,
        Self::VerifyHash,
        Self::BatchMintHash,
        Self::BatchVerifyHash,
        Self::Seal,
        Self::Open,
        Self::Verify,
        Self::Reseal,
        Self::BatchSeal,
        Self::BatchOpen,
        Self::BatchVerify,
        Self::BatchReseal,
        Self::ListKeys,
        Self::GetKey,
        Self::CreateKey,
        Self::ImportKeyVersion,
        Self::RotateKey,
        Self::SuspendKeyVersion,
        Self::ResumeKeyVersion,
        Self::MarkKeyVersionCompromised,
        Self::DestroyKeyVersion,
        Self::Reload,
        Self::HealthCheck,
        Self::HealthWatch,
        Self::Reflection,
        Self::Unknown,
    ];

    /// Whether it takes many items, and with them the larger message.
    #[must_use]
    pub const fn is_batch(self) -> bool {
        matches!(
            self,
            Self::BatchMintHash
                | Self::BatchVerifyHash
                | Self::BatchSeal
                | Self::BatchOpen
                | Self::BatchVerify
                | Self::BatchReseal
        )
    }

    /// Whether it makes something, rather than judge it: those are shed first.
    #[must_use]
    pub const fn makes(self) -> bool {
        matches!(
            self,
            Self::MintHash | Self::BatchMintHash | Self::Seal | Self::BatchSeal | Self::Reseal | Self::BatchReseal
        )
    }

    /// Whether it makes something or shows a payload: always journalled, refusals included.
    #[must_use]
    pub const fn grants(self) -> bool {
        self.makes() || matches!(self, Self::Open | Self::BatchOpen)
    }

    /// Whether it judges and shows no payload.
    #[must_use]
    pub const fn judges(self) -> bool {
        matches!(self, Self::VerifyHash | Self::BatchVerifyHash | Self::Verify | Self::BatchVerify)
    }

    /// Whether it changes what serves: worked off one at a time, and always journalled.
    #[must_use]
    pub const fn administers(self) -> bool {
        matches!(
            self,
            Self::CreateKey
                | Self::ImportKeyVersion
                | Self::RotateKey
                | Self::SuspendKeyVersion
                | Self::ResumeKeyVersion
                | Self::MarkKeyVersionCompromised
                | Self::DestroyKeyVersion
                | Self::Reload
        )
    }

    /// Whether it only looks at keys: journalled where it is refused.
    #[must_use]
    pub const fn looks_at_keys(self) -> bool {
        matches!(self, Self::ListKeys | Self::GetKey)
    }

    /// The name in metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MintHash => "mint_hash",
            Self::VerifyHash => "verify_hash",
            Self::BatchMintHash => "batch_mint_hash",
            Self::BatchVerifyHash => "batch_verify_hash",
            Self::Seal => "seal",
            Self::Open => "open",
            Self::Verify => "verify",
            Self::Reseal => "reseal",
            Self::BatchSeal => "batch_seal",
            Self::BatchOpen => "batch_open",
            Self::BatchVerify => "batch_verify",
            Self::BatchReseal => "batch_reseal",
            Self::ListKeys => "list_keys",
            Self::GetKey => "get_key",
            Self::CreateKey => "create_key",
            Self::ImportKeyVersion => "import_key_version",
            Self::RotateKey => "rotate_key",
            Self::SuspendKeyVersion => "suspend_key_version",
            Self::ResumeKeyVersion => "resume_key_version",
            Self::MarkKeyVersionCompromised => "mark_key_version_compromised",
            Self::DestroyKeyVersion => "destroy_key_version",
            Self::Reload => "reload",
            Self::HealthCheck => "health_check",
            Self::HealthWatch => "health_watch",
            Self::Reflection => "reflection",
            Self::Unknown => "unknown",
        }
    }
}

/// The canonical gRPC codes that this service answers with (google.rpc.Code).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// 1
    Cancelled,
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
    pub const ALL: [Self; 11] = [
        Self::Cancelled,
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
