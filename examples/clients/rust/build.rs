//! Generates the API's client from the .proto files. `COUNTERSIGN_PROTO` says where they are, if not in the repository
//! that this file came from.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed=COUNTERSIGN_PROTO");
    let proto = std::env::var("COUNTERSIGN_PROTO").unwrap_or_else(|_| "../../../proto".to_owned());
    println!("cargo:rerun-if-changed={proto}");
    let files = protox::compile(["countersign/v1/liveauth.proto", "countersign/v1/hub_token.proto"], [proto])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
