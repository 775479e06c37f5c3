//! From a path to what it names.

use super::session::Reach;
use crate::audit::Op;

/// The services' full names.
pub(super) const LIVE_AUTH_SERVICE: &str = "countersign.v1.LiveAuthService";
pub(super) const LIVE_AUTH_PORTAL_SERVICE: &str = "countersign.v1.LiveAuthPortalService";
pub(super) const HUB_LOGIN_SERVICE: &str = "countersign.v1.HubLoginService";
pub(super) const HUB_TOKEN_SERVICE: &str = "countersign.v1.HubTokenService";
pub(super) const KEY_SERVICE: &str = "countersign.v1.KeyService";

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// An RPC of the API.
    Call(Op),
    /// `grpc.health.v1.Health/Check`.
    HealthCheck,
    /// `grpc.health.v1.Health/Watch`.
    HealthWatch,
    /// Reflection.
    Reflection(ReflectionVersion),
    /// Nothing here.
    Unknown,
}

/// The two reflection services, which differ only in name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReflectionVersion {
    /// `grpc.reflection.v1`
    V1,
    /// `grpc.reflection.v1alpha`
    V1Alpha,
}

impl Route {
    /// What the path names, on a listener of this reach.
    pub(super) fn of(path: &str, reach: Reach) -> Self {
        let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
            return Self::Unknown;
        };
        match service {
            LIVE_AUTH_SERVICE => match method {
                "MintHash" => Self::Call(Op::MintHash),
                "VerifyHash" => Self::Call(Op::VerifyHash),
                "BatchMintHash" => Self::Call(Op::BatchMintHash),
                "BatchVerifyHash" => Self::Call(Op::BatchVerifyHash),
                _ => Self::Unknown,
            },
            HUB_LOGIN_SERVICE => match method {
                "BeginLogin" => Self::Call(Op::BeginLogin),
                "CompleteLogin" => Self::Call(Op::CompleteLogin),
                "RenewAuth" => Self::Call(Op::RenewAuth),
                "ResolveLogin" => Self::Call(Op::ResolveLogin),
                "NotifyUpdate" => Self::Call(Op::NotifyUpdate),
                _ => Self::Unknown,
            },
            LIVE_AUTH_PORTAL_SERVICE => match method {
                "Test" => Self::Call(Op::PortalTest),
                "GetStatus" => Self::Call(Op::PortalGetStatus),
                "Login" => Self::Call(Op::PortalLogin),
                "CompleteInfo" => Self::Call(Op::PortalCompleteInfo),
                "Logout" => Self::Call(Op::PortalLogout),
                _ => Self::Unknown,
            },
            HUB_TOKEN_SERVICE => match method {
                "Seal" => Self::Call(Op::Seal),
                "Open" => Self::Call(Op::Open),
                "Verify" => Self::Call(Op::Verify),
                "Reseal" => Self::Call(Op::Reseal),
                "Revoke" => Self::Call(Op::Revoke),
                "ListRevocations" => Self::Call(Op::ListRevocations),
                "BatchSeal" => Self::Call(Op::BatchSeal),
                "BatchOpen" => Self::Call(Op::BatchOpen),
                "BatchVerify" => Self::Call(Op::BatchVerify),
                "BatchReseal" => Self::Call(Op::BatchReseal),
                _ => Self::Unknown,
            },
            KEY_SERVICE if reach == Reach::Admin => match method {
                "ListKeys" => Self::Call(Op::ListKeys),
                "GetKey" => Self::Call(Op::GetKey),
                "ExplainToken" => Self::Call(Op::ExplainToken),
                "CreateKey" => Self::Call(Op::CreateKey),
                "ImportKeyVersion" => Self::Call(Op::ImportKeyVersion),
                "RotateKey" => Self::Call(Op::RotateKey),
                "SuspendKeyVersion" => Self::Call(Op::SuspendKeyVersion),
                "ResumeKeyVersion" => Self::Call(Op::ResumeKeyVersion),
                "MarkKeyVersionCompromised" => Self::Call(Op::MarkKeyVersionCompromised),
                "DestroyKeyVersion" => Self::Call(Op::DestroyKeyVersion),
                "Reload" => Self::Call(Op::Reload),
                _ => Self::Unknown,
            },
            "grpc.health.v1.Health" => match method {
                "Check" => Self::HealthCheck,
                "Watch" => Self::HealthWatch,
                _ => Self::Unknown,
            },
            "grpc.reflection.v1.ServerReflection" if method == "ServerReflectionInfo" => {
                Self::Reflection(ReflectionVersion::V1)
            }
            "grpc.reflection.v1alpha.ServerReflection" if method == "ServerReflectionInfo" => {
                Self::Reflection(ReflectionVersion::V1Alpha)
            }
            _ => Self::Unknown,
        }
    }

    /// Whether it is an RPC of the API: one message in, one out.
    pub(super) const fn is_call(self) -> bool {
        matches!(self, Self::Call(_))
    }

    /// What records call it.
    pub(super) const fn op(self) -> Op {
        match self {
            Self::Call(op) => op,
            Self::HealthCheck => Op::HealthCheck,
            Self::HealthWatch => Op::HealthWatch,
            Self::Reflection(_) => Op::Reflection,
            Self::Unknown => Op::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::grpc::proto;

    #[test]
    fn every_method_of_the_proto_files_has_a_route_of_its_own() {
        let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
        let mut routes = Vec::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let route = Route::of(&path, Reach::Admin);
                    assert!(matches!(route, Route::Call(_)), "{path}");
                    assert!(!routes.contains(&route), "{path}");
                    assert_eq!(route.op().is_batch(), method.name().starts_with("Batch"), "{path}");
                    let ordinary = Route::of(&path, Reach::Ordinary);
                    assert_eq!(ordinary, if service.name() == "KeyService" { Route::Unknown } else { route }, "{path}");
                    routes.push(route);
                }
            }
        }
        assert_eq!(routes.len(), Op::ALL.len() - 4, "all but health checks, watches, reflection and what is unknown");
    }

    #[test]
    fn nothing_but_the_exact_path_is_a_route() {
        for path in [
            "",
            "/",
            "//",
            "*",
            "/countersign.v1.LiveAuthService",
            "/countersign.v1.LiveAuthService/",
            "/countersign.v1.LiveAuthService/minthash",
            "/countersign.v1.LiveAuthService/MintHash/",
            "//countersign.v1.LiveAuthService/MintHash",
            "/countersign.v1.HubTokenService/MintHash",
        ] {
            assert_eq!(Route::of(path, Reach::Admin), Route::Unknown, "{path}");
        }
    }
}
