//! The programs under test: those beside the running test, built once if one is missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Package and program of everything that the tests start.
const PROGRAMS: [(&str, &str); 3] = [
    ("stellara-server", "stellara-node"),
    ("stellara-client", "stellara"),
    ("stellara-sim", "stellara-sim"),
];

/// `stellara-node`, to add arguments to. It does not see the variables that steer the tests: it would refuse them.
pub fn node() -> Command {
    let mut command = Command::new(program("stellara-node"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STELLARA_")) {
        command.env_remove(name);
    }
    command
}

/// Where `stellara-node` is, for those that start it through another program.
pub fn node_path() -> PathBuf {
    program("stellara-node")
}

/// `stellara`, the command line, to add arguments to.
pub fn cli() -> Command {
    Command::new(program("stellara"))
}

/// `stellara-sim`, to add arguments to.
pub fn sim() -> Command {
    Command::new(program("stellara-sim"))
}

fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(folder_with_all).join(name)
}

/// `target/<profile>`: a test runs from its `deps`.
fn folder_with_all() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let deps = test.parent().expect("a program lies in a folder");
    let folder = deps.parent().expect("deps lies in a folder").to_owned();
    // Always: the tests' own build leaves the programs as they were, and a stale one proves nothing.
    build(&folder);
    folder
}

/// Builds everything at once, so that the features are the same for all.
fn build(folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.args(["build", "--locked"]);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    command.arg("--target-dir");
    command.arg(folder.parent().expect("a profile lies in the target"));
    for (package, name) in PROGRAMS {
        command.args(["--package", package, "--bin", name]);
    }
    let status = command.status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
