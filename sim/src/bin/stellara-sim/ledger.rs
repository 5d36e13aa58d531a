//! `stellara-sim ledger`: serves the simulated ledger until a signal ends it. The journal file,
//! if asked for, holds every applied transaction before the process ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use stellara_ledger::http::{self, Clock, LedgerServer, ServeError};
use stellara_ledger::{Config, ConfigError, ForeignTraffic, Network, Setup, SetupError};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Journal entries written at once.
const JOURNAL_CHUNK_LEN: usize = 1_000;
/// Longest time between two looks at the journal, in ms.
const JOURNAL_POLL_MS_MAX: u64 = 500;

/// Options of `stellara-sim ledger`.
#[derive(Args)]
pub struct LedgerArgs {
    /// Address to listen on; the control routes have no password, so keep it on loopback
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Seed of every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Time between two ledgers, in ms
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    close_ms: u64,
    /// Network passphrase
    #[arg(long, default_value = stellara_ledger::TEST_PASSPHRASE)]
    passphrase: String,
    /// Accounts to create at the start: JSON, as POST /_stellara/accounts takes it
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// File to append every applied transaction to, as JSON lines
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Operations that others offer for each ledger
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    foreign_ops: u32,
    /// Traffic of others in full: JSON, as POST /_stellara/foreign takes it
    #[arg(long, value_name = "FILE", conflicts_with = "foreign_ops")]
    foreign: Option<PathBuf>,
}

/// Why the ledger could not be served.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file that cannot be read or written.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, io::Error),
    /// A file that is not the JSON expected.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Json(PathBuf, serde_json::Error),
    /// An account that cannot be created.
    #[error("accounts file: {0}")]
    Setup(#[from] SetupError),
    /// A parameter that cannot be used.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The server failed.
    #[error("{0}")]
    Serve(#[from] ServeError),
    /// The operating system refuses something basic.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Serves until SIGTERM or ctrl-c.
pub fn run(args: LedgerArgs) -> Result<(), LedgerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: LedgerArgs) -> Result<(), LedgerError> {
    let clock = http::system_clock();
    let network = build(&args, &clock)?;
    let journal = match &args.journal {
        Some(path) => Some(open(path).await?),
        None => None,
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| LedgerError::Listen(args.listen, error))?;
    let address = listener.local_addr()?;
    let stop = stop_signal()?;
    let server = LedgerServer::new(network, clock);
    let (ended, end) = oneshot::channel();
    let (alive, failed) = oneshot::channel();
    let poll_ms = args.close_ms.min(JOURNAL_POLL_MS_MAX);
    let writer = tokio::spawn(keep_up(server.clone(), journal, poll_ms, end, alive));
    println!("ledger listening on http://{address}");
    // A journal that cannot be written ends the server: evidence must not have holes.
    let stop = async {
        tokio::select! {
            () = stop => {}
            _ = failed => {}
        }
    };
    let served = http::serve(listener, http::router(server), stop).await;
    // A closed channel ends the writer as well, after its last look.
    drop(ended);
    writer.await.map_err(io::Error::other)??;
    Ok(served?)
}

fn build(args: &LedgerArgs, clock: &Clock) -> Result<Network, LedgerError> {
    let foreign = match &args.foreign {
        Some(path) => read_json(path)?,
        None => ForeignTraffic {
            ops_per_ledger: args.foreign_ops,
            ..ForeignTraffic::default()
        },
    };
    let mut network = Network::new(Config {
        passphrase: args.passphrase.clone(),
        seed: args.seed,
        start_ms: clock(),
        close_ms: args.close_ms,
        foreign,
        ..Config::default()
    })?;
    if let Some(path) = &args.accounts {
        let setup: Setup = read_json(path)?;
        network.set_up(&setup)?;
    }
    Ok(network)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, LedgerError> {
    let bytes = std::fs::read(path).map_err(|e| LedgerError::File(path.to_owned(), e))?;
    serde_json::from_slice(&bytes).map_err(|e| LedgerError::Json(path.to_owned(), e))
}

async fn open(path: &Path) -> Result<File, LedgerError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .await
        .map_err(|error| LedgerError::File(path.to_owned(), error))
}

/// Completes on SIGTERM or ctrl-c. The handlers are in place when this returns.
fn stop_signal() -> Result<impl Future<Output = ()>, io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Closes ledgers on time even when nobody asks, and appends what they applied to the file.
/// Dropping `_alive` tells the server that this task is gone.
async fn keep_up(
    server: Arc<LedgerServer>,
    mut journal: Option<File>,
    poll_ms: u64,
    mut end: oneshot::Receiver<()>,
    _alive: oneshot::Sender<()>,
) -> Result<(), io::Error> {
    let mut next = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(poll_ms));
    loop {
        let ending = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut end => true,
        };
        server.with(|_, _| ());
        if let Some(file) = &mut journal {
            next = append(&server, file, next).await?;
        }
        if ending {
            return Ok(());
        }
    }
}

async fn append(
    server: &LedgerServer,
    file: &mut File,
    mut next: usize,
) -> Result<usize, io::Error> {
    loop {
        let (lines, after) = server.journal_lines(next, JOURNAL_CHUNK_LEN);
        if after == next {
            file.flush().await?;
            return Ok(next);
        }
        file.write_all(lines.as_bytes()).await?;
        next = after;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use clap::{Args as _, FromArgMatches as _};
    use stellara_ledger::http::Clock;

    use super::{LedgerArgs, build};

    fn args(given: &[&str]) -> LedgerArgs {
        let command = LedgerArgs::augment_args(clap::Command::new("ledger").no_binary_name(true));
        let matches = command.try_get_matches_from(given).expect("valid options");
        LedgerArgs::from_arg_matches(&matches).expect("valid options")
    }

    fn built_from(accounts: &str) -> Result<usize, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(accounts.as_bytes()).expect("it is written");
        let path = file.path().to_str().expect("a plain path");
        let clock: Clock = Arc::new(|| 7_000);
        let network = build(&args(&["--accounts", path]), &clock).map_err(|e| e.to_string())?;
        assert_eq!(network.latest().closed_at_ms, 7_000);
        Ok(network.accounts().count())
    }

    #[test]
    fn the_default_address_is_loopback() {
        assert!(args(&[]).listen.ip().is_loopback());
    }

    #[test]
    fn accounts_come_from_a_file_or_the_error_names_the_field() {
        let id = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7";
        let one = format!(r#"{{"accounts":[{{"id":"{id}"}}]}}"#);
        assert_eq!(built_from(&one), Ok(1));
        let wrong = built_from(r#"{"accounts":[{"id":"G"}]}"#).expect_err("not an address");
        assert!(wrong.contains("accounts[0].id"), "{wrong}");
        let unknown = built_from(r#"{"accounts":[],"x":1}"#).expect_err("not a field");
        assert!(unknown.contains("unknown field `x`"), "{unknown}");
    }
}
