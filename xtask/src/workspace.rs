//! Where the workspace is, and how `cargo` is started in it.
//!
//! Every build of ours goes to one cache outside the clone, through sccache when it is
//! installed. The caller's own settings of the same variables win.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::OnceLock;

use serde_json::Value;

use crate::shell::{self, ShellError};

/// The root folder of the workspace that this run is for. Clones may share one target folder, so
/// what cargo says now counts before what it said when this was built.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let built = || env!("CARGO_MANIFEST_DIR").into();
        let folder: PathBuf = env::var_os("CARGO_MANIFEST_DIR").map_or_else(built, PathBuf::from);
        let root = folder.parent();
        root.expect("the crate is a folder of the workspace")
            .to_owned()
    })
}

/// The cache of everything that is built: `$XDG_CACHE_HOME/stellara`, or `~/.cache/stellara`.
pub fn cache_dir() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| root().join("target"))
        .join("stellara")
}

/// Where cargo puts what it builds. A relative setting counts from the root folder, where cargo
/// is started.
pub fn target_dir() -> PathBuf {
    let dir =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| cache_dir().join("target"), PathBuf::from);
    root().join(dir)
}

/// A `cargo` of this toolchain, in the root folder, with the build cache in its environment.
pub fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root());
    command.env("CARGO_TARGET_DIR", target_dir());
    // What `cargo run` told this process about this package must not reach the build: build
    // scripts that watch these variables would run again at every change of the caller.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if env::var_os("RUSTC_WRAPPER").is_none() && shell::is_installed("sccache") {
        let dir =
            env::var_os("SCCACHE_DIR").map_or_else(|| cache_dir().join("sccache"), Into::into);
        start_sccache(&dir);
        command.env("RUSTC_WRAPPER", "sccache");
        command.env("SCCACHE_DIR", dir);
    }
    command
}

/// Starts the cache's server before the first compiler does: it outlives us, and so must hold
/// none of the caller's pipes. One that already runs makes this fail, which is as good.
fn start_sccache(dir: &Path) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let started = Command::new("sccache")
            .arg("--start-server")
            .env("SCCACHE_DIR", dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        drop(started);
    });
}

/// What cargo knows of the workspace. `flags` are further arguments of `cargo metadata`.
///
/// # Errors
/// When cargo fails or prints something else than JSON.
pub fn metadata(flags: &[&str]) -> Result<Value, ShellError> {
    let mut command = cargo();
    command
        .args(["metadata", "--format-version", "1"])
        .args(flags);
    let text = shell::output(&mut command)?;
    serde_json::from_str(&text).map_err(|error| ShellError::Unreadable {
        command: "cargo metadata".to_owned(),
        why: error.to_string(),
    })
}
