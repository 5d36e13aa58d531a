//! `stellara fee`: what the network asks, what payments would cost, what was paid and saved.

mod current;
mod history;
mod quote;
mod savings;

use clap::Subcommand;

use crate::args::Global;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum FeeCommand {
    /// Show the network's fees and what each priority bids now
    Current,
    /// Ask what payments would cost, and when they would settle
    Quote(quote::Quote),
    /// List samples of the network's fees, the newest first
    History(history::History),
    /// Show what was paid, saved and charged, and how long payments took
    Savings(savings::Savings),
}

pub async fn run(global: &Global, command: FeeCommand) -> Result<(), Failure> {
    match command {
        FeeCommand::Current => current::run(global).await,
        FeeCommand::Quote(command) => command.run(global).await,
        FeeCommand::History(command) => command.run(global).await,
        FeeCommand::Savings(command) => command.run(global).await,
    }
}
