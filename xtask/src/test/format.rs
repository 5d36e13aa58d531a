//! Step `format`: the code is as rustfmt writes it.

use super::{Done, StepError};
use crate::{shell, workspace};

/// Changes nothing; shows the difference.
pub fn run() -> Result<Done, StepError> {
    shell::run(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Done::Passed)
}
