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

/// Whether an event is about a node: it names it, or is on a way from it or to it. A line is a moment, a kind, two
/// numbers and words; a way is one number, with the sender in its upper half.
fn is_of(line: &str, node: u64) -> bool {
    let mut words = line.split(' ').skip(1);
    let kind = words.next().unwrap_or_default();
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
    let (first, second) = (number(), number());
    let named = match kind {
        // Their numbers are ledgers, lengths and calls.
        "ledger-submit" | "ledger-query" => false,
        "cut" | "heal" | "connected" | "disconnected" => [first, second].contains(&Some(node)),
        _ => first.is_some_and(|first| match first >> 32 {
            0 => first == node,
            from => from == node || first & u64::from(u32::MAX) == node,
        }),
    };
    let told =
        |word: &str| word.trim_matches(|letter: char| !letter.is_ascii_digit()) == node.to_string();
    let nodes = line
        .match_indices("node ")
        .map(|(at, found)| &line[at + found.len()..]);
    named
        || nodes
            .map(|rest| rest.split(' ').next().unwrap_or_default())
            .any(told)
}

#[cfg(test)]
mod tests {
    use super::is_of;

    fn check(line: &str, nodes: &[u64]) {
        for node in 1..=3 {
            assert_eq!(
                is_of(line, node),
                nodes.contains(&node),
                "node {node} in {line:?}"
            );
        }
    }

    #[test]
    fn an_event_is_of_the_nodes_it_names() {
        check("9.390000000 node-start 1 0", &[1]);
        check("9.39 frame 4294967299 22", &[1, 3]);
        check("9.39 cut 3 1", &[1, 3]);
        check("9.39 ledger-query 3 2", &[]);
        check("9.39 fault 3 0 Pause { node: Node(3) } [3]", &[3]);
        check(
            "9.39 fault-skipped 0 0 TakeSnapshot: node 2 does not run",
            &[2],
        );
        check("9.39 acknowledged 2 5767168", &[2]);
    }
}
