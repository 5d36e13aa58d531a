//! Step `deny`: cargo-deny reads the same `deny.toml` as the step `dependencies`.
//!
//! Its advisories need the network, so they are left to `cargo deny check advisories`.

use super::{Done, StepError};
use crate::{shell, workspace};

/// Skipped where cargo-deny is not installed: compiling it costs minutes.
pub fn run() -> Result<Done, StepError> {
    if !shell::is_installed("cargo-deny") {
        return Ok(Done::Skipped(
            "cargo-deny is not installed (`cargo xtask setup --with-deny`); the step dependencies checks its rules"
                .to_owned(),
        ));
    }
    let mut command = workspace::cargo();
    command.args(["deny", "--locked", "check", "licenses", "bans", "sources"]);
    shell::run(&mut command)?;
    Ok(Done::Passed)
}
