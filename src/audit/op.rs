//! What can be asked for: every RPC, and what else arrives.

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
    /// `HubTokenService/Revoke`
    Revoke,
    /// `HubTokenService/ListRevocations`
    ListRevocations,
    /// `HubTokenService/BatchSeal`
    BatchSeal,
    /// `HubTokenService/BatchOpen`
    BatchOpen,
    /// `HubTokenService/BatchVerify`
    BatchVerify,
    /// `HubTokenService/BatchReseal`
    BatchReseal,
    /// `HubLoginService/BeginLogin`
    BeginLogin,
    /// `HubLoginService/CompleteLogin`
    CompleteLogin,
    /// `HubLoginService/RenewAuth`
    RenewAuth,
    /// `HubLoginService/ResolveLogin`
    ResolveLogin,
    /// `HubLoginService/NotifyUpdate`
    NotifyUpdate,
    /// `LiveAuthPortalService/Test`
    PortalTest,
    /// `LiveAuthPortalService/GetStatus`
    PortalGetStatus,
    /// `LiveAuthPortalService/Login`
    PortalLogin,
    /// `LiveAuthPortalService/CompleteInfo`
    PortalCompleteInfo,
    /// `LiveAuthPortalService/Logout`
    PortalLogout,
    /// `KeyService/ListKeys`
    ListKeys,
    /// `KeyService/GetKey`
    GetKey,
    /// `KeyService/ExplainToken`
    ExplainToken,
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
    pub const ALL: [Self; 39] = [
        Self::MintHash,
        Self::VerifyHash,
        Self::BatchMintHash,
        Self::BatchVerifyHash,
        Self::Seal,
        Self::Open,
        Self::Verify,
        Self::Reseal,
        Self::Revoke,
        Self::ListRevocations,
        Self::BatchSeal,
        Self::BatchOpen,
        Self::BatchVerify,
        Self::BatchReseal,
        Self::BeginLogin,
        Self::CompleteLogin,
        Self::RenewAuth,
        Self::ResolveLogin,
        Self::NotifyUpdate,
        Self::PortalTest,
        Self::PortalGetStatus,
        Self::PortalLogin,
        Self::PortalCompleteInfo,
        Self::PortalLogout,
        Self::ListKeys,
        Self::GetKey,
        Self::ExplainToken,
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
            Self::MintHash
                | Self::BatchMintHash
                | Self::Seal
                | Self::BatchSeal
                | Self::Reseal
                | Self::BatchReseal
                | Self::BeginLogin
                | Self::CompleteLogin
                | Self::RenewAuth
        )
    }

    /// Whether it makes something, for its caller or for a vendor, or shows a payload: always journalled, refusals included.
    #[must_use]
    pub const fn grants(self) -> bool {
        self.makes() || self.reaches_out() || matches!(self, Self::Open | Self::BatchOpen | Self::ResolveLogin)
    }

    /// Whether it asks a vendor: worked on where nobody else waits for it, for as long as that vendor may take, and to its
    /// end whether or not its caller still waits. Its grant is on record before the vendor hears of it.
    #[must_use]
    pub const fn reaches_out(self) -> bool {
        matches!(
            self,
            Self::CompleteLogin
                | Self::RenewAuth
                | Self::NotifyUpdate
                | Self::PortalTest
                | Self::PortalGetStatus
                | Self::PortalLogin
                | Self::PortalCompleteInfo
                | Self::PortalLogout
        )
    }

    /// Whether it changes what tokens are worth: always journalled, refusals included.
    #[must_use]
    pub const fn cuts_off(self) -> bool {
        matches!(self, Self::Revoke)
    }

    /// Whether it is worked on where it arrives, without waiting for anything.
    #[must_use]
    pub const fn is_done_at_once(self) -> bool {
        !self.waits() && !self.administers() && !self.reaches_out()
    }

    /// Whether it waits for a disk, and so is not for a thread that serves others meanwhile.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(self, Self::Revoke | Self::ListRevocations | Self::ResolveLogin)
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

    /// Whether it looks into a token without the right to judge it: always journalled.
    #[must_use]
    pub const fn explains(self) -> bool {
        matches!(self, Self::ExplainToken)
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
            Self::Revoke => "revoke",
            Self::ListRevocations => "list_revocations",
            Self::BatchSeal => "batch_seal",
            Self::BatchOpen => "batch_open",
            Self::BatchVerify => "batch_verify",
            Self::BatchReseal => "batch_reseal",
            Self::BeginLogin => "begin_login",
            Self::CompleteLogin => "complete_login",
            Self::RenewAuth => "renew_auth",
            Self::ResolveLogin => "resolve_login",
            Self::NotifyUpdate => "notify_update",
            Self::PortalTest => "portal_test",
            Self::PortalGetStatus => "portal_get_status",
            Self::PortalLogin => "portal_login",
            Self::PortalCompleteInfo => "portal_complete_info",
            Self::PortalLogout => "portal_logout",
            Self::ListKeys => "list_keys",
            Self::GetKey => "get_key",
            Self::ExplainToken => "explain_token",
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
