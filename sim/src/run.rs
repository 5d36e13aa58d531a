//! One run of a plan: the cluster starts, clients ask, faults come and go, everything must settle, and all is checked.
//!
//! A run is a function of its plan: the same plan gives the same trace hash and the same outcome, whoever looks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::invariants::{Checks, Ending, Violation};
use crate::plan::Plan;
use crate::runtime::{SimOptions, SimRuntime, SimTime, TraceText, now, sleep};
use crate::timeline::picture::Picture;
use crate::timeline::recorder::{self, Recording};
use crate::world::{World, WorldOptions};

mod callers;
mod failover;
mod settle;
mod troubles;

use callers::Callers;
use failover::Gaps;
use troubles::Troubles;

/// How long the cluster may take to be ready for its first payment.
const READY: Duration = Duration::from_secs(60);
/// How often troubles and supervision are looked after.
const STEP: Duration = Duration::from_millis(20);

/// What a run is asked to keep beside its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Which events are kept as text.
    pub text: TraceText,
    /// The run ends at this moment after the cluster is ready, whatever is still open.
    pub until_ms: Option<u64>,
    /// What is kept for a picture.
    pub record: Recording,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The scenario's name.
    pub scenario: String,
    /// Equal for equal histories, in hexadecimal.
    pub trace_hash: String,
    /// Virtual time of the whole run, in milliseconds.
    pub virtual_ms: u64,
    /// Real time of the whole run, in milliseconds.
    pub wall_ms: u64,
    /// Events of the run: polls, messages, syncs, faults.
    pub events: u64,
    /// What did not hold, the first of each kind.
    pub violations: Vec<Violation>,
    /// Payments acknowledged.
    pub acked: u64,
    /// Payments settled on the ledger.
    pub settled: u64,
    /// For each time that a leader was lost to a fault: how long until a client's next payment was acknowledged under
    /// another leader, in milliseconds.
    pub failover_ms: Vec<u64>,
    /// Leaders elected.
    pub elections: u64,
}

impl Outcome {
    /// Whether everything held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.violations.is_empty()
    }

    /// The same without what differs between machines.
    #[must_use]
    pub fn without_wall(&self) -> Self {
        Self {
            wall_ms: 0,
            ..self.clone()
        }
    }
}

/// A run, and what it was asked to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How it went.
    pub outcome: Outcome,
    /// The events kept as text.
    pub lines: Vec<String>,
    /// When the cluster was ready: the plan's moments count from here.
    pub ready_at: SimTime,
    /// How often a fault took a leader's leadership away, whether writes came back or not.
    pub leaders_lost: u64,
    /// What was kept for a picture, if it was asked for.
    pub picture: Option<Picture>,
}

struct Told {
    ready_at: SimTime,
    violations: Vec<Violation>,
    acked: u64,
    settled: u64,
    gaps: Gaps,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan, options: &RunOptions) -> Ran {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long the simulation itself takes is told in real time"
    )]
    let started = std::time::Instant::now();
    let limit_ms = 120_000 + plan.for_ms + 2 * plan.settle_ms;
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed: plan.seed,
        text: options.text,
        time_limit: Some(SimTime::from_ms(limit_ms)),
        ..SimOptions::default()
    });
    recorder::start(options.record, &plan.topology.regions);
    let driven = runtime.drive(scenario(plan, options));
    let report = runtime.report();
    let mut told = driven.unwrap_or_else(|error| Told::nothing(report.at, error.to_string()));
    if let Some(panic) = report.panics.first() {
        let detail = format!("{} tasks panicked, first: {panic:?}", report.panics_total);
        let known = |violation: &&Violation| violation.invariant == NO_PANIC;
        if told.violations.iter().find(known).is_none() {
            told.violations.push(violation(NO_PANIC, report.at, detail));
        }
    }
    if report.foreign_wakes > 0 {
        let detail = format!("{} wakes came from other threads", report.foreign_wakes);
        told.violations
            .push(violation(DETERMINISTIC, report.at, detail));
    }
    let outcome = Outcome {
        seed: plan.seed,
        scenario: plan.scenario.clone(),
        trace_hash: report.trace_hash.to_string(),
        virtual_ms: report.at.as_ms(),
        wall_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        events: report.events,
        violations: told.violations,
        acked: told.acked,
        settled: told.settled,
        failover_ms: told.gaps.failovers_ms(),
        elections: told.gaps.elections(),
    };
    Ran {
        picture: recorder::take(report.at, &outcome.violations),
        outcome,
        lines: runtime.take_lines(),
        ready_at: told.ready_at,
        leaders_lost: told.gaps.losses(),
    }
}

const NO_PANIC: &str = "no_panic";
const LIVENESS: &str = "liveness";
const NOBODY_STOPPED: &str = "nobody_stopped";
/// Told when two runs of one plan differ, or when another thread took part in one.
pub(crate) const DETERMINISTIC: &str = "deterministic";

/// A property of the run as a whole is broken.
pub(crate) fn violation(invariant: &'static str, at: SimTime, detail: String) -> Violation {
    Violation {
        invariant: invariant.into(),
        at_ns: at.as_ns(),
        node_id: None,
        detail,
    }
}

impl Told {
    /// A run that came to nothing: it was cut short, or never ready.
    fn nothing(at: SimTime, why: String) -> Self {
        Self {
            ready_at: at,
            violations: vec![violation(LIVENESS, at, why)],
            acked: 0,
            settled: 0,
            gaps: Gaps::default(),
        }
    }
}

async fn start(plan: &Plan) -> Result<World, String> {
    let options = WorldOptions::from_topology(plan.seed, &plan.topology);
    let options = options.map_err(|error| error.to_string())?;
    World::start(options)
        .await
        .map_err(|error| error.to_string())
}

async fn scenario(plan: &Plan, options: &RunOptions) -> Told {
    let mut world = match start(plan).await {
        Ok(world) => world,
        Err(why) => return Told::nothing(now(), why),
    };
    let checks = Checks::start(&world);
    if let Err(late) = world.until_ready(READY).await {
        let mut told = Told::nothing(now(), late.to_string());
        told.violations.extend(checks.violations());
        world.stop();
        return told;
    }
    let ready_at = now();
    recorder::ready(ready_at);
    let mut gaps = Gaps::default();
    let history = world.history().clone();
    let callers = Callers::start(&world, plan, ready_at);
    let mut troubles = Troubles::new(plan, ready_at);
    let end_ms = options
        .until_ms
        .map_or(plan.for_ms, |until| until.min(plan.for_ms));
    let end = ready_at + Duration::from_millis(end_ms);
    while now() < end {
        troubles.step(&mut world, &mut gaps).await;
        gaps.look(&world, &history);
        sleep(STEP.min(end - now())).await;
    }
    let whole = options.until_ms.is_none_or(|until| until >= plan.for_ms);
    let mut late = None;
    if whole {
        troubles.end(&mut world).await;
        let limit = Duration::from_millis(plan.settle_ms);
        late = settle::settle(&mut world, &callers, &mut troubles, limit).await;
    }
    let (acked, settled) = settle::counts(&world, &callers);
    let ending = match (whole, &late) {
        (true, None) => Ending::Settled,
        (true, Some(_)) | (false, _) => Ending::Midway,
    };
    if ending == Ending::Settled {
        // What was mended excuses nothing any more.
        for node_id in world.node_ids() {
            if !world.is_damaged(node_id) {
                world.explained().forget(node_id);
            }
        }
    }
    let mut violations = checks.finish(ending);
    if let Some((node_id, at)) = troubles.went_on() {
        let detail = format!("node {node_id} went on after a call of its disk failed");
        violations.push(violation("a_failed_disk_stops_its_node", at, detail));
    }
    violations.extend(late.map(|late| violation(LIVENESS, now(), late)));
    let seen = violations.iter().any(|one| one.invariant == NOBODY_STOPPED);
    if let Some(stopped) = troubles.unexplained().first().filter(|_| !seen) {
        let detail = format!("node {}: {}", stopped.node_id, stopped.why);
        violations.push(violation(NOBODY_STOPPED, stopped.at, detail));
    }
    recorder::close(&history);
    world.stop();
    Told {
        ready_at,
        violations,
        acked,
        settled,
        gaps,
    }
}
