//! The workspace's tasks: `cargo xtask test`, `demo`, `bench`, `mutants`, `setup`, `new-command`.
//!
//! A file per task. Nothing of ours is imported, so that this compiles first and quickly;
//! it starts the real binaries as processes and speaks to them over their public interfaces.

mod bench;
mod clock;
mod cluster;
mod demo;
mod mutants;
mod new_command;
mod python;
mod setup;
mod shell;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that must hold before a change is taken
    Test(test::Args),
    /// Start a ledger and three regions here, pay, kill the leader, show what happened
    Demo(demo::Args),
    /// Measure submissions and reads on three regions here, beside what the disk can sync
    Bench(bench::Args),
    /// Put known bugs back, one at a time, and show the seed of the simulator that finds each
    Mutants(mutants::Args),
    /// Find out what the build needs, and install it when run as root
    Setup(setup::Args),
    /// Stub a new command of the replicated machine
    NewCommand(new_command::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Test(args) => test::run(&args).map_err(|error| error.to_string()),
        Task::Demo(args) => demo::run(&args).map_err(|error| error.to_string()),
        Task::Bench(args) => bench::run(&args).map_err(|error| error.to_string()),
        Task::Mutants(args) => mutants::run(&args).map_err(|error| error.to_string()),
        Task::Setup(args) => setup::run(&args).map_err(|error| error.to_string()),
        Task::NewCommand(args) => new_command::run(&args).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
