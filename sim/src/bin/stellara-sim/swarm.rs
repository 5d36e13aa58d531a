//! `stellara-sim swarm`: many seeds, a row for each scenario, and a file for each run that failed.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use stellara_sim::record::{Record, RecordError};
use stellara_sim::run::Outcome;
use stellara_sim::scenario::{Scenario, catalogue};
use stellara_sim::swarm::{SwarmOptions, Times, Until, swarm};

use crate::failure::Failure;
use crate::output::{Output, print_json, print_rows};

/// Options of `stellara-sim swarm`.
#[derive(Args)]
pub struct SwarmArgs {
    /// Names of `stellara-sim list`, paths of scenario files, or `all`
    #[arg(long, short, default_value = "all", value_delimiter = ',')]
    scenario: Vec<String>,
    /// The seeds, as 0..100: the last is not run
    #[arg(long, default_value = "0..20", value_parser = seeds)]
    seeds: Range<u64>,
    /// Runs at once; as many as there are cores by default
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// End with the first run that breaks an invariant
    #[arg(long)]
    until_fail: bool,
    /// Run each seed twice, and take a difference for a failure
    #[arg(long)]
    twice: bool,
    /// The folder in which runs that fail are written
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    record_in: PathBuf,
    /// For whom the output is
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let expected = || format!("{text:?} is no range of seeds: expected as 0..100");
    let (from, to) = text.split_once("..").ok_or_else(expected)?;
    let from: u64 = from.parse().map_err(|_| expected())?;
    let to: u64 = to.parse().map_err(|_| expected())?;
    if from < to {
        Ok(from..to)
    } else {
        Err(expected())
    }
}

/// One scenario's row.
#[derive(Serialize)]
struct Row {
    scenario: String,
    seeds: usize,
    failed: usize,
    virtual_s_per_wall_s: u64,
    acked: u64,
    settled: u64,
    elections: u64,
    failovers: usize,
    failover_p50_ms: Option<u64>,
    failover_p99_ms: Option<u64>,
    failover_max_ms: Option<u64>,
}

/// What a swarm found.
#[derive(Serialize)]
struct Summary<'a> {
    seeds: [u64; 2],
    rows: Vec<Row>,
    failures: Vec<&'a Outcome>,
}

/// Runs them.
pub fn run(args: SwarmArgs) -> Result<(), Failure> {
    let options = SwarmOptions {
        scenarios: scenarios(&args.scenario)?,
        seeds: args.seeds.clone(),
        jobs: args.jobs.unwrap_or_else(cores),
        until: if args.until_fail {
            Until::Fails
        } else {
            Until::Done
        },
        times: if args.twice {
            Times::Twice
        } else {
            Times::Once
        },
    };
    let bar = progress(options.len());
    let unwritten: Mutex<Option<RecordError>> = Mutex::new(None);
    let outcomes = swarm(&options, |record| {
        bar.inc(1);
        if record.outcome.held() {
            return;
        }
        bar.suspend(|| tell(record));
        let path = args.record_in.join(record.file_name());
        if let Err(error) = record.write(&path)
            && let Ok(mut unwritten) = unwritten.lock()
        {
            unwritten.get_or_insert(error);
        }
    });
    bar.finish_and_clear();
    let failures: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.held()).collect();
    let (runs, of) = (failures.len(), outcomes.len());
    let summary = Summary {
        seeds: [args.seeds.start, args.seeds.end],
        rows: rows(&outcomes),
        failures,
    };
    match args.output {
        Output::Json => print_json(&summary)?,
        Output::Table => table(&summary)?,
    }
    if let Ok(Some(error)) = unwritten.into_inner() {
        return Err(error.into());
    }
    if runs > 0 {
        return Err(Failure::Broken { runs, of });
    }
    Ok(())
}

fn scenarios(names: &[String]) -> Result<Vec<Scenario>, Failure> {
    let mut all = Vec::new();
    for name in names {
        if name == "all" {
            for entry in catalogue() {
                all.push(Scenario::named(entry.name)?);
            }
        } else {
            all.push(Scenario::named(name)?);
        }
    }
    Ok(all)
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn progress(runs: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(runs).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {per_sec}, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn tell(record: &Record) {
    let outcome = &record.outcome;
    eprintln!("{} seed {} failed:", outcome.scenario, outcome.seed);
    for violation in &outcome.violations {
        eprintln!("  {violation}");
    }
}

fn percentile(sorted: &[u64], permille: usize) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * permille).div_ceil(1_000)).copied()
}

fn rows(outcomes: &[Outcome]) -> Vec<Row> {
    let of = |group: &[Outcome]| {
        let sum = |of: fn(&Outcome) -> u64| group.iter().map(of).sum::<u64>();
        let failovers = group.iter().flat_map(|outcome| &outcome.failover_ms);
        let mut failovers: Vec<u64> = failovers.copied().collect();
        failovers.sort_unstable();
        Row {
            scenario: group[0].scenario.clone(),
            seeds: group.len(),
            failed: group.iter().filter(|outcome| !outcome.held()).count(),
            virtual_s_per_wall_s: sum(|one| one.virtual_ms) / sum(|one| one.wall_ms).max(1),
            acked: sum(|one| one.acked),
            settled: sum(|one| one.settled),
            elections: sum(|one| one.elections),
            failovers: failovers.len(),
            failover_p50_ms: percentile(&failovers, 500),
            failover_p99_ms: percentile(&failovers, 990),
            failover_max_ms: failovers.last().copied(),
        }
    };
    let groups = outcomes.chunk_by(|one, next| one.scenario == next.scenario);
    groups.map(of).collect()
}

fn table(summary: &Summary<'_>) -> Result<(), Failure> {
    let ms = |span: Option<u64>| span.map_or_else(|| "-".to_owned(), |span| span.to_string());
    let line = |row: &Row| {
        vec![
            row.scenario.clone(),
            row.seeds.to_string(),
            row.failed.to_string(),
            row.virtual_s_per_wall_s.to_string(),
            row.acked.to_string(),
            row.settled.to_string(),
            row.elections.to_string(),
            row.failovers.to_string(),
            ms(row.failover_p50_ms),
            ms(row.failover_p99_ms),
            ms(row.failover_max_ms),
        ]
    };
    let rows: Vec<Vec<String>> = summary.rows.iter().map(line).collect();
    let heads = [
        "SCENARIO",
        "SEEDS",
        "FAILED",
        "TIMES REAL",
        "ACKED",
        "SETTLED",
        "ELECTIONS",
        "FAILOVERS",
        "P50 MS",
        "P99 MS",
        "MAX MS",
    ];
    let [from, to] = summary.seeds;
    println!("seeds {from}..{to}");
    Ok(print_rows(&heads, &rows)?)
}
