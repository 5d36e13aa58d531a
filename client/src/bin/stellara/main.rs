//! `stellara`: the command line of a Stellara cluster.
//!
//! Results go to stdout, errors to stderr in one line that says what and how to fix; the exit
//! code tells programs what kind of failure it was.

mod args;
mod batch;
mod batching;
mod bench;
mod cluster;
mod deadletter;
mod failure;
mod fee;
mod output;
mod payment;
mod time;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command, Global};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe has seen enough.
        Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            // With stderr gone there is nobody left to tell.
            let _unheard = writeln!(std::io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let workers = match &cli.command {
        Command::Bench(command) => command.workers(),
        Command::Payment(_)
        | Command::Batch(_)
        | Command::Batching(_)
        | Command::Deadletter(_)
        | Command::Fee(_)
        | Command::Cluster(_) => 1,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "stellara", &mut script);
            return Ok(std::io::stdout().write_all(&script)?);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("the runtime did not start: {error}")))?;
    runtime.block_on(dispatch(&cli.global, cli.command))
}

async fn dispatch(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Payment(command) => payment::run(global, command).await,
        Command::Batch(command) => batch::run(global, command).await,
        Command::Batching(command) => batching::run(global, command).await,
        Command::Deadletter(command) => deadletter::run(global, command).await,
        Command::Fee(command) => fee::run(global, command).await,
        Command::Cluster(command) => cluster::run(global, command).await,
        Command::Bench(command) => bench::run(global, command).await,
        Command::Completions { .. } => Ok(()),
    }
}
