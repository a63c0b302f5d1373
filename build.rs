//! Compiles `proto/` without `protoc`, twice: messages and clients, then servers that borrow those messages.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost::Message;

const PROTO_ROOT: &str = "proto";
const PACKAGE_DIR: &str = "proto/oktaconnector/v1";

/// Messages that carry a secret: their `Debug` is written by hand, in `server/proto.rs`, and redacts.
const SECRET_MESSAGES: [&str; 5] = [
    ".oktaconnector.v1.ApiTokenCredentials",
    ".oktaconnector.v1.OAuthWebAppCredentials",
    ".oktaconnector.v1.ServiceAppCredentials",
    ".oktaconnector.v1.UserCredentialsInput",
    ".oktaconnector.v1.AppUserCredentialsInput",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={PROTO_ROOT}");
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new([PROTO_ROOT])?;
    compiler.include_source_info(true).include_imports(true).open_files(proto_files()?)?;
    let descriptors = compiler.file_descriptor_set();
    fs::write(out_dir.join("descriptors.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .build_server(false)
        .skip_debug(SECRET_MESSAGES)
        .out_dir(subdirectory(&out_dir, "messages")?)
        .compile_fds(descriptors.clone())?;

    // A live event is encoded once for all streams, so the server's stream carries frames that may be encoded already.
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".oktaconnector.v1.SubscribeEventsResponse", "crate::events::Frame")
        .extern_path(".oktaconnector.v1", "crate::proto")
        .out_dir(subdirectory(&out_dir, "servers")?)
        .compile_fds(descriptors)?;
    Ok(())
}

fn proto_files() -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(PACKAGE_DIR)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    Ok(files)
}

fn subdirectory(parent: &Path, name: &str) -> io::Result<PathBuf> {
    let path = parent.join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}
