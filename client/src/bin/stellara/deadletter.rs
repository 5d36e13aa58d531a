//! `stellara deadletter`: payments that cannot be paid, and what to do about them.

mod advice;
mod list;
mod retry;

use clap::Subcommand;

use crate::args::Global;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum DeadletterCommand {
    /// List the payments that failed, with the reason and what can be done
    List(list::List),
    /// Let payments that failed wait again, once the reason is gone
    Retry(retry::Retry),
}

pub async fn run(global: &Global, command: DeadletterCommand) -> Result<(), Failure> {
    match command {
        DeadletterCommand::List(command) => command.run(global).await,
        DeadletterCommand::Retry(command) => command.run(global).await,
    }
}
