//! Step `simulation`: the simulator's fixed seeds, twice with equal traces, then fresh seeds.

use super::{Done, StepError};
use crate::{shell, workspace};

/// Arguments of `stellara-sim`, one run each. The simulator itself compares the traces of a seed.
const RUNS: [&[&str]; 0] = [];

/// Skipped while the workspace has no runs or no simulator.
pub fn run() -> Result<Done, StepError> {
    let metadata = workspace::metadata(&["--no-deps", "--locked"])?;
    if RUNS.is_empty() || !workspace::has_binary(&metadata, "stellara-sim", "stellara-sim") {
        return Ok(Done::Skipped("the simulator has no scenario runs yet"));
    }
    for arguments in RUNS {
        let mut command = workspace::cargo();
        command.args(["run", "--locked", "--package", "stellara-sim"]);
        command.args(["--bin", "stellara-sim", "--"]);
        command.args(arguments);
        shell::run(&mut command)?;
    }
    Ok(Done::Passed)
}
