//! What a scenario must keep to be run: bounds on its sizes, and nodes that exist.

use crate::plan::target::Target;

use super::{Scenario, Span};

/// What is wrong with a scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A number outside its bounds.
    #[error("{field} is {value}, expected {least} to {most}")]
    OutOfBounds {
        /// Which field.
        field: String,
        /// Its value.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The two ends of a span are turned round.
    #[error("{field} is [{from}, {to}], expected the smaller first")]
    TurnedRound {
        /// Which field.
        field: String,
        /// The first.
        from: u64,
        /// The second.
        to: u64,
    },
    /// A fault without a time, or with two.
    #[error("fault {nth} needs either at_ms or every_ms")]
    When {
        /// Which, from 1.
        nth: usize,
    },
    /// A node or a region that the topology does not have.
    #[error("fault {nth} names {target}, which is not of the topology")]
    NoSuchNode {
        /// Which, from 1.
        nth: usize,
        /// What it names.
        target: Target,
    },
    /// A timer that Raft cannot run with.
    #[error(
        "topology.timers: expected heartbeat_ms < election_timeout_min_ms < election_timeout_max_ms, got {heartbeat_ms}, {min_ms}, {max_ms}"
    )]
    Timers {
        /// The heartbeat.
        heartbeat_ms: u64,
        /// The least election timeout.
        min_ms: u64,
        /// The most.
        max_ms: u64,
    },
    /// Nobody knows how far two regions are.
    #[error(
        "topology.network.round_trips has nothing between {a} and {b}, and no measured figure is known"
    )]
    Distance {
        /// One.
        a: String,
        /// The other.
        b: String,
    },
}

fn within(field: &str, value: u64, least: u64, most: u64) -> Result<(), Flaw> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Flaw::OutOfBounds {
        field: field.to_owned(),
        value,
        least,
        most,
    })
}

fn span(field: &str, span: Option<Span>) -> Result<(), Flaw> {
    let Some([from, to]) = span.map(Span::bounds) else {
        return Ok(());
    };
    if from > to {
        return Err(Flaw::TurnedRound {
            field: field.to_owned(),
            from,
            to,
        });
    }
    within(field, to, 0, 86_400_000)
}

pub(super) fn check(scenario: &Scenario) -> Result<(), Flaw> {
    within("for_ms", scenario.for_ms, 100, 86_400_000)?;
    within("settle_ms", scenario.settle_ms, 1_000, 86_400_000)?;
    topology(scenario)?;
    workload(scenario)?;
    for (nth, hazard) in (1..).zip(&scenario.hazards) {
        if hazard.at_ms.is_some() == hazard.every_ms.is_some() {
            return Err(Flaw::When { nth });
        }
        let named = |field: &str| format!("fault {nth}: {field}");
        span(&named("at_ms"), hazard.at_ms)?;
        span(&named("every_ms"), hazard.every_ms)?;
        span(&named("for_ms"), hazard.for_ms)?;
        if let Some([from, _]) = hazard.every_ms.map(Span::bounds) {
            within(&named("every_ms"), from, 10, 86_400_000)?;
        }
        let chance = u64::from(hazard.chance_permille);
        within(&named("chance_permille"), chance, 0, 1_000)?;
        let mut named = hazard.fault.targets().into_iter();
        if let Some(target) = named.find(|target| !exists(scenario, target)) {
            return Err(Flaw::NoSuchNode { nth, target });
        }
    }
    for (nth, swizzle) in (1..).zip(&scenario.swizzles) {
        let named = |field: &str| format!("swizzle {nth}: {field}");
        span(&named("every_ms"), Some(swizzle.every_ms))?;
        span(&named("for_ms"), Some(swizzle.for_ms))?;
        let [from, _] = swizzle.every_ms.bounds();
        within(&named("every_ms"), from, 10, 86_400_000)?;
    }
    Ok(())
}

fn topology(scenario: &Scenario) -> Result<(), Flaw> {
    let topology = &scenario.topology;
    let nodes = u64::try_from(topology.regions.len()).unwrap_or(u64::MAX);
    within("topology.regions", nodes, 1, 9)?;
    let timers = topology.timers;
    let (heartbeat_ms, min_ms, max_ms) = (
        timers.heartbeat_ms,
        timers.election_timeout_min_ms,
        timers.election_timeout_max_ms,
    );
    if heartbeat_ms == 0 || heartbeat_ms >= min_ms || min_ms >= max_ms {
        return Err(Flaw::Timers {
            heartbeat_ms,
            min_ms,
            max_ms,
        });
    }
    within("topology.timers", max_ms, 10, 60_000)?;
    within("topology.channels", u64::from(topology.channels), 1, 100)?;
    within(
        "topology.destinations",
        u64::from(topology.destinations),
        1,
        200,
    )?;
    within(
        "topology.snapshot_entries",
        topology.snapshot_entries,
        4,
        1_000_000,
    )?;
    let [least, most] = topology.disk.sync_us;
    span("topology.disk.sync_us", Some(Span::Between([least, most])))?;
    span(
        "topology.ledger.way_ms",
        Some(Span::Between(topology.ledger.way_ms)),
    )?;
    within(
        "topology.network.loss_ppm",
        u64::from(topology.network.loss_ppm),
        0,
        500_000,
    )?;
    within(
        "topology.network.bytes_per_s",
        topology.network.bytes_per_s,
        10_000,
        100_000_000_000,
    )
}

fn workload(scenario: &Scenario) -> Result<(), Flaw> {
    let workload = &scenario.workload;
    within("workload.clients", u64::from(workload.clients), 1, 64)?;
    for (field, value, most) in [
        ("submits_per_s", workload.submits_per_s, 10_000),
        ("reads_per_s", workload.reads_per_s, 10_000),
        ("stale_reads_per_s", workload.stale_reads_per_s, 10_000),
        ("again_permille", workload.again_permille, 1_000),
        ("conflict_permille", workload.conflict_permille, 1_000),
        ("cancel_permille", workload.cancel_permille, 1_000),
        ("bad_permille", workload.bad_permille, 1_000),
        ("sdk_permille", workload.sdk_permille, 1_000),
    ] {
        within(&format!("workload.{field}"), u64::from(value), 0, most)?;
    }
    Ok(())
}

fn exists(scenario: &Scenario, target: &Target) -> bool {
    let regions = &scenario.topology.regions;
    let nodes = u64::try_from(regions.len()).unwrap_or(u64::MAX);
    match target {
        Target::Leader | Target::OldLeader | Target::Any => true,
        Target::Follower(nth) => u64::from(*nth) < nodes,
        Target::Node(node_id) => *node_id <= nodes,
        Target::Region(region) => regions.contains(region),
    }
}
