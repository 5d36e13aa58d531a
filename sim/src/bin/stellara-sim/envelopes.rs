//! `stellara-sim envelopes`: signed envelopes for anyone to check, a line of JSON each.

use std::io::{self, BufWriter, Write};

use clap::{Args, ValueEnum};
use stellara_sim::envelopes::Lines;

use crate::failure::Failure;

/// Lines of one run.
const COUNT_MAX: u64 = 10_000_000;

/// Options of `stellara-sim envelopes`.
#[derive(Args)]
pub struct EnvelopesArgs {
    /// Which envelopes: equal seeds give equal lines
    #[arg(long, value_parser = seed, allow_negative_numbers = true)]
    seed: u64,
    /// How many lines, 1 to 10000000
    #[arg(long, value_parser = count, allow_negative_numbers = true)]
    count: u64,
    /// How they are written
    #[arg(long, value_enum, default_value_t)]
    output: Lined,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Lined {
    /// A JSON object a line.
    #[default]
    Jsonl,
}

/// The parser's words stand behind the option's name, which it adds.
fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!(
            "seed is {text}, expected a whole number from 0 to {}",
            u64::MAX
        )
    })
}

fn count(text: &str) -> Result<u64, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=COUNT_MAX).contains(number))
        .ok_or_else(|| format!("count is {text}, expected a whole number from 1 to {COUNT_MAX}"))
}

/// Prints them.
pub fn run(args: EnvelopesArgs) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    for (line, _) in Lines::new(args.seed).zip(0..args.count) {
        let mut text = match args.output {
            Lined::Jsonl => serde_json::to_vec(&line?).map_err(io::Error::from)?,
        };
        text.push(b'\n');
        match out.write_all(&text) {
            // Whoever reads has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        flushed => Ok(flushed?),
    }
}
