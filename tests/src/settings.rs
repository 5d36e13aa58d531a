//! `stellara.toml` of a node under test.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::ports::free_port;

/// Timers fit for one machine: a leader is missed within half a second.
const HEARTBEAT_MS: i64 = 50;
const ELECTION_MIN_MS: i64 = 200;
const ELECTION_MAX_MS: i64 = 400;

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
}

impl Settings<'_> {
    /// The file, as a table that a test may spoil before it is written.
    pub fn table(&self) -> Table {
        let place = usize::try_from(self.node_id - 1).expect("there are a few nodes");
        let own = &self.addresses[place];
        let mut members = Vec::new();
        for (node_id, (region, addresses)) in (1_i64..).zip(REGIONS.iter().zip(self.addresses)) {
            members.push(Value::Table(table([
                ("node_id", node_id.into()),
                ("region", (*region).into()),
                ("peer_address", addresses.peer.to_string().into()),
                ("public_address", addresses.public_url().into()),
            ])));
        }
        let listen = table([
            ("peer", own.peer.to_string().into()),
            ("public", own.public.to_string().into()),
            ("ops", own.ops.to_string().into()),
        ]);
        let raft = table([
            ("heartbeat_ms", HEARTBEAT_MS.into()),
            ("election_min_ms", ELECTION_MIN_MS.into()),
            ("election_max_ms", ELECTION_MAX_MS.into()),
        ]);
        let urls = Value::Array(vec![self.ledger_url.into()]);
        let keyring = table([
            ("file", path(self.keys_dir.join("keyring.json"))),
            ("passphrase_file", path(self.keys_dir.join("passphrase"))),
        ]);
        let node_id = i64::try_from(self.node_id).expect("node ids are small");
        table([
            ("cluster_id", self.cluster_id.into()),
            ("node_id", node_id.into()),
            ("region", REGIONS[place].into()),
            ("data_dir", path(self.data_dir.to_owned())),
            ("members", Value::Array(members)),
            ("listen", Value::Table(listen)),
            (
                "tls",
                Value::Table(table([("dir", path(self.certs_dir.to_owned()))])),
            ),
            ("raft", Value::Table(raft)),
            (
                "ledger",
                Value::Table(table([("horizon_urls", urls)])),
            ),
            ("keyring", Value::Table(keyring)),
        ])
    }
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    let named = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    named.collect()
}

fn path(path: PathBuf) -> Value {
    path.display().to_string().into()
}
