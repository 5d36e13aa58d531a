//! `cargo xtask bench`: the optimised product on three regions of this machine, measured by its own client.
//!
//! Each row has a cluster of its own, begun empty. The baseline is the disk: how often it can make four
//! kilobytes durable, one write after the other, measured before every row. The method: `docs/benchmarks.md`.

use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::cluster::binaries::Binaries;
use crate::cluster::cli::Cli;
use crate::cluster::fleet::Fleet;
use crate::cluster::layout::{self, Layout, REGIONS};
use crate::cluster::{ClusterError, ledger, nodes, settings};
use crate::{setup, shell};

/// How long the disk is measured.
const PROBE_MS: u64 = 1_000;
/// What one write of the baseline makes durable.
const PROBE_BYTES: usize = 4_096;
/// A ledger that does not close while a row is measured: submissions alone are.
const LEDGER_AT_REST_MS: i64 = 3_600_000;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Mode::ALL)]
    modes: Vec<Mode>,
    /// Operations outstanding, a row each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256, 1_000])]
    clients: Vec<u32>,
    /// Seconds of each row
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Bytes of text that each payment carries
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(0..=1_024))]
    bytes: u32,
    /// Payments in a call of mode batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: u32,
    /// Settle meanwhile, with a ledger every second
    #[arg(long)]
    settle: bool,
    /// Print a JSON object a row instead of a table
    #[arg(long)]
    json: bool,
    /// Folder for data, certificates and logs; new or empty [default: bench/ in the build cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// Submissions, one a call
    Unary,
    /// Submissions on one bidirectional call a connection
    Stream,
    /// Submissions, many a call
    Batch,
    /// Linearizable reads of one payment a call
    Read,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Unary, Self::Stream, Self::Batch, Self::Read];

    fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Stream => "stream",
            Self::Batch => "batch",
            Self::Read => "read",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Measures every row and prints it as soon as it is there.
///
/// # Errors
/// When something cannot be built or started, or a row fails.
pub fn run(args: &Args) -> Result<(), ClusterError> {
    setup::ensure().map_err(ClusterError::Setup)?;
    let binaries = Binaries::build(true)?;
    let layout = Layout::create(args.dir.as_deref(), "bench")?;
    if !args.json {
        println!(
            "| mode | outstanding | ops/s | p50 ms | p99 ms | errors | MiB/node | syncs/s of the disk | ops/sync |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
    }
    for mode in &args.modes {
        for clients in &args.clients {
            if *mode == Mode::Batch && *clients < args.batch {
                continue;
            }
            let row = Row::measure(args, &binaries, &layout, (*mode, *clients))?;
            row.print(args.json);
        }
    }
    Ok(())
}

struct Row {
    mode: Mode,
    clients: u32,
    /// What `stellara bench` answered.
    answer: Value,
    /// Most memory of the largest node.
    memory_mib: u64,
    syncs_per_s: f64,
}

impl Row {
    fn measure(
        args: &Args,
        binaries: &Binaries,
        layout: &Layout,
        (mode, clients): (Mode, u32),
    ) -> Result<Self, ClusterError> {
        let syncs_per_s = syncs_per_s(&layout.file("probe"))?;
        clear(layout)?;
        let mut fleet = Fleet::new()?;
        let accounts = nodes::create_keyring(binaries, layout)?;
        let close_ms = if args.settle {
            settings::LEDGER_MS
        } else {
            LEDGER_AT_REST_MS
        };
        ledger::start(
            &mut fleet,
            binaries,
            layout,
            &accounts.ledger_setup(),
            close_ms,
        )?;
        nodes::create_certificates(binaries, layout)?;
        nodes::start_all(&mut fleet, binaries, layout)?;
        let cli = Cli::new(binaries);
        let mut command = cli.command(&layout::endpoints(), "10s");
        command.arg("bench");
        match mode {
            Mode::Read => {
                command.arg("read");
            }
            Mode::Unary | Mode::Stream | Mode::Batch => {
                command.args(["submit", "--mode", mode.name()]);
            }
        }
        if mode == Mode::Batch {
            command.args(["--batch", &args.batch.to_string()]);
        }
        command.args(["--clients", &clients.to_string()]);
        command.args(["--seconds", &args.seconds.to_string(), "--warmup", "2"]);
        command.args(["--bytes", &args.bytes.to_string()]);
        let text = shell::output(&mut command)?;
        let answer = serde_json::from_str(&text).map_err(|error| ClusterError::Answer {
            from: shell::line(&command),
            why: error.to_string(),
        })?;
        Ok(Self {
            mode,
            clients,
            answer,
            memory_mib: memory_mib(&fleet),
            syncs_per_s,
        })
    }

    fn print(&self, is_json: bool) {
        let number = |key: &str| self.answer[key].as_f64().unwrap_or_default();
        let ops_per_s = number("ops_per_s");
        let ops_per_sync = ops_per_s / self.syncs_per_s.max(1.0);
        if is_json {
            let row = json!({
                "mode": self.mode.name(), "outstanding": self.clients, "ops_per_s": ops_per_s,
                "p50_ms": number("p50_ms"), "p99_ms": number("p99_ms"), "errors": number("errors"),
                "memory_mib": self.memory_mib, "syncs_per_s": self.syncs_per_s, "ops_per_sync": ops_per_sync,
            });
            println!("{row}");
            return;
        }
        println!(
            "| {} | {} | {ops_per_s:.0} | {:.2} | {:.2} | {:.0} | {} | {:.0} | {ops_per_sync:.1} |",
            self.mode,
            self.clients,
            number("p50_ms"),
            number("p99_ms"),
            number("errors"),
            self.memory_mib,
            self.syncs_per_s,
        );
    }
}

/// Removes what an earlier row left; logs stay.
fn clear(layout: &Layout) -> Result<(), ClusterError> {
    let entries = fs::read_dir(layout.dir());
    let entries = entries.map_err(|error| ClusterError::File(layout.dir().to_owned(), error))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let removed = match (path.is_dir(), path.ends_with("logs")) {
            (_, true) => Ok(()),
            (true, false) => fs::remove_dir_all(&path),
            (false, false) => fs::remove_file(&path),
        };
        removed.map_err(|error| ClusterError::File(path, error))?;
    }
    Ok(())
}

fn memory_mib(fleet: &Fleet) -> u64 {
    let most = |name: String| {
        let pid = fleet.pid(&name)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let all = REGIONS.iter().map(|region| most(region.process()));
    all.flatten().max().unwrap_or_default() / 1_024
}

/// How many times a second a growing file takes four kilobytes and a sync.
fn syncs_per_s(path: &Path) -> Result<f64, ClusterError> {
    let told = |error| ClusterError::File(path.to_owned(), error);
    let mut file = File::create(path).map_err(told)?;
    let bytes = [0x5a; PROBE_BYTES];
    let started = clock::now();
    let mut syncs = 0.0;
    while started.elapsed() < Duration::from_millis(PROBE_MS) {
        file.write_all(&bytes).map_err(told)?;
        file.sync_data().map_err(told)?;
        syncs += 1.0;
    }
    Ok(syncs / started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::syncs_per_s;

    #[test]
    fn the_disk_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        assert!(syncs_per_s(&dir.path().join("probe")).unwrap() >= 1.0);
    }
}
