//! `stellara-sim`: the simulator's command line. Each subcommand is a file beside this one.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod advise;
mod envelopes;
mod failure;
mod ledger;
mod list;
mod output;
mod replay;
mod run;
mod shrink;
mod swarm;
mod timeline;

use failure::Failure;

// A simulated world is many small rows and messages: a sixth of its time would go to the system's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs the real node in a world that can be broken: one seed is one history.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the scenarios
    List(list::ListArgs),
    /// Run one seed of a scenario
    Run(run::RunArgs),
    /// Run many seeds of one scenario or of all
    Swarm(swarm::SwarmArgs),
    /// Run a recorded run again, to its end or to a moment
    Replay(replay::ReplayArgs),
    /// Make a failing run small
    Shrink(shrink::ShrinkArgs),
    /// Draw a recorded run: who led, what was sent and lost, what clients waited for
    Timeline(timeline::TimelineArgs),
    /// Tell what a choice of regions costs and survives, and which timers it needs
    Advise(advise::AdviseArgs),
    /// Print signed envelopes made by the code that ships, for anyone to check
    Envelopes(envelopes::EnvelopesArgs),
    /// Serve a simulated Stellar ledger that speaks Horizon's API
    Ledger(ledger::LedgerArgs),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

fn completions(shell: clap_complete::Shell) {
    let mut command = <Args as clap::CommandFactory>::command();
    clap_complete::generate(shell, &mut command, "stellara-sim", &mut std::io::stdout());
}

fn main() -> ExitCode {
    let ended = match Args::parse().command {
        Command::List(args) => list::run(args),
        Command::Run(args) => run::run(args),
        Command::Swarm(args) => swarm::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Shrink(args) => shrink::run(args),
        Command::Timeline(args) => timeline::run(args),
        Command::Advise(args) => advise::run(args),
        Command::Envelopes(args) => envelopes::run(args),
        Command::Ledger(args) => ledger::run(args).map_err(Failure::from),
        Command::Completions { shell } => {
            completions(shell);
            Ok(())
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
