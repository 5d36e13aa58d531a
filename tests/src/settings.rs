//! `stellara.toml` of a node under test.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use toml::{Table, Value};

use crate::ledger::CLOSE_MS;
use crate::ports::free_port;

/// Timers fit for one machine: a leader is missed within half a second.
const HEARTBEAT_MS: i64 = 100;
const ELECTION_MIN_MS: i64 = 250;
const ELECTION_MAX_MS: i64 = 500;
const ROUND_TRIP_MS: i64 = 40;
/// Entries between snapshots: the fewest that are allowed, so that a test reaches one.
const SNAPSHOT_ENTRIES: i64 = 100;
/// Time between look-ups of a transaction: short, as the ledgers are.
const POLL_MS: i64 = 100;
/// A lost answer of the ledger is given up soon: tests lose many.
const LEDGER_REQUEST_MS: i64 = 1_000;

/// The regions of the cluster, one node each.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// Where one node listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// QUIC between nodes.
    pub peer: SocketAddr,
    /// gRPC, REST, portal.
    pub public: SocketAddr,
    /// Health, metrics, administration.
    pub ops: SocketAddr,
}

impl Addresses {
    /// Free ones at this address.
    pub fn free(ip: IpAddr) -> Self {
        let next = || SocketAddr::new(ip, free_port(ip));
        Self {
            peer: next(),
            public: next(),
            ops: next(),
        }
    }

    /// The usual ones, for a machine or a network namespace that nobody shares.
    pub fn usual(ip: IpAddr) -> Self {
        Self {
            peer: SocketAddr::new(ip, 7_400),
            public: SocketAddr::new(ip, 7_420),
            ops: SocketAddr::new(ip, 7_430),
        }
    }

    /// What a client is given.
    pub fn public_url(&self) -> String {
        format!("http://{}", self.public)
    }
}

/// What a node's settings are made from.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The cluster's name.
    pub cluster_id: &'a str,
    /// From 1.
    pub node_id: u64,
    /// Of every node, in the order of ids.
    pub addresses: &'a [Addresses],
    /// The node's data.
    pub data_dir: &'a Path,
    /// Certificates of the cluster.
    pub certs_dir: &'a Path,
    /// Folder of the keyring and its passphrase.
    pub keys_dir: &'a Path,
    /// Base of the ledger's URLs.
    pub ledger_url: &'a str,
    /// Room on the disk below which the node takes no writes.
    pub disk_reserve_bytes: i64,
}

impl Settings<'_> {
    /// The file, as a table that a test may spoil before it is written.
    pub fn table(&self) -> Table {
        let place = usize::try_from(self.node_id - 1).expect("there are a few nodes");
        let own = &self.addresses[place];
        let node_id = i64::try_from(self.node_id).expect("node ids are small");
        table([
            (
                "node",
                section([
                    ("id", node_id.into()),
                    ("region", REGIONS[place].into()),
                    ("data_dir", path(self.data_dir)),
                ]),
            ),
            (
                "cluster",
                section([("id", self.cluster_id.into()), ("members", self.members())]),
            ),
            (
                "listen",
                section([
                    ("peer", own.peer.to_string().into()),
                    ("public", own.public.to_string().into()),
                    ("ops", own.ops.to_string().into()),
                ]),
            ),
            ("tls", section([("dir", path(self.certs_dir))])),
            (
                "raft",
                section([
                    ("heartbeat_ms", HEARTBEAT_MS.into()),
                    ("election_timeout_min_ms", ELECTION_MIN_MS.into()),
                    ("election_timeout_max_ms", ELECTION_MAX_MS.into()),
                    ("round_trip_max_ms", ROUND_TRIP_MS.into()),
                    ("snapshot_entries", SNAPSHOT_ENTRIES.into()),
                ]),
            ),
            ("settlement", self.settlement()),
            (
                "limits",
                section([("disk_reserve_bytes", self.disk_reserve_bytes.into())]),
            ),
        ])
    }

    fn members(&self) -> Value {
        let mut members = Vec::new();
        for (id, (region, addresses)) in (1_i64..).zip(REGIONS.iter().zip(self.addresses)) {
            members.push(section([
                ("id", id.into()),
                ("region", (*region).into()),
                ("peer", addresses.peer.to_string().into()),
                ("public", addresses.public_url().into()),
            ]));
        }
        Value::Array(members)
    }

    fn settlement(&self) -> Value {
        let passphrase = path(&self.keys_dir.join("passphrase"));
        section([
            ("horizon", Value::Array(vec![self.ledger_url.into()])),
            (
                "network_passphrase",
                stellara_ledger::TEST_PASSPHRASE.into(),
            ),
            ("keyring", path(&self.keys_dir.join("keyring.json"))),
            ("keyring_passphrase_file", passphrase),
            ("poll_ms", POLL_MS.into()),
            ("ledger_ms", CLOSE_MS.into()),
            ("request_timeout_ms", LEDGER_REQUEST_MS.into()),
        ])
    }
}

fn section<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(table(entries))
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    let named = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    named.collect()
}

fn path(path: &Path) -> Value {
    path.display().to_string().into()
}
