//! `stellara-sim`: the simulator's command line. Each subcommand is a file beside this one.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod ledger;

// A simulated world is many small rows and messages: a sixth of its time would go to the system's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Simulates what Stellara runs on.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a simulated Stellar ledger that speaks Horizon's API
    Ledger(ledger::LedgerArgs),
}

fn main() -> ExitCode {
    let ended = match Args::parse().command {
        Command::Ledger(args) => ledger::run(args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
