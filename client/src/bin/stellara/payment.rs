//! `stellara payment`: submit, read, list, withdraw, watch.

mod cancel;
mod check;
mod file;
mod get;
mod lines;
mod list;
pub mod record;
mod rows;
mod submit;
mod watch;

use clap::Subcommand;

use crate::args::Global;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum PaymentCommand {
    /// Submit one payment, or all of a file
    Submit(Box<submit::Submit>),
    /// Show one payment and where it stands
    Get(get::Get),
    /// List payments in the order of acceptance
    List(list::List),
    /// Withdraw a payment that still waits in a queue
    Cancel(cancel::Cancel),
    /// Print every stage that payments and batches reach, until interrupted
    Watch(watch::Watch),
}

pub async fn run(global: &Global, command: PaymentCommand) -> Result<(), Failure> {
    match command {
        PaymentCommand::Submit(command) => command.run(global).await,
        PaymentCommand::Get(command) => command.run(global).await,
        PaymentCommand::List(command) => command.run(global).await,
        PaymentCommand::Cancel(command) => command.run(global).await,
        PaymentCommand::Watch(command) => command.run(global).await,
    }
}
