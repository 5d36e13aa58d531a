//! Compiles the contract: messages, services and the embedded descriptor.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const FILES: [&str; 8] = [
    "stellara/v1/payments.proto",
    "stellara/v1/batches.proto",
    "stellara/v1/cluster.proto",
    "stellara/v1/policy.proto",
    "stellara/v1/fees.proto",
    "stellara/v1/options.proto",
    "stellara/v1/log.proto",
    "stellara/v1/peer.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=stellara");
    println!("cargo:rerun-if-changed=google");
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true);
    compiler.include_imports(true);
    compiler.open_files(FILES)?;
    // The reflective encoding keeps the options that this build does not know as types.
    fs::write(
        out_dir.join("descriptor.bin"),
        compiler.encode_file_descriptor_set(),
    )?;

    tonic_prost_build::configure()
        // Payloads that pass through are shared, not copied.
        .bytes(".stellara.v1.peer.Entry.normal")
        .bytes(".stellara.v1.peer.ForwardRequest.commands")
        .bytes(".stellara.v1.peer.SnapshotChunk.data")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
