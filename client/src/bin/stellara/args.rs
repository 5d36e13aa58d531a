//! The arguments that every command shares. The only place that reads the environment.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use stellara_client::api::{Consistency, Priority};
use stellara_client::{Client, ClientBuilder};

use crate::batch::BatchCommand;
use crate::batching::BatchingCommand;
use crate::bench::BenchCommand;
use crate::cluster::ClusterCommand;
use crate::deadletter::DeadletterCommand;
use crate::failure::Failure;
use crate::fee::FeeCommand;
use crate::payment::PaymentCommand;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, \
    3 the cluster cannot take it now (nothing was accepted), 4 the outcome is not known";

/// Takes payments to a Stellara cluster and follows them.
#[derive(Debug, Parser)]
#[command(name = "stellara", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// A node to ask, repeatable; the others are discovered
    #[arg(
        long = "endpoint",
        value_name = "URL",
        global = true,
        env = "STELLARA_ENDPOINTS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7420"
    )]
    pub endpoints: Vec<String>,
    /// The most that one call takes, all its attempts together, as 10s or 500ms
    #[arg(long, value_name = "TIME", global = true, default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// The API key
    #[arg(
        long,
        value_name = "KEY",
        global = true,
        env = "STELLARA_API_KEY",
        hide_env_values = true
    )]
    pub api_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs: the messages of the API
    Json,
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Freshness {
    /// Sees everything acknowledged before it was asked
    Linearizable,
    /// What the node has
    Stale,
}

impl From<Freshness> for Consistency {
    fn from(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Linearizable => Self::Linearizable,
            Freshness::Stale => Self::Stale,
        }
    }
}

/// How urgent a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PriorityArg {
    /// May wait for a cheap ledger
    Low,
    /// Leaves with the next batch
    Medium,
    /// Leaves at once
    High,
    /// Leaves at once, before all others
    Critical,
}

impl From<PriorityArg> for Priority {
    fn from(priority: PriorityArg) -> Self {
        match priority {
            PriorityArg::Low => Self::Low,
            PriorityArg::Medium => Self::Medium,
            PriorityArg::High => Self::High,
            PriorityArg::Critical => Self::Critical,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Submit payments and follow them
    #[command(subcommand)]
    Payment(PaymentCommand),
    /// See the batches that payments settle in
    #[command(subcommand)]
    Batch(BatchCommand),
    /// See and change how batches form, bid and retry
    #[command(subcommand)]
    Batching(BatchingCommand),
    /// See payments that cannot be paid, and retry them
    #[command(subcommand)]
    Deadletter(DeadletterCommand),
    /// See the network's fees, ask for quotes, see what was saved
    #[command(subcommand)]
    Fee(FeeCommand),
    /// See the cluster
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Measure the cluster
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Global {
    pub fn builder(&self) -> ClientBuilder {
        let builder = Client::builder()
            .endpoints(self.endpoints.iter().cloned())
            .attempt_timeout(self.timeout.min(Duration::from_secs(2)))
            .deadline(self.timeout);
        match &self.api_key {
            Some(key) => builder.api_key(key),
            None => builder,
        }
    }

    pub fn client(&self) -> Result<Client, Failure> {
        Ok(self.builder().build()?)
    }
}

/// `10s`, `500ms`, `2m`, or seconds as a plain number.
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a time above zero, as 10s, 500ms or 2m".to_owned();
    let (number, unit_s) = if let Some(number) = text.strip_suffix("ms") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60.0)
    } else {
        (text.strip_suffix('s').unwrap_or(text), 1.0)
    };
    let seconds = number.parse::<f64>().map_err(|_| expected.clone())? * unit_s;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= Duration::from_secs(86_400) => Ok(time),
        Ok(_) | Err(_) => Err(expected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let check = |text: &str| duration(text).ok().map(|time| time.as_millis());
        assert_eq!(check("10s"), Some(10_000));
        assert_eq!(check("500ms"), Some(500));
        assert_eq!(check("1.5"), Some(1_500));
        assert_eq!(check("2m"), Some(120_000));
        for wrong in ["0", "-1s", "ten", "", "s", "inf", "NaN", "100000s"] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
    }
}
