//! `cargo xtask test`: everything that must hold before a change is taken.
//!
//! `STEPS` is the list, in order: what fails quickly first, and the tests last so that the
//! output ends with their summary. A step is a file under `test/`.

mod deny;
mod dependencies;
mod doc;
mod envelopes;
mod format;
mod licence;
mod lint;
mod policy;
mod simulation;
mod tests;

use std::fmt;
use std::time::Duration;

use crate::clock;
use crate::python::PythonError;
use crate::setup::{self, SetupError};
use crate::shell::ShellError;
use dependencies::DependencyError;

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Run only this step; may be repeated
    #[arg(long, value_name = "STEP", value_parser = clap::builder::PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
    /// Print the steps and end
    #[arg(long)]
    list: bool,
}

/// A part of the whole.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<Done, StepError>,
}

/// How a step ended when nothing is wrong.
enum Done {
    /// It ran.
    Passed,
    /// There was nothing to run, and why.
    Skipped(String),
}

/// What a step found.
#[derive(Debug)]
enum StepError {
    Setup(SetupError),
    Command(ShellError),
    Dependencies(DependencyError),
    Python(PythonError),
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => error.fmt(f),
            Self::Command(error) => error.fmt(f),
            Self::Dependencies(error) => error.fmt(f),
            Self::Python(error) => error.fmt(f),
        }
    }
}

impl From<ShellError> for StepError {
    fn from(error: ShellError) -> Self {
        Self::Command(error)
    }
}

const STEPS: [Step; 9] = [
    Step {
        name: "setup",
        about: "what the build needs of the system",
        run: || {
            setup::ensure()
                .map(|()| Done::Passed)
                .map_err(StepError::Setup)
        },
    },
    Step {
        name: "format",
        about: "cargo fmt --check",
        run: format::run,
    },
    Step {
        name: "dependencies",
        about: "licences, one TLS stack, sources: deny.toml, checked offline",
        run: dependencies::run,
    },
    Step {
        name: "deny",
        about: "cargo-deny on the same file, when it is installed",
        run: deny::run,
    },
    Step {
        name: "lint",
        about: "cargo clippy, warnings denied",
        run: lint::run,
    },
    Step {
        name: "doc",
        about: "the examples in the documentation",
        run: doc::run,
    },
    Step {
        name: "simulation",
        about: "fixed seeds twice with equal traces, then fresh seeds",
        run: simulation::run,
    },
    Step {
        name: "envelopes",
        about: "signed envelopes, parsed, verified and encoded again by Python's stellar-sdk",
        run: envelopes::run,
    },
    Step {
        name: "tests",
        about: "every test, with cargo-nextest when it is installed",
        run: tests::run,
    },
];

/// A step failed, or none was left to run.
#[derive(Debug)]
pub struct TestError {
    step: &'static str,
    elapsed: Duration,
    why: StepError,
}

impl fmt::Display for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(
            f,
            "step {} failed after {seconds:.1} s: {}",
            self.step, self.why
        )
    }
}

impl std::error::Error for TestError {}

/// Runs the steps in order and stops at the first that fails.
///
/// # Errors
/// The failed step with its command and exit code.
pub fn run(args: &Args) -> Result<(), TestError> {
    if args.list {
        for step in &STEPS {
            println!("{:<14}{}", step.name, step.about);
        }
        return Ok(());
    }
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| args.only.is_empty() || args.only.iter().any(|name| name == step.name))
        .collect();
    let started = clock::now();
    let mut times = Vec::with_capacity(chosen.len());
    for (place, step) in chosen.iter().enumerate() {
        eprintln!(
            "== {} ({} of {}): {}",
            step.name,
            place + 1,
            chosen.len(),
            step.about
        );
        let step_started = clock::now();
        let ended = (step.run)();
        let elapsed = step_started.elapsed();
        let seconds = elapsed.as_secs_f64();
        match ended {
            Ok(Done::Passed) => {
                eprintln!("== {} passed in {seconds:.1} s", step.name);
                times.push(format!("{} {seconds:.1} s", step.name));
            }
            Ok(Done::Skipped(why)) => {
                eprintln!("== {} skipped: {why}", step.name);
                times.push(format!("{} skipped", step.name));
            }
            Err(why) => {
                return Err(TestError {
                    step: step.name,
                    elapsed,
                    why,
                });
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("== nothing failed in {seconds:.1} s: {}", times.join(", "));
    Ok(())
}
