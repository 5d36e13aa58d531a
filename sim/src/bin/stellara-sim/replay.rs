//! `stellara-sim replay`: a recorded run once more, with its events as text, to its end or to a moment.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use stellara_sim::record::Record;
use stellara_sim::run::{RunOptions, run as simulate};
use stellara_sim::runtime::TraceText;

use crate::failure::Failure;
use crate::output::Output;
use crate::run::{print, span_ms};

/// Events kept at most: the oldest give way.
const LINES_MAX: usize = 1_000_000;

/// Options of `stellara-sim replay`.
#[derive(Args)]
pub struct ReplayArgs {
    /// A run recorded by run, swarm or shrink
    file: PathBuf,
    /// Stop at this moment after the cluster was ready, as 4500ms, and print the events before it
    #[arg(long, value_name = "SPAN", value_parser = span_ms)]
    at: Option<u64>,
    /// Print only the events of this node
    #[arg(long)]
    node: Option<u64>,
    /// How many of the last events to print
    #[arg(long, default_value_t = 200)]
    events: usize,
    /// For whom the output is
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Replays it.
pub fn run(args: ReplayArgs) -> Result<(), Failure> {
    let record = Record::read(&args.file)?;
    let options = RunOptions {
        text: TraceText::Events {
            lines_max: LINES_MAX,
        },
        until_ms: args.at,
        ..RunOptions::default()
    };
    let ran = simulate(&record.plan, &options);
    if args.output == Output::Table {
        let ours = |line: &&String| args.node.is_none_or(|node| is_of(line, node));
        let lines: Vec<&String> = ran.lines.iter().filter(ours).collect();
        let mut out = std::io::stdout().lock();
        for line in lines.iter().skip(lines.len().saturating_sub(args.events)) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    print(&ran.outcome, args.output)?;
    let (found, recorded) = (ran.outcome.trace_hash, record.outcome.trace_hash);
    if args.at.is_none() && found != recorded {
        return Err(Failure::Otherwise { found, recorded });
    }
    if ran.outcome.violations.is_empty() {
        return Ok(());
    }
    Err(Failure::Broken { runs: 1, of: 1 })
}

/// Whether a line of the trace is about a node: it ran there, or names it.
fn is_of(line: &str, node: u64) -> bool {
    line.contains(&format!("n{node} ")) || line.contains(&format!("node {node}"))
}
