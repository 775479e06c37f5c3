//! Compiles `proto/` with protox, so that no machine needs protoc: messages and services by tonic,
//! proto3 JSON by pbjson, and the descriptor set that reflection serves.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// Messages that carry a token, a payload, a hash, a login token or a key. Their `Debug` is written by hand and shows none.
const SECRET_MESSAGES: &[&str] = &[
    "MintHashResponse",
    "VerifyHashRequest",
    "SealRequest",
    "SealResponse",
    "OpenRequest",
    "OpenResponse",
    "VerifyRequest",
    "ExplainTokenRequest",
    "ResealRequest",
    "ResealResponse",
    "TokenClaims",
    "RevokeRequest",
    "Label",
    "ImportKeyVersionRequest",
    "RotateKeyRequest",
    "GetStatusResponse",
    "LoginResponse",
    "CompleteInfoRequest",
    "BeginLoginRequest",
    "BeginLoginResponse",
    "CompleteLoginRequest",
    "CompleteLoginResponse",
    "RenewAuthRequest",
    "RenewAuthResponse",
    "ResolveLoginRequest",
    "ResolveLoginResponse",
    "NotifyUpdateRequest",
    "CompleteInfoResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let ordinary = [
        "countersign/v1/verdict.proto",
        "countersign/v1/liveauth.proto",
        "countersign/v1/liveauth_portal.proto",
        "countersign/v1/hub_login.proto",
        "countersign/v1/hub_token.proto",
    ];
    // Served on admin listeners alone, and described there alone.
    let admin = ["countersign/v1/key.proto"];
    fs::write(out.join("ordinary.bin"), protox::compile(ordinary, ["proto"])?.encode_to_vec())?;
    let descriptors = protox::compile(ordinary.into_iter().chain(admin), ["proto"])?;
    let encoded = descriptors.encode_to_vec();
    fs::write(out.join("countersign.bin"), &encoded)?;

    tonic_prost_build::configure()
        .build_transport(false)
        .build_server(false)
        .codec_path("crate::grpc::codec::UnaryCodec")
        .skip_debug(SECRET_MESSAGES.iter().map(|message| format!(".countersign.v1.{message}")))
        .compile_fds(descriptors)?;

    // What the keystore says to a Kubernetes KMS plugin: others' protocol, and no part of our API.
    println!("cargo:rerun-if-changed=src/keystore/kms/v2.proto");
    tonic_prost_build::configure()
        .build_transport(false)
        .build_server(false)
        .skip_debug([".v2.EncryptRequest", ".v2.DecryptResponse"])
        .compile_fds(protox::compile(["v2.proto"], ["src/keystore/kms"])?)?;

    pbjson_build::Builder::new().register_descriptors(&encoded)?.build(&[".countersign.v1"])?;
    Ok(())
}
