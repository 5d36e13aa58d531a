//! Step `tests`: every test of the workspace. The last step, so that the output ends with the
//! runner's summary.

use super::{Done, StepError};
use crate::{shell, workspace};

/// With cargo-nextest when it is installed, which also ends tests that hang; else `cargo test`.
pub fn run() -> Result<Done, StepError> {
    // The end-to-end tests start the binaries as they lie in the target folder.
    let mut binaries = workspace::cargo();
    binaries.args(["build", "--locked", "--workspace", "--bins"]);
    shell::run(&mut binaries)?;
    let mut command = workspace::cargo();
    if shell::is_installed("cargo-nextest") {
        command.args([
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--no-tests",
            "pass",
        ]);
    } else {
        // All targets but the examples of the documentation, which are a step of their own.
        command.args(["test", "--locked", "--workspace", "--no-fail-fast"]);
        command.args(["--lib", "--bins", "--tests"]);
    }
    shell::run(&mut command)?;
    Ok(Done::Passed)
}
