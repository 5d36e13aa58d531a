//! The time without writes when the region of a leader is lost, by formula: silence, suspicion, votes, and the first entry.
//!
//! The parts are those of docs/operations/timing.md; the simulator measures the same beside it.

use serde::Serialize;
use stellara_raft_store::types::NodeId;

use super::distances::Distances;
use super::measure::Measured;
use super::{node_id, sync_us};
use crate::plan::topology::Topology;

/// What a call costs beside its two round trips, as the node reckons, in microseconds.
const CALL_COST_US: u64 = 20_000;

/// A leader is lost with its region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failover {
    /// The leader.
    pub node_id: NodeId,
    /// Its region.
    pub lost: String,
    /// What follows; nothing when no majority is left.
    pub predicted: Option<Predicted>,
    /// What the simulator found, once it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// From the loss to the first write that is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Predicted {
    /// Who calls first.
    pub next: String,
    /// Until it suspects the leader, in milliseconds.
    pub silence_ms: u64,
    /// Its pre-vote and its vote, in milliseconds.
    pub votes_ms: u64,
    /// The first entry, in milliseconds.
    pub entry_ms: u64,
    /// All of it, in milliseconds.
    pub first_turn_ms: u64,
    /// All of it when the first caller's log is shorter and the second leads, in milliseconds.
    pub second_turn_ms: Option<u64>,
}

pub(super) fn predict(topology: &Topology, distances: &Distances) -> Vec<Failover> {
    let regions = &topology.regions;
    let each = (0..regions.len()).map(|leader| Failover {
        node_id: node_id(leader),
        lost: regions[leader].clone(),
        predicted: predicted(topology, distances, leader),
        measured: None,
    });
    each.collect()
}

fn predicted(topology: &Topology, distances: &Distances, leader: usize) -> Option<Predicted> {
    let regions = &topology.regions;
    let voters: Vec<usize> = (0..regions.len()).filter(|at| *at != leader).collect();
    let left: Vec<usize> = voters
        .iter()
        .copied()
        .filter(|at| regions[*at] != regions[leader])
        .collect();
    if left.len() < distances.majority() {
        return None;
    }
    // Voters that are lost with the leader have their turns all the same, by their numbers.
    let mut turns = left.iter().map(|caller| {
        let rank = voters.iter().position(|at| at == caller).unwrap_or(0);
        parts(topology, distances, leader, (*caller, rank), &left)
    });
    let (first, silence_us, votes_us, entry_us) = turns.next()?;
    let ms = |us: u64| us.div_ceil(1_000);
    Some(Predicted {
        next: regions[first].clone(),
        silence_ms: ms(silence_us),
        votes_ms: ms(votes_us),
        entry_ms: ms(entry_us),
        first_turn_ms: ms(silence_us + votes_us + entry_us),
        second_turn_ms: turns
            .next()
            .map(|(_, silence, votes, entry)| ms(silence + votes + entry)),
    })
}

/// Who calls, and what its turn costs in microseconds: silence, votes, entry.
fn parts(
    topology: &Topology,
    distances: &Distances,
    leader: usize,
    (caller, rank): (usize, usize),
    left: &[usize],
) -> (usize, u64, u64, u64) {
    let (sync, _) = sync_us(topology);
    let timers = topology.timers;
    let beat = (timers.heartbeat_ms * 1_000 / 4).max(5_000);
    let look = (beat / 2).clamp(5_000, 50_000);
    let way = distances.between(leader, caller).p50_us / 2;
    let jitter = way * 2 * u64::from(topology.network.jitter_permille) / 4_000;
    let patience = (timers.election_timeout_min_ms * 1_000).max(4 * beat + 4 * jitter);
    let farthest = left
        .iter()
        .map(|at| distances.between(caller, *at).p50_us)
        .max();
    let stagger = farthest.unwrap_or(0) * 2 + CALL_COST_US + 2 * look;
    let turn = look + stagger * u64::try_from(rank).unwrap_or(u64::MAX);
    // The last beat left half an interval before the loss, and is on its way; looks come half of one late.
    let silence = (way + patience + look / 2 + turn).saturating_sub(beat / 2);
    let needed = distances.needed(caller, left).unwrap_or(caller);
    let round_trip = distances.between(caller, needed).p50_us;
    (
        caller,
        silence,
        2 * round_trip + 2 * sync,
        round_trip + sync,
    )
}
