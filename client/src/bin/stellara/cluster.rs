//! `stellara cluster`: who leads, who follows, how far everyone is, and who votes.

mod members;
mod status;
mod voter;

use clap::Subcommand;

use crate::args::Global;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the cluster as the answering node sees it
    Status,
    /// List the members and their addresses
    Members,
    /// Make a configured node a voter: it catches up first
    AddVoter {
        /// The node's number
        node_id: u64,
    },
    /// Take a node's vote, and take it out of the cluster
    RemoveVoter {
        /// The node's number
        node_id: u64,
    },
}

pub async fn run(global: &Global, command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Status => status::run(global).await,
        ClusterCommand::Members => members::run(global).await,
        ClusterCommand::AddVoter { node_id } => voter::add(global, node_id).await,
        ClusterCommand::RemoveVoter { node_id } => voter::remove(global, node_id).await,
    }
}
