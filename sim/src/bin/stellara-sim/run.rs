//! `stellara-sim run`: one seed of a scenario, and what came of it. A run that fails is written to a file.

use std::path::{Path, PathBuf};

use clap::Args;
use stellara_sim::record::Record;
use stellara_sim::run::{Outcome, RunOptions, run as simulate};
use stellara_sim::scenario::Scenario;

use crate::failure::Failure;
use crate::output::{Output, print_fields, print_json};

/// Options of `stellara-sim run`.
#[derive(Args)]
pub struct RunArgs {
    /// A name of `stellara-sim list`, or the path of a scenario's file
    #[arg(long, short)]
    scenario: String,
    /// Decides everything that is left to chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The length of the troubled part, as 60s, 500ms or 2m; the scenario's own by default
    #[arg(long = "for", value_name = "SPAN", value_parser = span_ms)]
    for_ms: Option<u64>,
    /// Write the run to this file, whether it fails or not
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// For whom the output is
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A span of time as people write it, in milliseconds.
pub fn span_ms(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is no span: expected a number and ms, s, m or h, as 60s");
    let digits = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(digits.ok_or_else(expected)?);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    let span_ms = number.checked_mul(factor).ok_or_else(expected)?;
    if (100..=86_400_000).contains(&span_ms) {
        return Ok(span_ms);
    }
    Err(format!("{text:?} is out of bounds: expected 100ms to 24h"))
}

/// Runs it.
pub fn run(args: RunArgs) -> Result<(), Failure> {
    let mut scenario = Scenario::named(&args.scenario)?;
    if let Some(for_ms) = args.for_ms {
        scenario.for_ms = for_ms;
    }
    let plan = scenario.plan(args.seed);
    let outcome = simulate(&plan, &RunOptions::default()).outcome;
    print(&outcome, args.output)?;
    let held = outcome.held();
    let record = Record::new(plan, outcome);
    let own = (!held).then(|| PathBuf::from(record.file_name()));
    if let Some(path) = args.record.or(own) {
        record.write(&path)?;
        told(&path, held);
    }
    if held {
        return Ok(());
    }
    Err(Failure::Broken { runs: 1, of: 1 })
}

fn told(path: &Path, held: bool) {
    let path = path.display();
    eprintln!("recorded in {path}");
    if !held {
        eprintln!("  again:    stellara-sim replay {path}");
        eprintln!("  smaller:  stellara-sim shrink {path}");
        eprintln!("  picture:  stellara-sim timeline {path} -o timeline.html");
    }
}

/// Prints an outcome.
pub fn print(outcome: &Outcome, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return Ok(print_json(outcome)?);
    }
    let spans: Vec<String> = outcome.failover_ms.iter().map(u64::to_string).collect();
    let failovers = match spans.is_empty() {
        true => "none".to_owned(),
        false => format!("{} ms", spans.join(", ")),
    };
    let mut fields = vec![
        ("scenario", outcome.scenario.clone()),
        ("seed", outcome.seed.to_string()),
        ("trace", outcome.trace_hash.clone()),
        (
            "time",
            format!(
                "{} ms of the world in {} ms",
                outcome.virtual_ms, outcome.wall_ms
            ),
        ),
        ("events", outcome.events.to_string()),
        (
            "payments",
            format!(
                "{} acknowledged, {} settled",
                outcome.acked, outcome.settled
            ),
        ),
        ("elections", outcome.elections.to_string()),
        ("failovers", failovers),
        ("violations", outcome.violations.len().to_string()),
    ];
    for violation in &outcome.violations {
        fields.push(("", violation.to_string()));
    }
    Ok(print_fields(&fields)?)
}
