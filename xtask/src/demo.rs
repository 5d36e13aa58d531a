//! `cargo xtask demo`: a ledger and three regions on this machine, the sample payments, a killed
//! leader, and what became of every payment.
//!
//! The real binaries run as processes; nothing is taken on their word that the ledger's journal
//! can tell. Whatever way this ends, the processes are stopped.

mod failover;
mod sample;
mod verdict;

use std::path::PathBuf;

use crate::clock::{self, millis};
use crate::cluster::binaries::Binaries;
use crate::cluster::cli::Cli;
use crate::cluster::fleet::Fleet;
use crate::cluster::layout::{self, Layout};
use crate::cluster::{ClusterError, ledger, nodes, settings};
use crate::setup;
use sample::Sample;
use verdict::Summary;

/// Longest time until every payment is final, in ms.
const FINAL_MS_MAX: u64 = 300_000;

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
pub struct Args {
    /// End after the summary instead of staying up until Ctrl-C
    #[arg(long)]
    once: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Build with optimisation
    #[arg(long)]
    release: bool,
    /// Folder for data, certificates and logs; new or empty [default: demo/ in the build cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Seed of the sample
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Payments of the sample
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(50..=100_000))]
    payments: u32,
}

/// Runs the demo.
///
/// # Errors
/// When something cannot be built or started, takes too long, or a promise does not hold.
pub fn run(args: &Args) -> Result<(), ClusterError> {
    let mut fleet = Fleet::new()?;
    setup::ensure().map_err(ClusterError::Setup)?;
    let binaries = Binaries::build(args.release)?;
    let layout = Layout::create(args.dir.as_deref(), "demo")?;
    tell(&format!(
        "data, certificates and logs are in {}",
        layout.dir().display()
    ));
    let cli = Cli::new(&binaries);

    let started = clock::now();
    let accounts = nodes::create_keyring(&binaries, &layout)?;
    let sample = Sample::generate(args.seed, args.payments, accounts.treasuries());
    let setup = accounts.ledger_setup();
    ledger::start(&mut fleet, &binaries, &layout, &setup, settings::LEDGER_MS)?;
    nodes::create_certificates(&binaries, &layout)?;
    nodes::start_all(&mut fleet, &binaries, &layout)?;
    tell("three regions are ready; submitting");
    let failover = failover::submit_and_kill(&mut fleet, &binaries, &layout, &cli, &sample)?;
    tell(&format!(
        "node {} was killed; a write was accepted {} ms later",
        failover.killed, failover.gap_ms
    ));
    await_final(&mut fleet, &cli, args.payments)?;
    let mut summary = Summary::gather(&mut fleet, &cli, &sample, &accounts, &failover)?;
    summary.elapsed_ms = millis(started.elapsed());
    summary.print(args.json);
    summary.check()?;
    if args.once {
        return Ok(());
    }
    for region in &layout::REGIONS {
        tell(&format!("{}: {}", region.name, region.public_url()));
    }
    tell("staying up; end with Ctrl-C");
    fleet.stay_up()
}

fn await_final(fleet: &mut Fleet, cli: &Cli<'_>, payments: u32) -> Result<(), ClusterError> {
    let payments = u64::from(payments);
    fleet.until("every payment is final", FINAL_MS_MAX, || {
        let totals = cli.status(&layout::endpoints()).ok()?.totals;
        let last = totals.settled + totals.failed + totals.cancelled;
        (totals.submitted >= payments && last >= totals.submitted).then_some(())
    })
}

/// Says what goes on, beside the summary on stdout.
fn tell(text: &str) {
    eprintln!("demo: {text}");
}
