//! What the simulator found of a mutant: the seed, how many runs it took, what broke, and how small it became.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::patch::Patch;
use crate::shell::{self, ShellError};

/// How long one failure may take to become small, in words of the simulator.
const SHRINK_WITHIN: &str = "60s";

/// A run that found a mutant.
#[derive(Clone, Debug)]
pub struct Failure {
    scenario: String,
    seed: u64,
    invariant: String,
    /// Faults and operations, and the seconds it took to get there; `None` when not tried.
    shrunk: Option<(usize, f64)>,
}

/// What became of a mutant.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name.
    pub mutant: String,
    runs: usize,
    /// The first run that broke an invariant.
    pub failure: Option<Failure>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.failure else {
            return write!(f, "not found in {} runs", self.runs);
        };
        write!(
            f,
            "{} by seed {} of {}, {} runs",
            failure.invariant, failure.seed, failure.scenario, self.runs
        )?;
        match failure.shrunk {
            Some((size, seconds)) => {
                write!(f, "; {size} faults and operations after {seconds:.0} s")
            }
            None => Ok(()),
        }
    }
}

/// Runs seeds until one fails; the summary as the simulator prints it.
pub fn swarm(
    simulator: &Path,
    patch: &Patch,
    seeds_max: u64,
    records: &Path,
) -> Result<Value, ShellError> {
    let mut swarm = Command::new(simulator);
    swarm.args(["swarm", "--until-fail", "--output", "json", "--scenario"]);
    swarm.arg(patch.scenarios.join(","));
    swarm.arg("--seeds").arg(format!("0..{seeds_max}"));
    swarm.arg("--record-in").arg(records);
    read(&mut swarm)
}

/// The JSON that a simulator printed, however it ended: a run that fails is what is looked for.
fn read(command: &mut Command) -> Result<Value, ShellError> {
    let unreadable = |why: String, command: &Command| ShellError::Unreadable {
        command: shell::line(command),
        why,
    };
    let ran = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let ran = ran.map_err(|why| unreadable(why.to_string(), command))?;
    serde_json::from_slice(&ran.stdout).map_err(|error| unreadable(error.to_string(), command))
}

impl Found {
    /// What a swarm found.
    pub fn of(patch: &Patch, swarm: &Value) -> Result<Self, ShellError> {
        let rows = swarm["rows"].as_array().map_or(&[][..], Vec::as_slice);
        let runs = rows
            .iter()
            .filter_map(|row| row["seeds"].as_u64())
            .sum::<u64>();
        let failures = swarm["failures"].as_array().map_or(&[][..], Vec::as_slice);
        // Runs that were under way when the first failed may have failed too: the lowest seed counts.
        let first = failures
            .iter()
            .min_by_key(|failure| failure["seed"].as_u64());
        let failure = first.map(|failure| Failure {
            scenario: text(&failure["scenario"]),
            seed: failure["seed"].as_u64().unwrap_or_default(),
            invariant: text(&failure["violations"][0]["invariant"]),
            shrunk: None,
        });
        Ok(Self {
            mutant: patch.name.clone(),
            runs: usize::try_from(runs).unwrap_or(usize::MAX),
            failure,
        })
    }

    /// Makes the failure small.
    pub fn shrink(&mut self, simulator: &Path, records: &Path) -> Result<(), ShellError> {
        let Some(failure) = &mut self.failure else {
            return Ok(());
        };
        let record = records.join(format!("{}-{}.json", failure.scenario, failure.seed));
        let small: PathBuf = record.with_extension("min.json");
        let started = crate::clock::now();
        let mut shrink = Command::new(simulator);
        shrink.arg("shrink").arg(&record);
        shrink.args(["--within", SHRINK_WITHIN, "--output", "json", "-o"]);
        shrink.arg(&small);
        read(&mut shrink)?;
        let seconds = started.elapsed().as_secs_f64();
        let read = std::fs::read(&small).ok();
        let plan: Option<Value> = read.and_then(|text| serde_json::from_slice(&text).ok());
        let len = |name: &str| {
            let plan = plan.as_ref().map(|record| &record["plan"][name]);
            plan.and_then(Value::as_array).map_or(0, Vec::len)
        };
        failure.shrunk = Some((len("faults") + len("operations"), seconds));
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The middle of some numbers.
fn median(mut numbers: Vec<usize>) -> Option<usize> {
    numbers.sort_unstable();
    numbers.get(numbers.len().checked_sub(1)? / 2).copied()
}

fn medians(results: &[Found]) -> (Option<usize>, Option<usize>) {
    let found = || results.iter().filter(|found| found.failure.is_some());
    let runs = median(found().map(|found| found.runs).collect());
    let failures = found().filter_map(|found| found.failure.as_ref());
    let sizes = median(
        failures
            .filter_map(|failure| failure.shrunk.map(|(size, _)| size))
            .collect(),
    );
    (runs, sizes)
}

/// A row a mutant, and the medians.
pub fn table(results: &[Found]) -> String {
    let width = results
        .iter()
        .map(|found| found.mutant.len())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for found in results {
        out.push_str(&format!("{:width$}  {found}\n", found.mutant));
    }
    let (runs, sizes) = medians(results);
    let show = |number: Option<usize>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    out.push_str(&format!(
        "median: {} runs to find, {} faults and operations when small\n",
        show(runs),
        show(sizes)
    ));
    out
}

/// The same for programs.
pub fn json(results: &[Found]) -> Value {
    let row = |found: &Found| {
        let failure = found.failure.as_ref();
        json!({
            "mutant": found.mutant,
            "runs": found.runs,
            "scenario": failure.map(|failure| &failure.scenario),
            "seed": failure.map(|failure| failure.seed),
            "invariant": failure.map(|failure| &failure.invariant),
            "shrunk_to": failure.and_then(|failure| failure.shrunk).map(|(size, _)| size),
            "shrink_s": failure.and_then(|failure| failure.shrunk).map(|(_, seconds)| seconds),
        })
    };
    let (runs, sizes) = medians(results);
    json!({
        "mutants": results.iter().map(row).collect::<Vec<_>>(),
        "median_runs": runs,
        "median_shrunk_to": sizes,
    })
}
