//! Compiles `proto/` into Rust and a file descriptor set, with protox: no protoc anywhere.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

/// The root of the protobuf files.
const PROTO: &str = "proto";

/// The file that imports, directly or not, every other one.
const SERVICE: &str = "doorward/v1/access_service.proto";

/// Files that nothing imports, for messages that travel outside of the calls.
const DETAILS: &str = "doorward/v1/reason.proto";

/// What carries a secret gets no derived `Debug`, its oneof neither; `src/proto.rs` writes one that leaves the secret
/// out.
const SECRET: [&str; 8] = [
    ".doorward.v1.Subject",
    ".doorward.v1.AcceptInvitationRequest",
    ".doorward.v1.InviteMemberResponse",
    ".doorward.v1.InvitedMember",
    ".doorward.v1.ResendInvitationResponse",
    ".doorward.v1.CreateApiKeyResponse",
    ".doorward.v1.CreateServiceCredentialResponse",
    ".doorward.v1.RotateServiceCredentialResponse",
];

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);

    let mut compiler = protox::Compiler::new([PROTO])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([SERVICE, DETAILS])?;
    // Encoded by protox itself: the prost types would drop options that they do not know, such as `debug_redact`.
    fs::write(out.join("descriptor.bin"), compiler.encode_file_descriptor_set())?;

    // Ordered maps: equal messages encode to equal bytes.
    tonic_prost_build::configure()
        .btree_map(".")
        .skip_debug(SECRET)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
