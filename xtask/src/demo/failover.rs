//! Submits the sample and kills the leader midway, with payments on the way to it and batches on
//! the way to the ledger. The gap is what a client sees: from the kill to the first write that
//! was begun after it and acknowledged.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::sample::{self, Payment, Sample};
use super::tell;
use crate::clock::{self, millis};
use crate::cluster::binaries::Binaries;
use crate::cluster::cli::{self, Cli};
use crate::cluster::fleet::{Fleet, Job};
use crate::cluster::layout::{self, Layout, REGIONS, Region};
use crate::cluster::{ClusterError, nodes};

/// Files that the sample is submitted in, one after the other.
const PARTS: usize = 10;
/// The leader dies while this part is on its way, counted from 0.
const PART_OF_THE_KILL: usize = 5;
/// How often a part is submitted again after it was cut off.
const TRIES_MAX: usize = 6;
/// Longest time of one part.
const PART_MS_MAX: u64 = 60_000;
/// Longest time without a leader.
const GAP_MS_MAX: u64 = 60_000;

/// What the failover showed.
pub struct Failover {
    /// The node that led and was killed.
    pub killed: u64,
    /// From the kill to the next acknowledged write.
    pub gap_ms: u64,
    /// Payments that a client was told are accepted.
    pub acknowledged: u64,
}

/// Submits everything; on the way kills the leader, measures the gap, starts the node again.
///
/// # Errors
/// When a payment is not acknowledged after all tries, or no new leader takes over.
pub fn submit_and_kill(
    fleet: &mut Fleet,
    binaries: &Binaries,
    layout: &Layout,
    cli: &Cli<'_>,
    sample: &Sample,
) -> Result<Failover, ClusterError> {
    let part_len = sample.payments.len().div_ceil(PARTS);
    let mut acknowledged = 0;
    let mut seen = None;
    for (number, payments) in sample.payments.chunks(part_len).enumerate() {
        let part = Part::write(layout, number, payments)?;
        let mut job = part.submit(layout, cli)?;
        if number == PART_OF_THE_KILL {
            let before = acknowledged;
            fleet.until("a part of the sample is on its way", PART_MS_MAX, || {
                let status = cli.status(&layout::endpoints()).ok();
                let arrived = status.is_some_and(|status| status.totals.submitted > before);
                (arrived || job.ended().is_some()).then_some(())
            })?;
            // The first payment was acknowledged long ago: asked again it is no new payment,
            // and yet it passes through the log as any other.
            seen = Some(kill_leader(fleet, cli, &sample.payments[0])?);
        }
        acknowledged += part.finish(fleet, layout, cli, job)?;
    }
    let (region, gap_ms) = seen.ok_or_else(|| ClusterError::Answer {
        from: "the sample".to_owned(),
        why: format!(
            "{} payments are too few to kill a leader midway",
            sample.payments.len()
        ),
    })?;
    nodes::start(fleet, binaries, layout, region)?;
    nodes::await_ready(fleet, region)?;
    tell(&format!("{} is back", region.name));
    Ok(Failover {
        killed: region.node_id,
        gap_ms,
        acknowledged,
    })
}

/// One file of payments.
struct Part {
    name: String,
    file: PathBuf,
    out: PathBuf,
}

impl Part {
    fn write(layout: &Layout, number: usize, payments: &[Payment]) -> Result<Self, ClusterError> {
        let name = format!("sample-{number:02}");
        let file = layout.write(&format!("{name}.csv"), &sample::csv(payments))?;
        let out = layout.file(&format!("{name}.json"));
        Ok(Self { name, file, out })
    }

    fn submit(&self, layout: &Layout, cli: &Cli<'_>) -> Result<Job, ClusterError> {
        // What an earlier try printed is not this one's answer.
        drop(fs::remove_file(&self.out));
        let mut command = cli.submit_file(&layout::endpoints(), &self.file);
        Fleet::start_job(&mut command, &self.out, &layout.log(&self.name))
    }

    /// Waits until every payment of the part is acknowledged, and answers how many. A cut-off
    /// part is submitted again: its keys keep it from being paid twice.
    fn finish(
        &self,
        fleet: &mut Fleet,
        layout: &Layout,
        cli: &Cli<'_>,
        mut job: Job,
    ) -> Result<u64, ClusterError> {
        for _ in 0..TRIES_MAX {
            let what = format!("{} is submitted", self.name);
            let status = fleet.until(&what, PART_MS_MAX, || job.ended())?;
            if status.success() {
                return self.acknowledged();
            }
            tell(&format!("{} was cut off ({status}); again", self.name));
            job = self.submit(layout, cli)?;
        }
        Err(ClusterError::Answer {
            from: format!("stellara payment submit --file {}", self.file.display()),
            why: format!(
                "failed {TRIES_MAX} times; see {}",
                layout.log(&self.name).display()
            ),
        })
    }

    fn acknowledged(&self) -> Result<u64, ClusterError> {
        let told = |why: String| ClusterError::Answer {
            from: self.out.display().to_string(),
            why,
        };
        let text = fs::read_to_string(&self.out)
            .map_err(|error| ClusterError::File(self.out.clone(), error))?;
        let json: Value = serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
        let count = |key| cli::number(&json, key).map_err(told);
        Ok(count("accepted")? + count("repeated")?)
    }
}

/// Kills whoever leads now; answers where, and the gap.
fn kill_leader(
    fleet: &mut Fleet,
    cli: &Cli<'_>,
    probe: &Payment,
) -> Result<(&'static Region, u64), ClusterError> {
    let leader = fleet.until("a leader is known", GAP_MS_MAX, || {
        let id = cli.status(&layout::endpoints()).ok()?.leader_id;
        REGIONS.iter().find(|region| region.node_id == id)
    })?;
    let killed_at = clock::now();
    fleet.kill(&leader.process())?;
    let survivors = REGIONS
        .iter()
        .filter(|region| region.node_id != leader.node_id);
    let survivors: Vec<String> = survivors.map(Region::public_url).collect();
    let gap_ms = measure_gap(cli, &survivors, probe, killed_at).ok_or(ClusterError::Late {
        what: "a survivor accepts a write".to_owned(),
        limit_ms: GAP_MS_MAX,
    })?;
    Ok((leader, gap_ms))
}

/// Asks every survivor over and over; the first acknowledgement ends the gap.
fn measure_gap(
    cli: &Cli<'_>,
    survivors: &[String],
    probe: &Payment,
    killed_at: Instant,
) -> Option<u64> {
    let first_ms = AtomicU64::new(u64::MAX);
    thread::scope(|scope| {
        for endpoint in survivors {
            let first_ms = &first_ms;
            scope.spawn(move || {
                let is_open = || {
                    first_ms.load(Ordering::Relaxed) == u64::MAX
                        && killed_at.elapsed() < Duration::from_millis(GAP_MS_MAX)
                };
                while is_open() {
                    if probe.submit(cli, endpoint).is_ok() {
                        first_ms.fetch_min(millis(killed_at.elapsed()), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Some(first_ms.into_inner()).filter(|gap_ms| *gap_ms != u64::MAX)
}
