//! The API as code: messages, services, proto3 JSON and the descriptor set, all made by `build.rs` from `proto/`.
//! Messages that carry a token, payload or hash have a `Debug` by hand (see [`redacted`]) that shows none of it;
//! what contains them derives its own from theirs.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated; its comments come from the .proto files"
)]
mod generated {
    tonic::include_proto!("countersign.v1");
    include!(concat!(env!("OUT_DIR"), "/countersign.v1.serde.rs"));
}
mod redacted;

pub use generated::*;

/// The `FileDescriptorSet` of what every listener serves, encoded.
pub const ORDINARY_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ordinary.bin"));

/// The `FileDescriptorSet` of `proto/`, encoded.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/countersign.bin"));
