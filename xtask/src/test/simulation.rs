//! Step `simulation`: fixed seeds twice with equal traces, the same in debug and in release, then fresh seeds, then that
//! every mutant's patch still applies.
//!
//! The fresh seeds follow from the commit, so that each change looks at new histories and a second look at one change
//! at the same ones. They are printed; `STELLARA_SIM_FRESH` sets the first of them.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Done, StepError};
use crate::shell::ShellError;
use crate::{mutants, shell, workspace};

/// Seeds that are run twice, of one scenario in which everything goes wrong and one in which nothing does.
const TWICE: &str = "0..25";
/// How many fresh runs there are, about: seeds times scenarios.
const FRESH_RUNS: u64 = 520;
/// Seeds run in a process of their own, by a debug and by an optimised simulator.
const ALONE: [u64; 3] = [0, 7, 24];

/// Runs them with the simulator of the profile `sim`.
pub fn run() -> Result<Done, StepError> {
    for profile in [OPTIMISED, "dev"] {
        let mut build = workspace::cargo();
        build.args(["build", "--locked", "--profile", profile]);
        build.args(["--package", "stellara-sim", "--bin", "stellara-sim"]);
        shell::run(&mut build)?;
    }
    let records = workspace::target_dir().join("sim-records");
    std::fs::create_dir_all(&records).map_err(|why| ShellError::Unreadable {
        command: format!("creating {}", records.display()),
        why: why.to_string(),
    })?;
    let swarm = |arguments: &[&str]| {
        let mut command = simulator(OPTIMISED);
        command.arg("swarm").args(arguments);
        command.arg("--record-in").arg(&records);
        command
    };
    shell::run(&mut swarm(&[
        "--scenario",
        "chaos,calm",
        "--seeds",
        TWICE,
        "--twice",
    ]))?;
    alone()?;
    let scenarios = u64::try_from(count()?).unwrap_or(1).max(1);
    let first = first_fresh();
    let seeds = format!("{first}..{}", first + FRESH_RUNS.div_ceil(scenarios));
    eprintln!("fresh seeds {seeds} of all scenarios");
    shell::run(&mut swarm(&["--scenario", "all", "--seeds", &seeds]))?;
    mutants::check_all().map_err(|error| ShellError::Unreadable {
        command: "cargo xtask mutants --check".to_owned(),
        why: error.to_string(),
    })?;
    Ok(Done::Passed)
}

/// The profile of the simulator's own builds.
const OPTIMISED: &str = "sim";

fn simulator(folder: &str) -> Command {
    Command::new(workspace::target_dir().join(folder).join("stellara-sim"))
}

/// The names of the catalogue.
fn count() -> Result<usize, ShellError> {
    let mut list = simulator(OPTIMISED);
    list.args(["list", "--output", "json"]);
    let text = shell::output(&mut list)?;
    let all = parse("stellara-sim list", &text)?;
    Ok(all.as_array().map_or(0, Vec::len))
}

fn parse(command: &str, text: &str) -> Result<Value, ShellError> {
    serde_json::from_str(text).map_err(|error| ShellError::Unreadable {
        command: command.to_owned(),
        why: error.to_string(),
    })
}

/// A run is the same in a process of its own, and whatever the compiler makes of the simulator.
fn alone() -> Result<(), ShellError> {
    for seed in ALONE {
        let trace = |folder: &str| {
            let mut run = simulator(folder);
            run.args(["run", "--scenario", "chaos", "--output", "json", "--seed"]);
            run.arg(seed.to_string()).stdin(Stdio::null());
            let text = shell::output(&mut run)?;
            let outcome = parse("stellara-sim run", &text)?;
            Ok::<_, ShellError>(outcome["trace_hash"].to_string())
        };
        let (optimised, debug) = (trace(OPTIMISED)?, trace("debug")?);
        if optimised != debug {
            return Err(ShellError::Unreadable {
                command: format!("stellara-sim run --scenario chaos --seed {seed}"),
                why: format!("trace {optimised} when optimised, {debug} in debug"),
            });
        }
        eprintln!("chaos seed {seed}: trace {debug} in debug and optimised");
    }
    Ok(())
}

/// The first fresh seed: told, or drawn from the commit.
fn first_fresh() -> u64 {
    let told = std::env::var("STELLARA_SIM_FRESH").ok();
    if let Some(first) = told.and_then(|text| text.parse().ok()) {
        return first;
    }
    let mut head = shell::git(workspace::root());
    head.args(["rev-parse", "HEAD"]);
    let commit = shell::output(&mut head).unwrap_or_default();
    let digits: String = commit.chars().take(8).collect();
    1_000 + u64::from_str_radix(&digits, 16).unwrap_or_default() % 1_000_000_000
}
