//! `stellara batching`: how batches form, bid and retry.

mod policy;

use clap::Subcommand;

use crate::args::Global;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum BatchingCommand {
    /// See and replace the policy
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
}

pub async fn run(global: &Global, command: BatchingCommand) -> Result<(), Failure> {
    match command {
        BatchingCommand::Policy(command) => policy::run(global, command).await,
    }
}
