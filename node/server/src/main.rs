//! `stellara-node`: the node over its real ports, and the commands that prepare one.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod certs;
mod check_config;
mod disk_room;
mod identity;
mod keyring;
mod run;
mod start;

/// Also takes RocksDB's allocations, which the C++ side makes by malloc.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One region's node of a Stellara cluster.
#[derive(Parser)]
#[command(name = "stellara-node", version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the node until SIGTERM or ctrl-c.
    Run(run::Args),
    /// Check a configuration and say what it comes to, without starting anything.
    CheckConfig(check_config::Args),
    /// Make a development authority and node certificates.
    Certs(certs::Args),
    /// Make and list keyrings of signing keys.
    #[command(subcommand)]
    Keyring(keyring::Command),
}

/// What a command ends with: words for stderr, one line.
type CommandResult = Result<(), String>;

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Run(args) => run::run(&args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Certs(args) => certs::run(&args),
        Command::Keyring(command) => keyring::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("stellara-node: {words}");
            ExitCode::FAILURE
        }
    }
}
