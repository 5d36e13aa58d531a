//! `stellara-node run`: start everything in order, wait for a signal, stop in order.

use std::path::PathBuf;
use std::time::Duration;

use stellara_node::config::Config;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{CommandResult, start};

/// SIGTERM is answered within 10 s; this much of it is for callers and leadership.
const DRAIN_WITHIN: Duration = Duration::from_secs(6);

/// Arguments of `run`.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(long, default_value = "stellara.toml")]
    config: PathBuf,
    /// Log lines as text for people, or as JSON.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Which log lines, as `info` or `warn,stellara_node=debug`.
    #[arg(long, default_value = "info,openraft=warn")]
    log: String,
}

/// How log lines look.
#[derive(Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

fn start_logging(args: &Args) -> CommandResult {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| format!("--log {:?} is no filter: {error}", args.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match args.log_format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| error.to_string())
}

/// Runs the node.
pub fn run(args: &Args) -> CommandResult {
    let config = Config::load(&args.config).map_err(|error| error.to_string())?;
    start_logging(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let result = runtime.block_on(run_until_told(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run_until_told(config: Config) -> CommandResult {
    let mut term = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let running = start::start(config).await?;
    tokio::select! {
        biased;
        _ = term.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("interrupted: draining"),
        why = running.failed() => {
            tracing::error!(%why, "the node stopped itself");
            running.stop(Duration::ZERO).await;
            return Err(why);
        }
    }
    running.stop(DRAIN_WITHIN).await;
    Ok(())
}
