//! Failovers measured: in each run one node leads, and its region is cut off while clients write.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::Advice;
use crate::plan::fault::Fault;
use crate::plan::target::Target;
use crate::plan::topology::Topology;
use crate::plan::{FaultAt, Plan};
use crate::run::{RunOptions, run};
use crate::runtime::RandomStream;
use crate::scenario::{Scenario, Workload};

/// Leadership is handed to the node in question then, and again for those that were not ready.
const HAND_OVER_MS: [u64; 2] = [300, 1_500];
/// Its region is lost between these.
const LOST_MS: [u64; 2] = [3_000, 4_000];
/// The run is over then.
const END_MS: u64 = 14_000;
const SUBMITS_PER_S: u32 = 40;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasureOptions {
    /// Runs for each leader.
    pub seeds: u64,
    /// Runs at once.
    pub jobs: NonZeroUsize,
}

/// What was found over all runs of one leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Runs in which it led and was lost.
    pub losses: u64,
    /// Those in which no write was acknowledged before the end.
    pub never: u64,
    /// Half were shorter, in milliseconds.
    pub p50_ms: Option<u64>,
    /// 99 of 100 were shorter.
    pub p99_ms: Option<u64>,
}

/// Measures the failovers of an advice; `each` is called after every run, from any thread.
///
/// # Panics
/// When `each` does.
pub fn measure(
    topology: &Topology,
    advice: &mut Advice,
    options: MeasureOptions,
    each: impl Fn() + Sync,
) {
    let possible: Vec<usize> = (0..advice.failovers.len())
        .filter(|at| advice.failovers[*at].predicted.is_some())
        .collect();
    if possible.is_empty() || options.seeds == 0 {
        return;
    }
    let seeds = usize::try_from(options.seeds).unwrap_or(usize::MAX);
    let total = possible.len().saturating_mul(seeds);
    let next = AtomicUsize::new(0);
    let found = Mutex::new(vec![Vec::new(); advice.failovers.len()]);
    let work = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= total {
                return;
            }
            let (leader, seed) = (possible[nth % possible.len()], nth / possible.len());
            let seed = u64::try_from(seed).unwrap_or(u64::MAX).saturating_add(1);
            let span = one(topology, leader, seed);
            each();
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found[leader].push(span);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.get() {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    for at in possible {
        advice.failovers[at].measured = Some(sum_up(&found[at]));
    }
}

/// How one run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// The node did not lead when it was lost.
    NotLeading,
    /// Writes were back after so many milliseconds.
    Ms(u64),
    /// They were not.
    Never,
}

fn one(topology: &Topology, leader: usize, seed: u64) -> Gap {
    let plan = plan(topology, leader, seed);
    let options = RunOptions {
        until_ms: Some(END_MS),
        ..RunOptions::default()
    };
    let ran = run(&plan, &options);
    match ran.outcome.failover_ms.first() {
        Some(span_ms) => Gap::Ms(*span_ms),
        None if ran.leaders_lost == 0 => Gap::NotLeading,
        None => Gap::Never,
    }
}

fn plan(topology: &Topology, leader: usize, seed: u64) -> Plan {
    let node = || Target::Node(super::node_id(leader));
    let mut faults: Vec<FaultAt> = HAND_OVER_MS
        .into_iter()
        .map(|at_ms| FaultAt {
            at_ms,
            for_ms: None,
            fault: Fault::Transfer { to: node() },
        })
        .collect();
    let [from, to] = LOST_MS;
    let at_ms = RandomStream::derive(&[seed, 0x006c_6f73_7421]).between(from, to);
    let own = &topology.regions[leader];
    let with_it = (0..topology.regions.len()).filter(|at| topology.regions[*at] == *own);
    let side = with_it.map(|at| Target::Node(super::node_id(at))).collect();
    // One that stands alone is isolated: that counts as a leader lost. The others of its region go with it.
    faults.push(FaultAt {
        at_ms,
        for_ms: None,
        fault: Fault::Partition { side },
    });
    faults.push(FaultAt {
        at_ms,
        for_ms: None,
        fault: Fault::Isolate { node: node() },
    });
    let scenario = Scenario {
        name: "advise".to_owned(),
        about: "The region of a leader is lost.".to_owned(),
        keeps: String::new(),
        seen_in: String::new(),
        for_ms: END_MS,
        settle_ms: 60_000,
        topology: topology.clone(),
        workload: Workload {
            clients: u8::try_from(topology.regions.len()).unwrap_or(u8::MAX),
            submits_per_s: SUBMITS_PER_S,
            ..Workload::none()
        },
        hazards: Vec::new(),
        swizzles: Vec::new(),
        operations: Vec::new(),
    };
    Plan {
        faults,
        ..scenario.plan(seed)
    }
}

fn sum_up(gaps: &[Gap]) -> Measured {
    let count = |wanted: fn(&Gap) -> bool| {
        let found = gaps.iter().filter(|gap| wanted(gap)).count();
        u64::try_from(found).unwrap_or(u64::MAX)
    };
    let mut spans: Vec<u64> = gaps
        .iter()
        .filter_map(|gap| match gap {
            Gap::Ms(span_ms) => Some(*span_ms),
            Gap::NotLeading | Gap::Never => None,
        })
        .collect();
    spans.sort_unstable();
    let at = |permille: usize| {
        let last = spans.len().checked_sub(1)?;
        spans.get((last * permille).div_ceil(1_000)).copied()
    };
    Measured {
        losses: count(|gap| *gap != Gap::NotLeading),
        never: count(|gap| *gap == Gap::Never),
        p50_ms: at(500),
        p99_ms: at(990),
    }
}
