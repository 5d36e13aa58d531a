//! The cluster and its surroundings, as a scenario describes them.

use serde::{Deserialize, Serialize};

/// Where the nodes are and how everything behaves when nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// The region of each node; nodes are numbered from 1 in this order.
    pub regions: Vec<String>,
    /// Raft's timers.
    pub timers: RaftTimers,
    /// The paths between the regions.
    pub network: Paths,
    /// The disks.
    pub disk: Disks,
    /// The way to the ledger.
    pub ledger: LedgerWay,
    /// Log entries between snapshots.
    pub snapshot_entries: u64,
    /// Channels of the cluster.
    pub channels: u8,
    /// Accounts that receive.
    pub destinations: u8,
    /// How many nodes' data may be damaged at one time; a minority when absent. More may lose what was acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged_max: Option<usize>,
}

/// Raft's timers, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaftTimers {
    /// How often an idle leader beats.
    pub heartbeat_ms: u64,
    /// The least a follower waits before it asks for votes.
    pub election_timeout_min_ms: u64,
    /// The most it waits; also the leader's lease.
    pub election_timeout_max_ms: u64,
}

/// The tier on which messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Streams and datagrams as QUIC's, modelled.
    #[default]
    Modelled,
    /// The real QUIC and TLS over simulated UDP: slower.
    Quic,
}

/// How paths behave. The round trips between known regions are the measured ones, unless given here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// The tier.
    pub tier: Tier,
    /// Round trips of pairs of regions, in microseconds.
    pub round_trips: Vec<RoundTrip>,
    /// The most that a packet's time is longer than its path's, in thousandths.
    pub jitter_permille: u32,
    /// Packets lost at random, in parts per million.
    pub loss_ppm: u32,
    /// What passes each way between two nodes, in bytes a second.
    pub bytes_per_s: u64,
    /// The mean time until a path's route changes, in seconds; 0 for never.
    pub route_change_s: u64,
    /// How much longer a changed route is, in thousandths; at most.
    pub route_add_permille: u32,
}

/// The round trip between two regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundTrip {
    /// The two.
    pub between: [String; 2],
    /// Microseconds.
    pub round_trip_us: u64,
}

/// How disks behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disks {
    /// How long a sync takes, from and to, in microseconds.
    pub sync_us: [u64; 2],
}

/// How far the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerWay {
    /// One way to it, from and to, in milliseconds.
    pub way_ms: [u64; 2],
}

impl Default for RaftTimers {
    /// The defaults of the node for three continents.
    fn default() -> Self {
        Self {
            heartbeat_ms: 240,
            election_timeout_min_ms: 320,
            election_timeout_max_ms: 540,
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            tier: Tier::Modelled,
            round_trips: Vec::new(),
            jitter_permille: 60,
            loss_ppm: 500,
            bytes_per_s: 125_000_000,
            route_change_s: 0,
            route_add_permille: 320,
        }
    }
}

impl Default for Disks {
    fn default() -> Self {
        Self {
            sync_us: [500, 3_000],
        }
    }
}

impl Default for LedgerWay {
    fn default() -> Self {
        Self { way_ms: [20, 80] }
    }
}

impl Default for Topology {
    /// us-east-1, eu-west-1 and ap-southeast-1.
    fn default() -> Self {
        Self {
            regions: ["us-east-1", "eu-west-1", "ap-southeast-1"]
                .map(str::to_owned)
                .to_vec(),
            timers: RaftTimers::default(),
            network: Paths::default(),
            disk: Disks::default(),
            ledger: LedgerWay::default(),
            snapshot_entries: 1_000,
            channels: 4,
            destinations: 10,
            damaged_max: None,
        }
    }
}
