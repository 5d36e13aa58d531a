//! `stellara-sim timeline`: a recorded run as one picture that needs no other file.

use std::path::PathBuf;

use clap::Args;
use stellara_sim::record::Record;
use stellara_sim::timeline::{Format, draw, replay, window};

use crate::failure::Failure;

/// Options of `stellara-sim timeline`.
#[derive(Args)]
pub struct TimelineArgs {
    /// A run recorded by run, swarm or shrink
    file: PathBuf,
    /// Where the picture goes: a name that ends in .html, to zoom into, or in .svg
    #[arg(long, short)]
    output: PathBuf,
    /// Begin this long after the cluster was ready, as 3s or 4500ms; around the first violation or fault by default
    #[arg(long, value_name = "SPAN", value_parser = moment_ms)]
    from: Option<u64>,
    /// End this long after the cluster was ready
    #[arg(long, value_name = "SPAN", value_parser = moment_ms)]
    to: Option<u64>,
}

/// A moment as people write it, in milliseconds.
pub fn moment_ms(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is no moment: expected a number and ms, s or m, as 3s");
    let digits = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(digits.ok_or_else(expected)?);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    let moment_ms = number.checked_mul(factor).ok_or_else(expected)?;
    if moment_ms <= 86_400_000 {
        return Ok(moment_ms);
    }
    Err(format!("{text:?} is out of bounds: expected at most 1440m"))
}

/// Draws it.
pub fn run(args: TimelineArgs) -> Result<(), Failure> {
    let format = Format::of(&args.output)?;
    let record = Record::read(&args.file)?;
    let window = window(&record, args.from, args.to)?;
    let picture = replay(&record, window)?;
    let text = draw(&record, &picture, format);
    std::fs::write(&args.output, &text).map_err(|error| Failure::File {
        path: args.output.clone(),
        error,
    })?;
    eprintln!(
        "{}: {} messages, {} kB",
        args.output.display(),
        picture.messages.len(),
        text.len().div_ceil(1_000)
    );
    Ok(())
}
