//! `stellara cluster`: who leads, who follows, how far everyone is.

mod members;
mod status;

use clap::Subcommand;

use crate::args::Global;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the cluster as the answering node sees it
    Status,
    /// List the members and their addresses
    Members,
}

pub async fn run(global: &Global, command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Status => status::run(global).await,
        ClusterCommand::Members => members::run(global).await,
    }
}
