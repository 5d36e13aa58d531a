//! `stellara bench`: closed loops against a live cluster, for people and for comparisons.

mod load;
mod read;
mod record;
mod submit;

use std::time::Duration;

use clap::{Args, Subcommand};
use stellara_client::{Client, ClientError};

use crate::args::{Global, duration};
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure submissions: how many a second, and how long each takes
    Submit(submit::Submit),
    /// Measure reads of single payments
    Read(read::Read),
}

/// What every measurement takes.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Operations outstanding at any time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// How long to measure, in seconds
    #[arg(long, value_name = "TIME", default_value = "10", value_parser = duration)]
    pub seconds: Duration,
    /// How long to run before measuring, in seconds
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub warmup: Option<Duration>,
    /// Bytes of the reference text that each payment carries
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(0..=1_024))]
    pub bytes: u32,
    /// Connections to the node [default: 16, or as many as clients when they are fewer]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub connections: Option<u32>,
    /// Threads that make the load
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
}

impl BenchCommand {
    pub const fn workers(&self) -> usize {
        match self {
            Self::Submit(command) => command.bench.workers as usize,
            Self::Read(command) => command.bench.workers as usize,
        }
    }
}

pub async fn run(global: &Global, command: BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Submit(command) => command.run(global).await,
        BenchCommand::Read(command) => command.run(global).await,
    }
}

impl BenchArgs {
    pub fn connections(&self) -> u32 {
        self.connections.unwrap_or(16).min(self.clients)
    }

    /// A client whose cluster has answered: a run against nothing would measure nothing.
    pub async fn client(&self, global: &Global) -> Result<Client, Failure> {
        let client = global
            .builder()
            .connections_per_endpoint(self.connections() as usize)
            .build()?;
        match client.cluster_status().await {
            Ok(_) => Ok(client),
            // A server without the status service still takes payments.
            Err(ClientError::Unexpected { code, .. }) if code == "Unimplemented" => Ok(client),
            Err(error) => Err(error.into()),
        }
    }
}
