//! `stellara-sim shrink`: from a failing run to a small one, as a record, a scenario and a test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use stellara_sim::plan::Plan;
use stellara_sim::record::Record;
use stellara_sim::run::{Outcome, RunOptions, run as simulate};
use stellara_sim::scenario::Scenario;
use stellara_sim::shrink::shrink;

use crate::failure::Failure;
use crate::output::{Output, print_fields, print_json};
use crate::run::span_ms;

/// Options of `stellara-sim shrink`.
#[derive(Args)]
pub struct ShrinkArgs {
    /// A failing run, recorded by run or swarm
    file: PathBuf,
    /// End after this long, with the smallest run found until then
    #[arg(long, default_value = "60s", value_name = "SPAN", value_parser = span_ms)]
    within: u64,
    /// Where the small run is written; beside the given one by default, ending in .min.json
    #[arg(long, short = 'o', value_name = "FILE")]
    out: Option<PathBuf>,
    /// For whom the output is
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the patience of whoever waits is real time"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Shrinks it.
pub fn run(args: ShrinkArgs) -> Result<(), Failure> {
    let record = Record::read(&args.file)?;
    let outcome = simulate(&record.plan, &RunOptions::default()).outcome;
    let Some(broken) = outcome.violations.first() else {
        return Err(Failure::Holds(args.file.display().to_string()));
    };
    let invariant = broken.invariant.clone();
    let until = now() + Duration::from_millis(args.within);
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut runs = 0_u32;
    let mut fails = |plan: &Plan| {
        runs += 1;
        bar.set_message(format!(
            "{runs} runs; {} faults and {} operations are tried",
            plan.faults.len(),
            plan.operations.len()
        ));
        let ran = simulate(plan, &RunOptions::default());
        let ready_ms = ran.ready_at.as_ms();
        let mut found = ran.outcome.violations.iter();
        let found = found.find(|violation| violation.invariant == invariant)?;
        Some((found.at_ns / 1_000_000).saturating_sub(ready_ms))
    };
    let shrunk = shrink(record.plan.clone(), &mut fails, &|| now() < until);
    bar.finish_and_clear();
    let outcome = simulate(&shrunk.plan, &RunOptions::default()).outcome;
    let small = Record::new(shrunk.plan, outcome);
    let path = args
        .out
        .unwrap_or_else(|| args.file.with_extension("min.json"));
    small.write(&path)?;
    let scenario = path.with_extension("toml");
    write(&scenario, &Scenario::of_plan(&small.plan).to_toml()?)?;
    let test = path.with_extension("rs");
    write(&test, &as_test(&small))?;
    match args.output {
        Output::Json => print_json(&small.outcome)?,
        Output::Table => tell(&record.plan, &small, shrunk.runs, [&path, &scenario, &test])?,
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::File {
        path: path.to_owned(),
        error,
    })
}

fn size(plan: &Plan) -> String {
    format!(
        "{} nodes, {} faults, {} operations, {} ms",
        plan.topology.regions.len(),
        plan.faults.len(),
        plan.operations.len(),
        plan.for_ms
    )
}

fn tell(from: &Plan, small: &Record, runs: u32, files: [&PathBuf; 3]) -> Result<(), Failure> {
    let [record, scenario, test] = files.map(|file| file.display().to_string());
    let mut fields = vec![
        ("was", size(from)),
        ("is", size(&small.plan)),
        ("runs", runs.to_string()),
        ("record", record),
        ("scenario", scenario),
        ("test", test),
    ];
    for fault in &small.plan.faults {
        fields.push(("fault", serde_json::to_string(fault).unwrap_or_default()));
    }
    for operation in &small.plan.operations {
        let text = serde_json::to_string(operation).unwrap_or_default();
        fields.push(("operation", text));
    }
    let Outcome { violations, .. } = &small.outcome;
    for violation in violations {
        fields.push(("violation", violation.to_string()));
    }
    Ok(print_fields(&fields)?)
}

/// A test that fails as long as the bug is there: ready to be put into `sim/tests`.
fn as_test(small: &Record) -> String {
    let name: String = small
        .plan
        .scenario
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect();
    let plan = serde_json::to_string_pretty(&small.plan).unwrap_or_default();
    format!(
        "#[test]\nfn {name}_{seed}_holds() {{\n    let plan = serde_json::from_str(\n        r##\"{plan}\"##,\n    )\n    .unwrap();\n    \
         let outcome = stellara_sim::run::run(&plan, &stellara_sim::run::RunOptions::default()).outcome;\n    \
         assert!(outcome.held(), \"{{:?}}\", outcome.violations);\n}}\n",
        seed = small.plan.seed,
    )
}
