//! What a choice of regions costs and survives, told before anything is deployed: by formula from measured round trips, then
//! by losing each leader in the simulator.
//!
//! A prediction is no promise: the round trips are a year's figures between regions, the disks are the topology's.

use serde::Serialize;
use stellara_raft_store::types::NodeId;

use crate::plan::topology::{RaftTimers, Topology};
use crate::regions::{region_round_trip, regions};
use crate::scenario::{Scenario, ScenarioError};
use crate::world::NoPath;

mod distances;
mod failover;
mod measure;
mod rules;
#[cfg(test)]
mod tests;

use distances::Distances;
pub use failover::Failover;
pub use measure::{MeasureOptions, Measured, measure};
pub use rules::{Rule, recommended};

/// Voters at most, as in a scenario.
const NODES_MAX: usize = 9;

/// Why there is no advice.
#[derive(Debug, thiserror::Error)]
pub enum AdviseError {
    /// A name that is neither a scenario nor a region.
    #[error(
        "region {0:?} is not known: expected regions as us-east-1,eu-west-1,eu-central-1, a scenario of `stellara-sim list`, or a scenario's file; known regions are {known}",
        known = regions().join(", ")
    )]
    UnknownRegion(String),
    /// No node, or too many.
    #[error("{0} regions: expected 1 to {NODES_MAX}")]
    Count(usize),
    /// Nobody knows how far two regions are.
    #[error(transparent)]
    Path(#[from] NoPath),
    /// The scenario cannot be read.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// Timers to check in place of the topology's own, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerChoice {
    /// How often an idle leader beats.
    pub heartbeat_ms: Option<u64>,
    /// The least that a follower waits.
    pub election_timeout_min_ms: Option<u64>,
    /// The most.
    pub election_timeout_max_ms: Option<u64>,
}

/// Where the timers come from that are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Recommended for these regions.
    Recommended,
    /// The scenario's own, or the user's.
    Given,
}

/// The regions of a cluster, and all that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// As it was asked.
    pub name: String,
    /// The cluster, with the timers that are checked.
    pub topology: Topology,
    /// Where these come from.
    pub timers_from: Origin,
}

/// What a write and a read cost while a node leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leading {
    /// The node.
    pub node_id: NodeId,
    /// Its region.
    pub region: String,
    /// The farthest voter that it needs for a majority, by its region; its own when it needs no other.
    pub needs: String,
    /// From a command at the leader to its acknowledgement, half of the time, in microseconds.
    pub commit_p50_us: u64,
    /// The same, nine times of ten.
    pub commit_p90_us: u64,
    /// A linearizable read at the leader, half of the time, in microseconds.
    pub read_p50_us: u64,
    /// The same write and read, asked in the farthest region: the way to the leader and back comes on top.
    pub farthest_us: u64,
    /// That region.
    pub farthest: String,
}

/// Regions that are lost, and whether writes go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Which regions.
    pub regions: Vec<String>,
    /// Voters that are left.
    pub left: usize,
    /// What becomes of writes.
    pub writes: Writes,
}

/// What becomes of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writes {
    /// A majority is left.
    GoOn,
    /// None is: only stale reads are answered.
    Stop,
}

/// The round trip that the timers must respect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WidestQuorum {
    /// Nine of ten round trips are shorter, in microseconds.
    pub round_trip_p90_us: u64,
    /// The leader of that majority.
    pub leader: String,
    /// Its farthest voter.
    pub farthest: String,
}

/// Everything that is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// As it was asked.
    pub topology: String,
    /// The regions of the voters.
    pub regions: Vec<String>,
    /// How many of them must agree.
    pub majority: usize,
    /// What a write costs, by leader.
    pub leading: Vec<Leading>,
    /// The time without writes when a leader's region is lost.
    pub failovers: Vec<Failover>,
    /// Losses of one region and of two.
    pub losses: Vec<Loss>,
    /// The widest majority that can remain.
    pub widest: WidestQuorum,
    /// The timers for these regions.
    pub recommended: RaftTimers,
    /// The timers that are checked.
    pub timers: RaftTimers,
    /// Where these come from.
    pub timers_from: Origin,
    /// Each rule, with its numbers.
    pub rules: Vec<Rule>,
}

impl Advice {
    /// The rules that do not hold.
    pub fn broken(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| !rule.holds)
    }
}

/// Reads a topology: a scenario of the catalogue, a scenario's file, or regions with commas between them. Regions alone get the
/// recommended timers; a scenario keeps its own; `timers` take the place of either.
///
/// # Errors
/// Every [`AdviseError`].
pub fn question(text: &str, timers: TimerChoice) -> Result<Question, AdviseError> {
    let is_region = |name: &str| region_round_trip(name, name).is_some();
    let is_list = text.contains(',') || is_region(text);
    let (mut topology, mut timers_from) = match (is_list, Scenario::named(text)) {
        (true, _) => (Topology::default(), Origin::Recommended),
        (false, Ok(scenario)) => (scenario.topology, Origin::Given),
        (false, Err(ScenarioError::Unknown(name))) => return Err(AdviseError::UnknownRegion(name)),
        (false, Err(error)) => return Err(error.into()),
    };
    if is_list {
        topology.regions = text.split(',').map(|name| name.trim().to_owned()).collect();
        if let Some(unknown) = topology.regions.iter().find(|name| !is_region(name)) {
            return Err(AdviseError::UnknownRegion(unknown.clone()));
        }
    }
    if !(1..=NODES_MAX).contains(&topology.regions.len()) {
        return Err(AdviseError::Count(topology.regions.len()));
    }
    if timers_from == Origin::Recommended {
        let distances = Distances::of(&topology)?;
        topology.timers = recommended(distances.widest().round_trip_p90_us);
    }
    let own = &mut topology.timers;
    for (chosen, timer) in [
        (timers.heartbeat_ms, &mut own.heartbeat_ms),
        (
            timers.election_timeout_min_ms,
            &mut own.election_timeout_min_ms,
        ),
        (
            timers.election_timeout_max_ms,
            &mut own.election_timeout_max_ms,
        ),
    ] {
        if let Some(chosen) = chosen {
            *timer = chosen;
            timers_from = Origin::Given;
        }
    }
    Ok(Question {
        name: text.to_owned(),
        topology,
        timers_from,
    })
}

/// Answers by formula.
///
/// # Errors
/// `Path`.
pub fn advise(question: &Question) -> Result<Advice, AdviseError> {
    let topology = &question.topology;
    let distances = Distances::of(topology)?;
    let widest = distances.widest();
    Ok(Advice {
        topology: question.name.clone(),
        regions: topology.regions.clone(),
        majority: distances.majority(),
        leading: leading(topology, &distances),
        failovers: failover::predict(topology, &distances),
        losses: losses(&topology.regions, distances.majority()),
        recommended: recommended(widest.round_trip_p90_us),
        timers: topology.timers,
        timers_from: question.timers_from,
        rules: rules::check(topology.timers, widest.round_trip_p90_us),
        widest,
    })
}

/// A sync that half of all are shorter than, and one that nine of ten are, in microseconds.
fn sync_us(topology: &Topology) -> (u64, u64) {
    let [from_us, to_us] = topology.disk.sync_us;
    let span_us = to_us.saturating_sub(from_us);
    (from_us + span_us / 2, from_us + span_us * 9 / 10)
}

fn leading(topology: &Topology, distances: &Distances) -> Vec<Leading> {
    let (sync_p50_us, sync_p90_us) = sync_us(topology);
    let regions = &topology.regions;
    let all: Vec<usize> = (0..regions.len()).collect();
    let each = all.iter().map(|leader| {
        let needed = distances.needed(*leader, &all).unwrap_or(*leader);
        let quorum = distances.between(*leader, needed);
        let farthest = all.iter().copied();
        let farthest = farthest.max_by_key(|other| distances.between(*leader, *other).p50_us);
        let farthest = farthest.unwrap_or(*leader);
        let commit_p50_us = quorum.p50_us + sync_p50_us;
        Leading {
            node_id: node_id(*leader),
            region: regions[*leader].clone(),
            needs: regions[needed].clone(),
            commit_p50_us,
            commit_p90_us: quorum.p90_us + sync_p90_us,
            read_p50_us: quorum.p50_us,
            farthest_us: commit_p50_us + distances.between(*leader, farthest).p50_us,
            farthest: regions[farthest].clone(),
        }
    });
    each.collect()
}

fn node_id(at: usize) -> NodeId {
    u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1)
}

/// Losses of one region and of two, by name: a region may have several voters.
fn losses(all: &[String], majority: usize) -> Vec<Loss> {
    let mut names: Vec<&String> = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let loss = |lost: &[&String]| {
        let left = all.iter().filter(|name| !lost.contains(name)).count();
        Loss {
            regions: lost.iter().map(|name| (*name).clone()).collect(),
            left,
            writes: match left >= majority {
                true => Writes::GoOn,
                false => Writes::Stop,
            },
        }
    };
    let mut told: Vec<Loss> = names.iter().map(|name| loss(&[name])).collect();
    for (at, one) in names.iter().enumerate() {
        told.extend(names[at + 1..].iter().map(|other| loss(&[one, other])));
    }
    told
}
