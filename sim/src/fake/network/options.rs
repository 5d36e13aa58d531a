//! How a network behaves while nothing is wrong with it.

use std::collections::BTreeMap;
use std::time::Duration;

use stellara_raft_store::types::NodeId;

/// How long a packet takes from node to node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    ways: BTreeMap<(NodeId, NodeId), Duration>,
}

impl Latencies {
    /// The same time in both directions.
    #[must_use]
    pub fn both_ways(pairs: &[(NodeId, NodeId, Duration)]) -> Self {
        let there = pairs.iter().map(|(a, b, span)| ((*a, *b), *span));
        let back = pairs.iter().map(|(a, b, span)| ((*b, *a), *span));
        Self {
            ways: there.chain(back).collect(),
        }
    }

    /// From one node to another; no time where none is given.
    #[must_use]
    pub fn one_way(&self, from: NodeId, to: NodeId) -> Duration {
        self.ways.get(&(from, to)).copied().unwrap_or_default()
    }

    /// From whom to whom times are given.
    pub(super) fn ways(&self) -> impl Iterator<Item = (NodeId, NodeId)> {
        self.ways.keys().copied()
    }
}

/// How often routes change, and what that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteChanges {
    /// The mean time for which a path keeps its usual route.
    pub every: Duration,
    /// How much longer another route is, in thousandths of the path's time; at most.
    pub add_permille: u32,
}

/// How the network behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkOptions {
    /// The least time of a packet.
    pub latency: Latencies,
    /// The most that is added to it, in thousandths of it.
    pub jitter_permille: u32,
    /// Packets lost at random, in parts per million.
    pub loss_ppm: u32,
    /// Datagrams, and packets of UDP, that arrive twice, in parts per million.
    pub duplicate_ppm: u32,
    /// What passes each way between two nodes, in bytes a second; no limit when `None`.
    pub bytes_per_s: Option<u64>,
    /// How routes change; never when `None`.
    pub routes: Option<RouteChanges>,
    /// A connection on which one side hears nothing for this long ends.
    pub idle: Duration,
    /// How long a connection is tried before the peer is called unreachable.
    pub dial: Duration,
}

impl NetworkOptions {
    /// A network whose packets take their time and no longer, and all arrive. Connections end after 5 s of silence,
    /// and are tried for 1 s.
    #[must_use]
    pub fn clean(latency: Latencies) -> Self {
        Self {
            latency,
            jitter_permille: 0,
            loss_ppm: 0,
            duplicate_ppm: 0,
            bytes_per_s: None,
            routes: None,
            idle: Duration::from_secs(5),
            dial: Duration::from_secs(1),
        }
    }
}
