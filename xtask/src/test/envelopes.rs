//! Step `envelopes`: what the product signs, checked by another implementation of the protocol, byte for byte.
//!
//! That is Python's `stellar-sdk`. Without Python or PyPI the step is skipped, and the reason is
//! printed.

use std::process::{Command, Stdio};

use super::{Done, StepError};
use crate::python::{self, PythonError};
use crate::shell::{self, ShellError};
use crate::workspace;

/// Envelopes that are checked.
const COUNT: &str = "1000";
/// A seed that every machine checks.
const SEED: &str = "1";

/// Prints them with the simulator of the profile `sim`, as the step before, and checks them.
pub fn run() -> Result<Done, StepError> {
    let folder = workspace::root().join("tests/envelopes");
    let python = match python::with_packages("envelopes", &folder.join("requirements.txt")) {
        Ok(python) => python,
        Err(error) if may_skip(&error) => return Ok(Done::Skipped(error.to_string())),
        Err(error) => return Err(StepError::Python(error)),
    };
    let mut build = workspace::cargo();
    build.args(["build", "--locked", "--profile", "sim"]);
    build.args(["--package", "stellara-sim", "--bin", "stellara-sim"]);
    shell::run(&mut build)?;
    let mut print = Command::new(workspace::target_dir().join("sim/stellara-sim"));
    print.args(["envelopes", "--seed", SEED, "--count", COUNT]);
    print.args(["--output", "jsonl"]);
    let mut check = Command::new(python);
    check.arg(folder.join("check.py"));
    check.args(["--expect", COUNT]);
    piped(&mut print, &mut check)?;
    Ok(Done::Passed)
}

/// What the machine lacks, and not what is wrong with the tree.
fn may_skip(error: &PythonError) -> bool {
    match error {
        PythonError::NoPython | PythonError::Venv(_) | PythonError::Packages(_) => true,
        PythonError::File { .. } => false,
    }
}

/// Runs `from | to`; both must succeed. What `to` says of the lines tells more than that `from` was cut off.
fn piped(from: &mut Command, to: &mut Command) -> Result<(), ShellError> {
    let not_started = |command: &Command, why| ShellError::NotStarted {
        command: shell::line(command),
        why,
    };
    let mut printing = from
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|why| not_started(from, why))?;
    let lines = printing.stdout.take().expect("it was asked to be piped");
    let checked = shell::run(to.stdin(lines));
    let printed = printing.wait().map_err(|why| not_started(from, why))?;
    checked?;
    if printed.success() {
        return Ok(());
    }
    Err(ShellError::Failed {
        command: shell::line(from),
        status: printed,
        stderr: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::piped;

    /// Both ends of a pipe, as scripts of the shell.
    fn check(from: &str, to: &str, expected: Result<(), &str>) {
        let script = |text: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", text]);
            command
        };
        let ended = piped(&mut script(from), &mut script(to)).map_err(|error| error.to_string());
        assert_eq!(ended, expected.map_err(str::to_owned));
    }

    #[test]
    fn either_end_of_a_pipe_can_fail() {
        check("echo line", "grep -q line", Ok(()));
        check(
            "exit 3",
            "cat",
            Err("`sh -c 'exit 3'` ended with exit status: 3"),
        );
        check(
            "exit 3",
            "exit 4",
            Err("`sh -c 'exit 4'` ended with exit status: 4"),
        );
    }
}
