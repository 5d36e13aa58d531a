//! A world as a scenario describes it.

use std::time::Duration;

use stellara_node::executor::Settings;
use stellara_node::node::Timers;
use stellara_raft_store::engine::memory::Unsynced;
use stellara_raft_store::types::NodeId;

use super::WorldOptions;
use crate::fake::network::{Latencies, NetworkOptions, RouteChanges};
use crate::fake::udp::UdpOptions;
use crate::plan::topology::{Paths, Topology};
use crate::regions::region_round_trip;

/// A path of which nobody knows how long it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the round trip between {a:?} and {b:?} is not known: expected regions as us-east-1, or it in round_trips"
)]
pub struct NoPath {
    /// One region.
    pub a: String,
    /// The other.
    pub b: String,
}

impl WorldOptions {
    /// The world of a topology.
    ///
    /// # Errors
    /// Two regions whose round trip neither the topology nor the table of regions tells.
    pub fn from_topology(seed: u64, topology: &Topology) -> Result<Self, NoPath> {
        let [sync_from_us, sync_to_us] = topology.disk.sync_us;
        let [way_from_ms, way_to_ms] = topology.ledger.way_ms;
        Ok(Self {
            seed,
            regions: topology.regions.clone(),
            tier: topology.network.tier,
            network: network(topology)?,
            udp: UdpOptions::default(),
            timers: Timers {
                heartbeat_ms: topology.timers.heartbeat_ms,
                election_timeout_min_ms: topology.timers.election_timeout_min_ms,
                election_timeout_max_ms: topology.timers.election_timeout_max_ms,
            },
            snapshot_entries: topology.snapshot_entries,
            settlement: Settings::default(),
            sync: (
                Duration::from_micros(sync_from_us),
                Duration::from_micros(sync_to_us),
            ),
            unsynced: Unsynced::Drawn,
            ledger_way: (
                Duration::from_millis(way_from_ms),
                Duration::from_millis(way_to_ms),
            ),
            channels: topology.channels,
            destinations: topology.destinations,
            damaged_max: topology.damaged_max,
        })
    }
}

fn network(topology: &Topology) -> Result<NetworkOptions, NoPath> {
    let paths = &topology.network;
    let nodes: Vec<(NodeId, &String)> = (1..).zip(&topology.regions).collect();
    let mut ways = Vec::new();
    for (at, (from, a)) in nodes.iter().enumerate() {
        for (to, b) in &nodes[at + 1..] {
            ways.push((*from, *to, round_trip(paths, a, b)? / 2));
        }
    }
    Ok(NetworkOptions {
        jitter_permille: paths.jitter_permille,
        loss_ppm: paths.loss_ppm,
        bytes_per_s: Some(paths.bytes_per_s).filter(|bytes_per_s| *bytes_per_s > 0),
        routes: (paths.route_change_s > 0).then(|| RouteChanges {
            every: Duration::from_secs(paths.route_change_s),
            add_permille: paths.route_add_permille,
        }),
        ..NetworkOptions::clean(Latencies::both_ways(&ways))
    })
}

fn round_trip(paths: &Paths, a: &str, b: &str) -> Result<Duration, NoPath> {
    let given = paths.round_trips.iter().find(|given| {
        let [one, other] = &given.between;
        (one == a && other == b) || (one == b && other == a)
    });
    if let Some(given) = given {
        return Ok(Duration::from_micros(given.round_trip_us));
    }
    let measured = region_round_trip(a, b).map(|measured| measured.p50);
    measured.ok_or_else(|| NoPath {
        a: a.to_owned(),
        b: b.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::topology::RoundTrip;

    #[test]
    fn measured_round_trips_hold_unless_others_are_given() {
        let mut topology = Topology::default();
        let options = WorldOptions::from_topology(1, &topology).expect("all regions are known");
        let measured = region_round_trip("us-east-1", "eu-west-1").expect("both are known");
        assert_eq!(options.network.latency.one_way(1, 2), measured.p50 / 2);
        assert_eq!(options.network.latency.one_way(2, 1), measured.p50 / 2);
        topology.regions.push("moon-1".to_owned());
        let moon = NoPath {
            a: "us-east-1".to_owned(),
            b: "moon-1".to_owned(),
        };
        let error = WorldOptions::from_topology(1, &topology).err();
        assert_eq!(error, Some(moon));
        let far = |to: &str| RoundTrip {
            between: ["moon-1".to_owned(), to.to_owned()],
            round_trip_us: 2_600_000,
        };
        let regions = &topology.regions[..3];
        topology.network.round_trips = regions.iter().map(|region| far(region)).collect();
        let options = WorldOptions::from_topology(1, &topology).expect("all paths are told");
        let latency = options.network.latency;
        assert_eq!(latency.one_way(4, 1), Duration::from_millis(1_300));
    }
}
