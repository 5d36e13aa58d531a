//! `stellara batch`: what payments settle in.

mod get;
mod list;

use clap::Subcommand;

use crate::args::Global;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum BatchCommand {
    /// Show one batch with its payments and attempts
    Get(get::Get),
    /// List batches in the order of forming
    List(list::List),
}

pub async fn run(global: &Global, command: BatchCommand) -> Result<(), Failure> {
    match command {
        BatchCommand::Get(command) => command.run(global).await,
        BatchCommand::List(command) => command.run(global).await,
    }
}
