//! Step `lint`: clippy over every target, and no warning of the compiler.

use super::{Done, StepError};
use crate::{shell, workspace};

/// The levels are in the root `Cargo.toml`; here warnings become errors.
pub fn run() -> Result<Done, StepError> {
    let mut command = workspace::cargo();
    command.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    shell::run(&mut command)?;
    Ok(Done::Passed)
}
